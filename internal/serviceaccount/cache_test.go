package serviceaccount

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/cache"
)

func factsOf(id string, audiences ...string) facts {
	return facts{account: &account{claims: &Claims{ID: id, Audiences: audiences}}}
}

// TestCacheKeepsItsBound adds at random, and looks at the bound.
func TestCacheKeepsItsBound(t *testing.T) {
	const limit = 100_000
	c := newCache(limit)
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		id := fmt.Sprint(random.IntN(400))
		if known, ok := c.Get(cache.KeyOf(nil, id)); ok && known.account.claims.ID != id {
			t.Fatalf("%s gives the claims of %s", id, known.account.claims.ID)
		}
		c.add(cache.KeyOf(nil, id), factsOf(id, strings.Repeat("x", random.IntN(2_000))))
		if size, _ := c.Size(); size > limit {
			t.Fatalf("%d bytes; the limit is %d", size, limit)
		}
	}
	if size, _ := c.Size(); size < limit/2 {
		t.Errorf("only %d of %d bytes are used", size, limit)
	}
}

// TestCacheLeavesOutWhatIsTooLarge: one token can't push out all the others.
func TestCacheLeavesOutWhatIsTooLarge(t *testing.T) {
	c := newCache(10_000)
	c.add(cache.KeyOf(nil, "a"), factsOf("a"))
	c.add(cache.KeyOf(nil, "b"), factsOf("b", strings.Repeat("x", 10_000)))
	if _, ok := c.Get(cache.KeyOf(nil, "b")); ok {
		t.Error("an entry larger than the cache is in it")
	}
	if _, ok := c.Get(cache.KeyOf(nil, "a")); !ok {
		t.Error("the other entry is gone")
	}
}

// TestCacheAddsOnce: adding what is there changes nothing, as when a token is reviewed twice at once.
func TestCacheAddsOnce(t *testing.T) {
	c := newCache(10_000)
	c.add(cache.KeyOf(nil, "a"), factsOf("a"))
	want, _ := c.Size()
	c.add(cache.KeyOf(nil, "a"), factsOf("a"))
	if size, entries := c.Size(); size != want || entries != 1 {
		t.Errorf("%d bytes in %d entries, want %d in 1", size, entries, want)
	}
}

// TestCacheKeys: different tokens never share an entry, however alike they are.
func TestCacheKeys(t *testing.T) {
	base := "header.payload.signature"
	tokens := []string{"", ".", "..", base, base + ".", base + "=", base + "\n", " " + base, base + " ", base + "\x00", "HEADER.payload.signature", "header.payloadsignature.", "header..payloadsignature"}
	for i := range len(base) {
		tokens = append(tokens, base[:i]+"\x01"+base[i+1:], base[:i]+base[i+1:]+"\x02", base[:i])
	}
	seen := map[cache.Key]string{}
	distinct := map[string]bool{}
	for _, token := range tokens {
		if distinct[token] {
			continue
		}
		distinct[token] = true
		if other, ok := seen[cache.KeyOf(nil, token)]; ok {
			t.Errorf("%q and %q share an entry", token, other)
		}
		seen[cache.KeyOf(nil, token)] = token
	}
}

// TestCacheCountsWhatItHolds compares the sizes that the cache reckons with to the memory that the claims take, for
// claims of all shapes: short ones, and those that are larger in memory than in the token.
func TestCacheCountsWhatItHolds(t *testing.T) {
	const entries = 2000
	for name, payload := range map[string]string{
		"usual":          `{"aud":["api"],"iss":"https://issuer.example","sub":"system:serviceaccount:ns:app","jti":"8b0a6a5c","kubernetes.io":{"namespace":"ns","pod":{"name":"p","uid":"5"},"serviceaccount":{"name":"app","uid":"u1"}}}`,
		"many audiences": `{"aud":[` + strings.Repeat(`"",`, 500) + `""]}`,
		"long audience":  `{"aud":"` + strings.Repeat("x", 5000) + `"}`,
		"short":          `{}`,
		"escaped":        `{"aud":["\u0061pi"],"iss":"https://issuer.example","sub":"system:serviceaccount:ns:app","jti":"8b0a6a5c","kubernetes.io":{"namespace":"ns","serviceaccount":{"name":"app","uid":"u1"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCache(1 << 30)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for i := range entries {
				// What is plain is parts of one text, as of a token; what isn't, of many.
				claims, plain := readClaims(strings.Clone(payload))
				if !plain {
					var err error
					if claims, err = decodeClaims([]byte(payload)); err != nil {
						t.Fatal(err)
					}
				}
				c.add(cache.KeyOf(nil, fmt.Sprint(i)), facts{account: newAccount(&claims)})
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			taken := int(after.HeapAlloc) - int(before.HeapAlloc)
			if size, _ := c.Size(); taken > size*6/5 || taken < size*4/5 {
				t.Errorf("%d bytes are taken, %d reckoned with", taken, size)
			}
			runtime.KeepAlive(c)
		})
	}
}

// TestCacheCountsLegacyClaims: every text of the claims is reckoned with.
func TestCacheCountsLegacyClaims(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for name, known := range map[string]facts{
		"issuer":         {legacy: &legacyClaims{Issuer: long}},
		"namespace":      {legacy: &legacyClaims{Namespace: long}},
		"secret":         {legacy: &legacyClaims{Secret: long}},
		"name":           {legacy: &legacyClaims{Name: long}},
		"uid":            {legacy: &legacyClaims{UID: long}},
		"subject":        {legacy: &legacyClaims{Subject: long}},
		"audience":       {legacy: &legacyClaims{Audiences: []string{long}}},
		"bound subject":  {account: newAccount(&Claims{Subject: long})},
		"bound pod":      {account: newAccount(&Claims{Binding: boundobject.Binding{Pod: boundobject.Ref{Name: long}}})},
		"bound node uid": {account: newAccount(&Claims{Binding: boundobject.Binding{Node: boundobject.Ref{UID: "x"}, Namespace: long}})},
	} {
		if known.size() < len(long) {
			t.Errorf("%s is not counted", name)
		}
	}
}
