package revocation

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

type spec = v1alpha1.TokenRevocationSpec

// put has the set take in an entry, and returns what takes it out again.
func put(s *Set, entry spec) (remove func()) {
	r := s.record(&v1alpha1.TokenRevocation{Spec: entry})
	s.change(nil, &r)
	return func() { s.change(&r, nil) }
}

func at(seconds int64) *metav1.Time {
	t := metav1.Unix(seconds, 0)
	return &t
}

func part(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// written returns an unsigned JWT.
func written(header, payload string) string {
	return part(header) + "." + part(payload) + "." + part("signature")
}

// holder is a user of a service account token.
type holder struct {
	user.DefaultInfo
	c Credential
}

func (h *holder) Credential() Credential { return h.c }

// TestCovers: each kind of entry covers what it names, of what was issued before its instant, and nothing else.
func TestCovers(t *testing.T) {
	t.Parallel()
	own := func(change func(*Credential)) *holder {
		c := Credential{
			Own: true, Issuer: "https://own", Subject: "system:serviceaccount:ns:app", ID: "id", KeyID: "key",
			Namespace: "ns", Account: "app", IssuedAt: 100, Dated: true,
		}
		change(&c)
		return &holder{c: c}
	}
	same := own(func(*Credential) {})
	undated := own(func(c *Credential) { c.ID, c.Dated, c.IssuedAt = "", false, 0 })
	person := &user.DefaultInfo{Name: "jane"}
	foreign := written(`{"alg":"ES256","kid":"theirs"}`, `{"iss":"https://theirs","sub":"jane","jti":"j","iat":100}`)
	nameless := written(`{"alg":"ES256"}`, `{"iss":"https://theirs","sub":"jane","iat":100.9}`)
	hashOf := func(token string) string { h := Hash(token); return hex.EncodeToString(h[:]) }
	account := &v1alpha1.ServiceAccountReference{Namespace: "ns", Name: "app"}
	for name, test := range map[string]struct {
		entry spec
		token string
		owner user.Info
		want  bool
	}{
		"own id":                          {spec{CredentialID: "id"}, "", same, true},
		"another id":                      {spec{CredentialID: "id2"}, "", same, false},
		"own id, issuer named":            {spec{CredentialID: "id", Issuer: "https://own"}, "", same, true},
		"the id at another issuer":        {spec{CredentialID: "id", Issuer: "https://theirs"}, "", same, false},
		"an issuer's id":                  {spec{CredentialID: "j", Issuer: "https://theirs"}, foreign, person, true},
		"an issuer's id as if it was own": {spec{CredentialID: "j"}, foreign, person, false},
		"hash of an opaque token":         {spec{TokenHash: hashOf("sesame")}, "sesame", person, true},
		"another opaque token":            {spec{TokenHash: hashOf("sesame")}, "sesame2", person, false},
		"hash of a JWT without id":        {spec{TokenHash: hashOf(nameless)}, nameless, person, true},
		"no hash at all":                  {spec{TokenHash: "zz"}, "sesame", person, false},
		"account, the second before":      {spec{ServiceAccount: account, IssuedBefore: at(101)}, "", same, true},
		"account, the very second":        {spec{ServiceAccount: account, IssuedBefore: at(100)}, "", same, false},
		"account, undated":                {spec{ServiceAccount: account, IssuedBefore: at(1)}, "", undated, true},
		"account of the same name":        {spec{ServiceAccount: &v1alpha1.ServiceAccountReference{Namespace: "n", Name: "sapp"}, IssuedBefore: at(101)}, "", same, false},
		"account named by a webhook":      {spec{ServiceAccount: account, IssuedBefore: at(101)}, "x", &user.DefaultInfo{Name: "system:serviceaccount:ns:app"}, true},
		"key":                             {spec{KeyID: "key", IssuedBefore: at(101)}, "", same, true},
		"another key":                     {spec{KeyID: "key2", IssuedBefore: at(101)}, "", same, false},
		"an issuer's key":                 {spec{KeyID: "theirs", IssuedBefore: at(101)}, foreign, person, true},
		"an issuer's key, named":          {spec{KeyID: "theirs", Issuer: "https://theirs", IssuedBefore: at(101)}, foreign, person, true},
		"another issuer's key":            {spec{KeyID: "theirs", Issuer: "https://others", IssuedBefore: at(101)}, foreign, person, false},
		"own key, named":                  {spec{KeyID: "key", Issuer: "https://own", IssuedBefore: at(101)}, "", same, true},
		"own key, by the former issuer":   {spec{KeyID: "key", Issuer: "https://former", IssuedBefore: at(101)}, "", same, true},
		"own key, token in a secret":      {spec{KeyID: "key", Issuer: "https://own", IssuedBefore: at(1)}, "", undated, true},
		"the same key id at an issuer":    {spec{KeyID: "theirs", Issuer: "https://own", IssuedBefore: at(101)}, foreign, person, false},
		"own key id of an issuer's key":   {spec{KeyID: "key", Issuer: "https://theirs", IssuedBefore: at(101)}, "", same, false},
		"subject":                         {spec{Subject: &v1alpha1.SubjectReference{Issuer: "https://theirs", Subject: "jane"}, IssuedBefore: at(101)}, foreign, person, true},
		"subject, a fraction of a second": {spec{Subject: &v1alpha1.SubjectReference{Issuer: "https://theirs", Subject: "jane"}, IssuedBefore: at(101)}, nameless, person, true},
		"subject of another issuer":       {spec{Subject: &v1alpha1.SubjectReference{Issuer: "https://own", Subject: "jane"}, IssuedBefore: at(101)}, foreign, person, false},
		"everything":                      {spec{IssuedBefore: at(101)}, "", same, true},
		"everything, opaque":              {spec{IssuedBefore: at(101)}, "sesame", person, true},
		"everything, later":               {spec{IssuedBefore: at(100)}, "", same, false},
		"nothing named":                   {spec{}, "", same, false},
	} {
		s := NewSet()
		s.Issuers = []string{"https://own", "https://former"}
		if s.Covers(test.token, test.owner) {
			t.Errorf("%s: covered by an empty set", name)
		}
		remove := put(s, test.entry)
		if got := s.Covers(test.token, test.owner); got != test.want {
			t.Errorf("%s: covered: %t", name, got)
		}
		if remove(); s.Covers(test.token, test.owner) || s.Len() != 0 {
			t.Errorf("%s: covered although the entry is gone", name)
		}
	}
}

// TestSpellings: no other spelling of a token has another hash, and no other token the same.
func TestSpellings(t *testing.T) {
	t.Parallel()
	header, payload := `{"alg":"ES256"}`, `{"sub":"abc"}`
	token := part(header) + "." + part(payload) + "."
	for name, same := range map[string]string{
		"the signature's twin":       token + "AAAA",
		"no signature":               token,
		"other last bits, payload":   part(header) + "." + strings.TrimSuffix(part(payload), "Q") + "R.AAAA",
		"a line break in the middle": part(header)[:4] + "\n" + part(header)[4:] + "." + part(payload) + ".AAAA",
	} {
		if !strings.HasSuffix(part(payload), "Q") {
			t.Fatal("the payload has no spare bits")
		}
		if Hash(same) != Hash(token) {
			t.Errorf("%s: another hash", name)
		}
	}
	seen := map[[32]byte]string{Hash(token): token}
	for _, other := range []string{
		part(header) + "." + part(`{"sub":"b"}`) + ".", part(`{"alg":"ES384"}`) + "." + part(payload) + ".",
		token + ".", "a.b.c", "a.b.d", "sesame", "sesame ", "",
	} {
		if twin, ok := seen[Hash(other)]; ok {
			t.Errorf("%q and %q have the same hash", other, twin)
		}
		seen[Hash(other)] = other
	}
}

// TestRead: claims of the wrong type don't hide the others.
func TestRead(t *testing.T) {
	t.Parallel()
	all := Credential{Issuer: "i", Subject: "s", ID: "j", KeyID: "k", IssuedAt: 7, Dated: true}
	for payload, change := range map[string]func(*Credential){
		`{"iss":"i","sub":"s","jti":"j","iat":7}`:                                     func(*Credential) {},
		`{"iss":"i","sub":"s","jti":"j","iat":"7"}`:                                   func(c *Credential) { c.IssuedAt, c.Dated = 0, false },
		`{"iss":"i","sub":"s","jti":"j","iat":null}`:                                  func(c *Credential) { c.IssuedAt, c.Dated = 0, false },
		`{"iss":"i","sub":"s","jti":"j","iat":1e300}`:                                 func(c *Credential) { c.IssuedAt, c.Dated = 0, false },
		`{"iss":"accounts.google.com","sub":"s","jti":"j","iat":7}`:                   func(c *Credential) { c.Issuer = "https://accounts.google.com" },
		`{"iss":"i","sub":"s","jti":9,"iat":7}`:                                       func(c *Credential) { c.ID = "" },
		`{"ISS":"i","iss":"i","JTI":"other","jti":"j","sub":"s","Sub":"x","iat":7.9}`: func(*Credential) {},
		// The library, which has the issuer's keys checked, takes these for the issuer.
		`{"ISS":"i","sub":"s","jti":"j","iat":7}`:                   func(*Credential) {},
		`{"iss":"other","Iss":"i","sub":"s","jti":"j","iat":7}`:     func(*Credential) {},
		`{"Iss":"other","iss":"i","sub":"s","jti":"j","iat":7}`:     func(*Credential) {},
		`{"iss":"i","IſS":"other","sub":"s","jti":"j","iat":7}`:     func(c *Credential) { c.Issuer = "other" },
		`{"ISS":7,"iss":"i","sub":"s","jti":"j","iat":7}`:           func(c *Credential) { c.Issuer = "" },
		`{"Iss":"accounts.google.com","sub":"s","jti":"j","iat":7}`: func(c *Credential) { c.Issuer = "https://accounts.google.com" },
		`[]`: func(c *Credential) { *c = Credential{KeyID: "k"} },
	} {
		want := all
		change(&want)
		if got := Read(written(`{"alg":"RS256","kid":"k"}`, payload)); got != want {
			t.Errorf("%s: %+v", payload, got)
		}
	}
	for _, text := range []string{"", "..", "a.b.c", "e30.e30.", "sesame", part(`{"alg":"ES256"}`) + ".!."} {
		if got := Read(text); got != (Credential{}) {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// TestCertificates: an entry for certificates covers those of its user that were issued before its instant, and no token; an entry
// for tokens covers no certificate.
func TestCertificates(t *testing.T) {
	t.Parallel()
	node := &v1alpha1.ClientCertificateReference{Username: "system:node:vm1"}
	for name, test := range map[string]struct {
		entry  spec
		user   string
		issued int64
		want   bool
	}{
		"issued before":                {spec{ClientCertificate: node, IssuedBefore: at(101)}, "system:node:vm1", 100, true},
		"issued in that very second":   {spec{ClientCertificate: node, IssuedBefore: at(101)}, "system:node:vm1", 101, false},
		"another user":                 {spec{ClientCertificate: node, IssuedBefore: at(101)}, "system:node:vm10", 100, false},
		"before the epoch":             {spec{ClientCertificate: node, IssuedBefore: at(101)}, "system:node:vm1", -5, true},
		"no common name":               {spec{ClientCertificate: &v1alpha1.ClientCertificateReference{}, IssuedBefore: at(101)}, "", 100, false},
		"all tokens":                   {spec{IssuedBefore: at(101)}, "system:node:vm1", 100, false},
		"a key with the user's name":   {spec{KeyID: "system:node:vm1", IssuedBefore: at(101)}, "system:node:vm1", 100, false},
		"an entry without its instant": {spec{ClientCertificate: node}, "system:node:vm1", 100, false},
	} {
		s := NewSet()
		if err := s.CheckCertificate(test.user, test.issued); err != nil {
			t.Errorf("%s: refused by an empty set: %v", name, err)
		}
		remove := put(s, test.entry)
		if err := s.CheckCertificate(test.user, test.issued); (err != nil) != test.want {
			t.Errorf("%s: error %v, want one: %t", name, err, test.want)
		}
		if test.entry.ClientCertificate != nil && s.Covers("sesame", &user.DefaultInfo{Name: test.user}) {
			t.Errorf("%s: a token is covered", name)
		}
		if remove(); s.CheckCertificate(test.user, test.issued) != nil || s.Len() != 0 {
			t.Errorf("%s: refused although the entry is gone", name)
		}
	}
}

// TestUsesEnd: a use of a certificate ends when the certificate is taken back, or at once if it was, and no other use does.
func TestUsesEnd(t *testing.T) {
	t.Parallel()
	s := NewSet()
	ended := map[string]int{}
	use := func(name, user string, issued int64) (done func()) {
		return s.WhileUnrevoked(user, issued, func() { ended[name]++ })
	}
	node := spec{ClientCertificate: &v1alpha1.ClientCertificateReference{Username: "vm1"}, IssuedBefore: at(101)}
	for _, done := range []func(){use("before", "vm1", 100), use("later", "vm1", 101), use("another", "vm2", 100)} {
		defer done()
	}
	use("over", "vm1", 100)()
	put(s, node)
	defer use("afterwards", "vm1", 100)()
	want := map[string]int{"before": 1, "afterwards": 1}
	if diff := cmp.Diff(want, ended); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
}

// TestTime: an instant that a token can't name is not taken for another one.
func TestTime(t *testing.T) {
	t.Parallel()
	for before, want := range map[int64]bool{-5: false, 0: false, 1: true, 1 << 40: true} {
		s := NewSet()
		put(s, spec{IssuedBefore: at(before)})
		if got := s.Covers("", &holder{c: Credential{ID: "x", IssuedAt: 0, Dated: true}}); got != want {
			t.Errorf("before %v: covered: %t", time.Unix(before, 0), got)
		}
	}
}

// BenchmarkCovers is the look-up for a service account token that was not taken back.
func BenchmarkCovers(b *testing.B) {
	for _, size := range []int{0, 1, 10_000, 1_000_000} {
		s := NewSet()
		for i := range size {
			put(s, spec{CredentialID: fmt.Sprintf("%032x", i)})
		}
		var owner user.Info = &holder{c: Credential{
			Own: true, Issuer: "https://mintmark.example:7443", ID: "7d1c2b60-1f0a-4b7e-9c55-3a2f4be1a0c9", KeyID: "key", Namespace: "ns", Account: "app", IssuedAt: 100, Dated: true,
		}}
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if s.Covers("", owner) {
					b.Fatal("covered")
				}
			}
		})
	}
}
