// Package revocation provides the set of the tokens and client certificates that were taken back: the stored TokenRevocations of
// mintmark.io, as authenticators ask for them.
//
// An entry covers one token, by its credential id or the hash of its text, or all tokens of an account, a subject, a key or
// the whole server that were issued before an instant. Instants have whole seconds, as the claim iat has: a token is covered
// if its iat is less than the instant. A token that does not tell when it was issued counts as issued before every instant.
//
// An entry for client certificates covers those of a user, by the common name, that were issued before an instant. It covers no
// tokens, and the entries for tokens cover no certificates.
package revocation

import (
	"encoding/binary"
	"encoding/hex"
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/view"
)

// Set holds the entries. It is safe for concurrent use.
//
// It keeps digests, not texts: a million entries must fit into memory. Digests depend on seeds of the process, so that callers
// can't look for texts that collide.
type Set struct {
	// View is the view of tokenrevocations. The set has what the view has, at every moment.
	View *view.View[Record]
	// Issuers are the issuers of service account tokens of this server. They are set before the view is run.
	Issuers []string

	seeds        [2]maphash.Seed
	tokenEntries atomic.Int64        // entries that cover tokens; while it is 0, no token is looked at
	counts       [kinds]atomic.Int64 // entries of each kind, so that no digest is made for a kind without any

	entries *metrics.Gauge

	mu sync.RWMutex
	// tokens has the entries that cover one token. Further entries for the same token are counted in again.
	tokens map[digest]struct{}
	again  map[digest]int
	// before has, for each account, subject, key and user with certificates, and for all tokens, the instants of its entries.
	before map[digest]*instants
	// uses are the uses of client certificates that end when the certificate is taken back.
	uses map[digest]map[*use]struct{}
}

// kind says by what an entry covers tokens.
type kind uint8

const (
	nothing   kind = iota // an object that names nothing
	ownID                 // the credential id of a service account token of this server
	foreignID             // issuer and credential id
	text                  // the hash of the text
	account
	subject
	ownKeyID // keys of this server
	keyID    // keys of another issuer, or of every issuer if none is named
	everything
	certificate // the client certificates of a user
	kinds
)

// kindMask are the bits of a digest that say of which kind it is.
const kindMask = 15

// digest is a seeded hash of what an entry covers. It has 11 bytes because Go's maps then take the least memory.
type digest [11]byte

func (d digest) kind() kind { return kind(d[0] & kindMask) }

// Record is an entry as the view keeps it.
type Record struct {
	what digest
	// before is the instant of an entry that has one, in seconds since the epoch.
	before [4]byte
}

// NewSet returns an empty set with its view.
func NewSet() *Set {
	s := &Set{tokens: map[digest]struct{}{}, again: map[digest]int{}, before: map[digest]*instants{}, uses: map[digest]map[*use]struct{}{}, entries: registered().Entries}
	s.seeds = [...]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	s.View = view.NewPacked(v1alpha1.Resource("tokenrevocations"), true, s.record, s.read, s.change)
	return s
}

// Len returns how many entries there are.
func (s *Set) Len() int { return int(s.tokenEntries.Load() + s.counts[certificate].Load()) }

// record returns the record of a TokenRevocation.
func (s *Set) record(obj runtime.Object) (r Record) {
	if stored, ok := obj.(*v1alpha1.TokenRevocation); ok {
		r = s.recordOf(&stored.Spec)
	}
	return r
}

// read returns the record of a TokenRevocation from what is stored of it. It does so in a fifth of the time that it takes to
// decode the whole object.
func (s *Set) read(key view.Key, data []byte) (r Record, ok bool) {
	var stored struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        struct {
			Name string `json:"name"`
		} `json:"metadata"`
		Spec v1alpha1.TokenRevocationSpec `json:"spec"`
	}
	if err := json.Unmarshal(data, &stored); err != nil {
		return r, false
	}
	if stored.TypeMeta != typeMeta || stored.Metadata.Name != key.Name {
		return r, false
	}
	return s.recordOf(&stored.Spec), true
}

// typeMeta is that of a stored TokenRevocation.
var typeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "TokenRevocation"}

func (s *Set) recordOf(spec *v1alpha1.TokenRevocationSpec) (r Record) {
	switch {
	case spec.CredentialID != "" && spec.Issuer == "":
		r.what = s.digest(ownID, "", spec.CredentialID)
	case spec.CredentialID != "":
		r.what = s.digest(foreignID, spec.Issuer, spec.CredentialID)
	case spec.TokenHash != "":
		hash, _ := hex.DecodeString(spec.TokenHash) // a hash that is none covers no token
		r.what = s.digest(text, "", string(hash))
	case spec.ServiceAccount != nil:
		r.what = s.digest(account, spec.ServiceAccount.Namespace, spec.ServiceAccount.Name)
	case spec.Subject != nil:
		r.what = s.digest(subject, spec.Subject.Issuer, spec.Subject.Subject)
	case spec.KeyID != "" && slices.Contains(s.Issuers, spec.Issuer):
		r.what = s.digest(ownKeyID, "", spec.KeyID)
	case spec.KeyID != "":
		r.what = s.digest(keyID, spec.Issuer, spec.KeyID)
	case spec.ClientCertificate != nil:
		r.what = s.digest(certificate, "", spec.ClientCertificate.Username)
	case spec.IssuedBefore != nil:
		r.what = s.digest(everything, "", "")
	}
	if spec.IssuedBefore != nil {
		seconds := min(max(spec.IssuedBefore.Unix(), 0), math.MaxUint32)
		binary.BigEndian.PutUint32(r.before[:], uint32(seconds))
	}
	return r
}

// usual is a length within which what is digested usually is.
const usual = 256

func (s *Set) digest(k kind, first, second string) (d digest) {
	var stack [usual]byte
	of := append(stack[:0], byte(k))
	of = binary.BigEndian.AppendUint32(of, uint32(len(first)))
	of = append(append(of, first...), second...)
	binary.LittleEndian.PutUint64(d[:], maphash.Bytes(s.seeds[0], of))
	var rest [8]byte
	binary.LittleEndian.PutUint64(rest[:], maphash.Bytes(s.seeds[1], of))
	copy(d[8:], rest[:])
	d[0] = d[0]&^kindMask | byte(k)
	return d
}

// change takes in that an entry came, went, or took the place of another one.
func (s *Set) change(before, after *Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The new one first: a token that both cover is covered all the time.
	if after != nil && after.what.kind() != nothing {
		s.add(after)
		s.count(after, 1)
	}
	if before != nil && before.what.kind() != nothing {
		s.count(before, -1)
		s.remove(before)
	}
}

func (s *Set) count(r *Record, by int64) {
	s.counts[r.what.kind()].Add(by)
	if r.what.kind() != certificate {
		s.tokenEntries.Add(by)
	}
	s.entries.Set(float64(s.Len()))
}

func (s *Set) add(r *Record) {
	if r.what.kind() >= account {
		if s.before[r.what] == nil {
			s.before[r.what] = &instants{}
		}
		s.before[r.what].add(binary.BigEndian.Uint32(r.before[:]))
		for u := range s.uses[r.what] {
			if u.issuedAt < int64(s.before[r.what].latest) {
				u.end()
			}
		}
		return
	}
	if _, ok := s.tokens[r.what]; ok {
		s.again[r.what]++
		return
	}
	s.tokens[r.what] = struct{}{}
}

func (s *Set) remove(r *Record) {
	if r.what.kind() >= account {
		known := s.before[r.what]
		if known.remove(binary.BigEndian.Uint32(r.before[:])); known.empty() {
			delete(s.before, r.what)
		}
		return
	}
	switch s.again[r.what] {
	case 0:
		delete(s.tokens, r.what)
	case 1:
		delete(s.again, r.what)
	default:
		s.again[r.what]--
	}
}
