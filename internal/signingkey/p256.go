package signingkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"math/big"

	"filippo.io/nistec"
)

// To check a signature is to multiply two points and to add them (FIPS 186-5 section 6.4.2): the curve's generator, of
// which the library has multiples at hand, and the public key. The second takes most of the time. But a server checks all
// its tokens with a few keys, so their multiples are worth having at hand, too: then it takes half the time of
// crypto/ecdsa.
//
// Nothing here is secret, neither keys nor signatures nor what is signed, so the time that it takes may depend on them. To
// sign is another matter, and is left to crypto/ecdsa.

const (
	// windowBits is how many bits of a number are looked up at a time. With six, a key's multiples take 260 kB.
	windowBits = 6
	windows    = (256 + windowBits - 1) / windowBits
	windowMask = 1<<windowBits - 1
)

// p256 is a public key on P-256 with multiples of its point.
type p256 struct {
	// multiples have j·2^(windowBits·i) times the point at [i][j-1].
	multiples [windows][windowMask]nistec.P256Point
}

// newP256 returns nil for a key that is not on P-256, and where Go is asked to use nothing but its FIPS 140-3 module.
// Others are for crypto/ecdsa to check.
func newP256(key *ecdsa.PublicKey) *p256 {
	if key.Curve != elliptic.P256() || fips140.Enabled() {
		return nil
	}
	encoded, err := key.Bytes()
	if err != nil {
		return nil
	}
	base, err := nistec.NewP256Point().SetBytes(encoded)
	if err != nil {
		return nil
	}
	p := &p256{}
	for i := range p.multiples {
		row := &p.multiples[i]
		row[0].Set(base)
		for j := 1; j < len(row); j++ {
			row[j].Add(&row[j-1], base)
		}
		base.Add(&row[len(row)-1], base)
	}
	return p
}

var p256Order = elliptic.P256().Params().N

// verify reports whether the key made a signature, r and s side by side as JWS has them (RFC 7518 section 3.4), of a text
// with this SHA-256.
func (p *p256) verify(digest []byte, signature string) bool {
	const size = 32
	if len(signature) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes([]byte(signature[:size])), new(big.Int).SetBytes([]byte(signature[size:]))
	for _, number := range []*big.Int{r, s} {
		if number.Sign() == 0 || number.Cmp(p256Order) >= 0 {
			return false
		}
	}
	inverse := new(big.Int).ModInverse(s, p256Order)
	ofGenerator := new(big.Int).SetBytes(digest)
	ofGenerator.Mul(ofGenerator, inverse).Mod(ofGenerator, p256Order)
	ofKey := inverse.Mul(r, inverse).Mod(inverse, p256Order)
	var number [size]byte
	sum, err := nistec.NewP256Point().ScalarBaseMult(ofGenerator.FillBytes(number[:]))
	if err != nil {
		return false
	}
	p.addMultiple(sum, ofKey.FillBytes(number[:]))
	x, err := sum.BytesX()
	if err != nil {
		return false // the point at infinity has none
	}
	got := new(big.Int).SetBytes(x)
	return got.Mod(got, p256Order).Cmp(r) == 0
}

// addMultiple adds to a sum so many times the point. The number is big-endian.
func (p *p256) addMultiple(sum *nistec.P256Point, number []byte) {
	var digits [256/8 + 1]byte // little-endian, and one more to read two at a time
	for i, digit := range number {
		digits[len(number)-1-i] = digit
	}
	for i := range p.multiples {
		at := i * windowBits
		window := (uint(digits[at/8]) | uint(digits[at/8+1])<<8) >> (at % 8) & windowMask
		if window > 0 {
			sum.Add(sum, &p.multiples[i][window-1])
		}
	}
}
