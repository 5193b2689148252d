package signingkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"testing"
)

//go:embed testdata/wycheproof-p256.txt
var wycheproof string

// TestWycheproof checks signatures that were made to find out faulty implementations.
func TestWycheproof(t *testing.T) {
	tests := 0
	for line := range strings.Lines(wycheproof) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		name, valid := fields[0]+": "+fields[5], fields[1] == "valid"
		var decoded [3]string
		for i, field := range fields[2:5] {
			b, err := hex.DecodeString(field)
			if err != nil {
				t.Fatal(err)
			}
			decoded[i] = string(b)
		}
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), []byte(decoded[0]))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		set := setOf(t, public)
		if _, err := set.Verify("ES256", "", decoded[1], decoded[2]); (err == nil) != valid {
			t.Errorf("%s: %v", name, err)
		}
		tests++
	}
	if tests != 262 {
		t.Errorf("%d tests", tests)
	}
}

// TestFIPS: where only Go's FIPS 140-3 module may be used, it is, and finds the same.
func TestFIPS(t *testing.T) {
	const mode = "fips140=on"
	if strings.Contains(os.Getenv("GODEBUG"), mode) {
		if newP256(&p256Private(t, big.NewInt(1)).PublicKey) != nil {
			t.Error("signatures are not checked by crypto/ecdsa")
		}
		return
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^(TestFIPS|TestWycheproof)$")
	command.Env = append(os.Environ(), "GODEBUG="+mode)
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func p256Private(t testing.TB, d *big.Int) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d.FillBytes(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestP256AtTheEdges has numbers at the edges of their ranges, and sums that are the point at infinity or a point twice,
// found to be as crypto/ecdsa finds them.
func TestP256AtTheEdges(t *testing.T) {
	n := p256Order
	add := func(to *big.Int, d int64) *big.Int { return new(big.Int).Add(to, big.NewInt(d)) }
	whole := new(big.Int).Lsh(big.NewInt(1), 256)
	field := elliptic.P256().Params().P
	numbers := []*big.Int{
		big.NewInt(0), big.NewInt(1), big.NewInt(2), big.NewInt(63), big.NewInt(64), new(big.Int).Rsh(n, 1), add(new(big.Int).Rsh(n, 1), 1),
		new(big.Int).Sub(field, n), add(n, -2), add(n, -1), n, add(n, 1), add(field, -1), field, add(whole, -1),
	}
	good := 0
	for _, d := range []*big.Int{big.NewInt(1), big.NewInt(2), big.NewInt(3), new(big.Int).Rsh(n, 1), add(n, -2), add(n, -1)} {
		key := p256Private(t, d)
		known := newP256(&key.PublicKey)
		check := func(digest, r, s *big.Int) {
			hash := digest.FillBytes(make([]byte, 32))
			signature := string(r.FillBytes(make([]byte, 32))) + string(s.FillBytes(make([]byte, 32)))
			want := ecdsa.Verify(&key.PublicKey, hash, r, s)
			if got := known.verify(hash, signature); got != want {
				t.Errorf("key %v, digest %v, r %v, s %v: %t, want %t", d, digest, r, s, got, want)
			}
			if want {
				good++
			}
		}
		for _, r := range numbers {
			for _, s := range numbers {
				for _, digest := range numbers {
					check(digest, r, s)
				}
				// The sum is infinity where digest + r·d is zero, and its two parts are the same where it is 2·r·d.
				product := new(big.Int).Mul(r, d)
				check(new(big.Int).Mod(new(big.Int).Neg(product), n), r, s)
				check(product.Mod(product, n), r, s)
			}
		}
		// The sum is k times the generator, for a k that is chosen: r is its x, and s follows from k·s = digest + r·d.
		for _, k := range []int64{1, 2, 3, 63, 64, 65} {
			r := p256Private(t, big.NewInt(k)).X
			for _, digest := range numbers {
				s := new(big.Int).Mul(r, d)
				s.Add(s, digest).Mul(s, new(big.Int).ModInverse(big.NewInt(k), n)).Mod(s, n)
				check(digest, r, s)
			}
		}
	}
	if good < 500 {
		t.Errorf("only %d signatures are good", good)
	}
}

// TestP256Length: both numbers have the length that RFC 7518 section 3.4 says, zeros in front included.
func TestP256Length(t *testing.T) {
	key := p256Private(t, big.NewInt(12345))
	known := newP256(&key.PublicKey)
	digest := sha256.Sum256([]byte("text"))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	for before := range 40 {
		for after := range 40 {
			if before < len(r.Bytes()) || after < len(s.Bytes()) {
				continue
			}
			signature := string(r.FillBytes(make([]byte, before))) + string(s.FillBytes(make([]byte, after)))
			if got, want := known.verify(digest[:], signature), before == 32 && after == 32; got != want {
				t.Errorf("numbers of %d and %d bytes: %t, want %t", before, after, got, want)
			}
		}
	}
	for _, signature := range []string{"", "x"} {
		if known.verify(digest[:], signature) {
			t.Errorf("%q is accepted", signature)
		}
	}
}

// FuzzP256 has signatures of random keys checked here and by crypto/ecdsa: good ones, and those in which bits were changed.
func FuzzP256(f *testing.F) {
	f.Add([]byte("key"), []byte("text"), []byte{})
	f.Add([]byte("key"), []byte("text"), []byte{1})
	f.Fuzz(func(t *testing.T, seed, text, change []byte) {
		d := new(big.Int).SetBytes(seed)
		d.Mod(d, new(big.Int).Sub(p256Order, big.NewInt(1))).Add(d, big.NewInt(1))
		key := p256Private(t, d)
		digest := sha256.Sum256(text)
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		for i := range min(len(change), len(signature)) {
			signature[i] ^= change[i]
		}
		want := ecdsa.Verify(&key.PublicKey, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
		if got := newP256(&key.PublicKey).verify(digest[:], string(signature)); got != want {
			t.Errorf("key %v, text %q, signature %x: %t, want %t", d, text, signature, got, want)
		}
	})
}

// BenchmarkVerify checks a signature of each kind.
func BenchmarkVerify(b *testing.B) {
	key := p256Private(b, big.NewInt(12345))
	const text = "signed"
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	signature := string(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	set := setOf(b, key.Public())
	b.Run("ES256", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := set.Verify("ES256", "", text, signature); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ES256 by the standard library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if !verifyECDSA(&key.PublicKey, digest[:], signature) {
				b.Fatal("refused")
			}
		}
	})
}

// setOf returns a set of keys with their multiples.
func setOf(t testing.TB, public ...crypto.PublicKey) *KeySet {
	t.Helper()
	source, err := NewStatic(nil, public)
	if err != nil {
		t.Fatal(err)
	}
	return NewRing(source, nil).fresh().set
}
