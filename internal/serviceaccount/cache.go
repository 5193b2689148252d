package serviceaccount

import (
	"crypto/sha256"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/lru"
)

// entryOverhead is about what an entry takes beside the text of its claims: the key twice, the list, the map, the structs.
const entryOverhead = 600

// userOverhead is about what a user takes beside the texts: the struct, the map and its lists.
const userOverhead = 600

// stringHeader is what a string takes beside its text.
const stringHeader = 16

// cache remembers tokens whose signature was checked. It knows a token by its SHA-256 alone.
type cache struct{ *lru.Cache[facts] }

func newCache(limit int) cache { return cache{lru.New[facts](limit)} }

// usualToken is a length within which tokens usually are.
const usualToken = 2 << 10

func keyOf(token string) lru.Key {
	var stack [usualToken]byte
	return sha256.Sum256(append(stack[:0], token...))
}

// add remembers what is known of a token.
func (c cache) add(key lru.Key, known facts) { c.Add(key, known, entryOverhead+known.size()) }

// size is about how many bytes the claims take in memory, which is more than in a token of many short audiences.
func (f facts) size() int {
	size := 0
	text := func(values ...string) {
		for _, value := range values {
			size += stringHeader + len(value)
		}
	}
	if c := f.claims; c != nil {
		text(c.Issuer, c.Subject, c.ID, c.Binding.Namespace)
		text(c.Audiences...)
		for _, ref := range []boundobject.Ref{c.Binding.ServiceAccount, c.Binding.Pod, c.Binding.Secret, c.Binding.Node} {
			text(ref.Name, string(ref.UID))
		}
	}
	if c := f.legacy; c != nil {
		text(c.Issuer, c.Subject, c.Namespace, c.Name, c.UID, c.Secret)
		text(c.Audiences...)
	}
	if u := f.user; u != nil {
		text(u.Name)
		text(u.Groups...)
		size += userOverhead
		for _, values := range u.Extra {
			text(values...)
		}
	}
	return size
}
