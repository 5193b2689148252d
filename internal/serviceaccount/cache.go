package serviceaccount

import (
	"unsafe"

	credentialid "k8s.io/apiserver/pkg/authentication/token/jwt"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/cache"
)

// tokenCache holds the facts of tokens with a verified signature. They are found by the token's SHA-256; the token is not kept.
type tokenCache struct{ *cache.Cache[facts] }

func newCache(limit int) tokenCache { return tokenCache{cache.New[facts](limit)} }

// of returns the facts of a token while its key is not withdrawn, and forgets them afterwards.
func (c tokenCache) of(key cache.Key) (facts, bool) {
	known, ok := c.Get(key)
	if ok && known.key.Withdrawn() {
		c.Remove(key)
		return facts{}, false
	}
	return known, ok
}

// add caches the facts of a token.
func (c tokenCache) add(key cache.Key, known facts) { c.Add(key, known, known.size()) }

// size is about how many bytes the claims take in memory, which is more than in a token of many short audiences.
func (f facts) size() int {
	size := 0
	if a := f.account; a != nil {
		c := a.claims
		size += allocated(int(unsafe.Sizeof(*a))) + allocated(int(unsafe.Sizeof(*c)))
		size += len(a.extra)*int(unsafe.Sizeof(a.extra[0])) + list(c.Audiences)
		size += texts(c.Issuer, c.Subject, c.ID, c.Binding.Namespace, a.groups[1], a.keyID)
		if a.name != c.Subject {
			size += texts(a.name)
		}
		if c.ID != "" {
			size += texts(credentialid.CredentialIDForJTI(c.ID))
		}
		for _, ref := range []boundobject.Ref{c.Binding.ServiceAccount, c.Binding.Pod, c.Binding.Secret, c.Binding.Node} {
			size += texts(ref.Name, string(ref.UID))
		}
	}
	if c := f.legacy; c != nil {
		size += allocated(int(unsafe.Sizeof(*c))) + texts(c.Issuer, c.Subject, c.Namespace, c.Name, c.UID, c.Secret, c.keyID) + list(c.Audiences)
	}
	return size
}

// allocated is about what Go's allocator takes for so many bytes: its smaller size classes are mostly 16 bytes apart.
func allocated(size int) int { return (size + 15) &^ 15 }

// texts is what texts take beside their headers.
func texts(values ...string) int {
	size := 0
	for _, value := range values {
		size += allocated(len(value))
	}
	return size
}

// list is what a list of texts takes beside its header.
func list(values []string) int { return cap(values)*int(unsafe.Sizeof("")) + texts(values...) }
