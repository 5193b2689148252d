package revocation

// use is a use of a client certificate that was issued at an instant.
type use struct {
	issuedAt int64
	end      func()
}

// CheckCertificate returns the refusal of a client certificate that was taken back, by its common name and when it was issued, in
// seconds since the epoch; nil if it was not. While there are no entries for certificates it is one atomic load.
func (s *Set) CheckCertificate(commonName string, issuedAt int64) error {
	if s.issuedBefore(certificate, "", commonName, &Credential{IssuedAt: issuedAt, Dated: true}) {
		return errCertificate
	}
	return nil
}

// WhileUnrevoked calls end as soon as a client certificate is taken back, at once if it was. That may be more than once, until done is
// called. end must not take long, and must not call the set.
func (s *Set) WhileUnrevoked(commonName string, issuedAt int64, end func()) (done func()) {
	d, u := s.digest(certificate, "", commonName), &use{issuedAt, end}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uses[d] == nil {
		s.uses[d] = map[*use]struct{}{}
	}
	s.uses[d][u] = struct{}{}
	if known := s.before[d]; known != nil && issuedAt < int64(known.latest) {
		end()
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if delete(s.uses[d], u); len(s.uses[d]) == 0 {
			delete(s.uses, d)
		}
	}
}
