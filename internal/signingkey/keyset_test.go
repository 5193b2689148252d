package signingkey_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/mintmark/mintmark/internal/signingkey"
)

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestSignAndVerify has a token of every kind of key verified by the key set and by another implementation.
func TestSignAndVerify(t *testing.T) {
	for algorithm, key := range map[string]crypto.Signer{
		"ES256": ecKey(t, elliptic.P256()), "ES384": ecKey(t, elliptic.P384()), "ES512": ecKey(t, elliptic.P521()), "RS256": rsaKey(t), "EdDSA": ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)),
	} {
		t.Run(algorithm, func(t *testing.T) {
			s, err := signingkey.NewSigner(key)
			if err != nil {
				t.Fatal(err)
			}
			token, err := s.Sign(t.Context(), []byte(`{"iss":"x"}`))
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
			if err != nil {
				t.Fatal(err)
			}
			payload, err := parsed.Verify(key.Public())
			if err != nil || string(payload) != `{"iss":"x"}` {
				t.Errorf("payload %q, error %v", payload, err)
			}
			id, err := signingkey.KeyID(key.Public())
			if err != nil {
				t.Fatal(err)
			}
			if got := parsed.Signatures[0].Header; got.KeyID != id || len(id) != 43 || len(got.ExtraHeaders) > 0 {
				t.Errorf("header %+v, want kid %s and nothing more", got, id)
			}
			set := ring(t, ecKey(t, elliptic.P256()).Public(), key.Public())
			signed := token[:strings.LastIndex(token, ".")]
			if _, err := set.Verify(algorithm, id, signed, string(parsed.Signatures[0].Signature)); err != nil {
				t.Error(err)
			}
			if _, err := set.Verify(algorithm, "", signed, string(parsed.Signatures[0].Signature)); err != nil {
				t.Errorf("without a key id: %v", err)
			}
		})
	}
}

// TestOtherKeysDoNotSign: keys that no algorithm is for are refused at the start.
func TestOtherKeysDoNotSign(t *testing.T) {
	const want = "unknown private key curve, must be 256, 384, or 521"
	if _, err := signingkey.NewSigner(ecKey(t, elliptic.P224())); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// ring returns keys that never change.
func ring(t testing.TB, public ...crypto.PublicKey) *signingkey.Ring {
	t.Helper()
	source, err := signingkey.NewStatic(nil, public)
	if err != nil {
		t.Fatal(err)
	}
	return signingkey.NewRing(source, nil)
}

// TestEmptySetVerifiesNothing: without keys, nothing is accepted, with a key id or without.
func TestEmptySetVerifiesNothing(t *testing.T) {
	set := ring(t)
	for _, id := range []string{"", "x"} {
		if _, err := set.Verify("none", id, "", ""); err == nil || err.Error() != "invalid signature, no keys found" {
			t.Errorf("kid %q: %v", id, err)
		}
	}
	if published, err := set.Published(); err != nil || string(published.KeySet) != `{"keys":[]}` {
		t.Errorf("published: %s, error %v", published.KeySet, err)
	}
}

// TestPublish: the set is in the order of configuration, repetitions and all; algorithms are sorted, each once. Of a
// private key nothing but the public half can get there.
func TestPublish(t *testing.T) {
	p521, p256, r := ecKey(t, elliptic.P521()).Public(), ecKey(t, elliptic.P256()).Public(), rsaKey(t).Public()
	published, err := ring(t, r, p521, p256, r).Published()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"ES256", "ES512", "RS256"}; !slices.Equal(published.Algorithms, want) {
		t.Errorf("algorithms %q, want %q", published.Algorithms, want)
	}
	var members struct{ Keys []map[string]string }
	if err := json.Unmarshal(published.KeySet, &members); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, key := range members.Keys {
		got = append(got, key["use"]+" "+key["kty"]+" "+key["alg"])
		for name := range key {
			if !slices.Contains([]string{"use", "kty", "alg", "kid", "n", "e", "crv", "x", "y"}, name) {
				t.Errorf("a key has the member %q", name)
			}
		}
	}
	if want := []string{"sig RSA RS256", "sig EC ES512", "sig EC ES256", "sig RSA RS256"}; !slices.Equal(got, want) {
		t.Errorf("keys %q, want %q", got, want)
	}
	for i, public := range []crypto.PublicKey{r, p521, p256, r} {
		if id, err := signingkey.KeyID(public); err != nil || members.Keys[i]["kid"] != id {
			t.Errorf("key %d has the kid %s, want %s", i, members.Keys[i]["kid"], id)
		}
	}
}

// TestPublishFailsAsAWhole: a key that can't be expressed is not left out silently.
func TestPublishFailsAsAWhole(t *testing.T) {
	const want = "error constructing JWK for key #1: unknown private key curve, must be 256, 384, or 521"
	_, err := signingkey.NewStatic(nil, []crypto.PublicKey{ecKey(t, elliptic.P256()).Public(), ecKey(t, elliptic.P224()).Public()})
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
