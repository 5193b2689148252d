package serviceaccount_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// headerRows are tokens whose header tells the server what to do. Keys and their places are never taken from there, and
// what the server doesn't understand it either ignores or, if told that it is critical, refuses.
func headerRows() []row {
	own, stranger := quote(keyring()["P-256"].id), quote(keyring()["stranger"].id)
	alg, kid := member{"alg", `"ES256"`}, member{"kid", own}
	ours := func(more ...member) string {
		return sealed("P-256", object(append([]member{alg, kid}, more...)...), goodClaims())
	}
	theirs := func(members ...member) string {
		return sealed("stranger", object(append([]member{alg}, members...)...), goodClaims())
	}
	unknown := func(more ...member) string {
		return sealed("P-256", object(append([]member{alg, {"kid", `"unknown"`}}, more...)...), goodClaims())
	}
	strangerKey, ownKey := jwk("stranger", true), jwk("P-256", true)
	chain := `["` + base64.StdEncoding.EncodeToString(certificate("stranger")) + `"]`
	rows := []row{
		{"jwk: the forger's key", theirs(kid, member{"jwk", strangerKey}), badSignature},
		{"jwk: the forger's key without a kid", theirs(member{"jwk", strangerKey}), badSignature},
		{"jwk: the forger's key and its kid", theirs(member{"kid", stranger}, member{"jwk", strangerKey}), noKey},
		{"jwk: ours", ours(member{"jwk", ownKey}), accepted},
		{"jwk: another of ours", ours(member{"jwk", jwk("P-384", true)}), accepted},
		{"jwk: null", ours(member{"jwk", `null`}), accepted},
		{"jwk: nothing in it", ours(member{"jwk", `{}`}), notOurs},
		{"jwk: a private key", ours(member{"jwk", jwk("P-256", false)}), notOurs},
		{"jwk: a secret", ours(member{"jwk", `{"kty":"oct","k":"c2VjcmV0"}`}), notOurs},
		{"jwk: off the curve", ours(member{"jwk", `{"kty":"EC","crv":"P-256","x":"` + encode(strings.Repeat("\x01", 32)) + `","y":"` + encode(strings.Repeat("\x01", 32)) + `"}`}), notOurs},
		{"jwk: an RSA key whose exponent is 0", ours(member{"jwk", `{"kty":"RSA","n":"AQAB","e":"AA"}`}), notOurs},
		{"jwk: a text", ours(member{"jwk", `"P-256"`}), notOurs},
		{"jku: the forger's", theirs(kid, member{"jku", `"https://forger.example/keys"`}), badSignature},
		{"jku: ignored", ours(member{"jku", `"https://forger.example/keys"`}), accepted},
		{"x5u: the forger's", theirs(kid, member{"x5u", `"file:///etc/passwd"`}), badSignature},
		{"x5u: ignored", ours(member{"x5u", `"file:///etc/passwd"`}), accepted},
		{"x5c: the forger's", theirs(kid, member{"x5c", chain}), badSignature},
		{"x5c: the forger's without a kid", theirs(member{"x5c", chain}), badSignature},
		{"x5c: ignored", ours(member{"x5c", chain}), accepted},
		{"x5c: no certificate", ours(member{"x5c", `["AAAA"]`}), notOurs},
		{"x5c: no base64", ours(member{"x5c", `["!"]`}), notOurs},
		{"x5c: a text", ours(member{"x5c", `"AAAA"`}), notOurs},
		{"x5c: empty", ours(member{"x5c", `[]`}), accepted},
		{"x5t: ignored", ours(member{"x5t", `"AAAA"`}, member{"x5t#S256", `"AAAA"`}), accepted},

		{"crit: exp", ours(member{"crit", `["exp"]`}, member{"exp", `1`}), badSignature},
		{"crit: alg", ours(member{"crit", `["alg"]`}), badSignature},
		{"crit: a name that is not there", ours(member{"crit", `["nothing"]`}), badSignature},
		{"crit: the empty name", ours(member{"crit", `[""]`}), badSignature},
		{"crit: b64", ours(member{"crit", `["b64"]`}, member{"b64", `true`}), badSignature},
		{"crit: empty", ours(member{"crit", `[]`}), accepted},
		{"crit: null", ours(member{"crit", `null`}), accepted},
		{"crit: a text", ours(member{"crit", `"exp"`}), refused("json: cannot unmarshal string into Go value of type []string")},
		{"crit: a text, without a kid", sealed("P-256", object(alg, member{"crit", `"exp"`}), goodClaims()), refused("json: cannot unmarshal string into Go value of type []string")},
		{"crit: a number", ours(member{"crit", `[1]`}), refused("json: cannot unmarshal number into Go value of type string")},
		{"crit: an object", ours(member{"crit", `{"exp":1}`}), refused("json: cannot unmarshal object into Go value of type []string")},
		{"crit: in another case", ours(member{"Crit", `["exp"]`}), accepted},
		{"crit: with an unknown kid", unknown(member{"crit", `["exp"]`}), noKey},
		{"crit: a text, with an unknown kid", unknown(member{"crit", `"exp"`}), noKey},
		{"crit: a text, without a kid, signed by the forger", theirs(member{"crit", `"exp"`}), refused("json: cannot unmarshal string into Go value of type []string")},
		{"crit: signed by the forger", theirs(kid, member{"crit", `["exp"]`}), badSignature},
		{"b64: true", ours(member{"b64", `true`}), accepted},
		{"b64: false", ours(member{"b64", `false`}), badSignature},
		{"b64: a text", ours(member{"b64", `"false"`}), badSignature},
		{"b64: null", ours(member{"b64", `null`}), accepted},
		{"b64: false, critical", ours(member{"b64", `false`}, member{"crit", `["b64"]`}), badSignature},
		{"b64: false, critical, signed so", plainPayload(), badSignature},
		// What is wrong with crit is said first, whichever stands first.
		{"crit: a text, then b64: false", ours(member{"crit", `"exp"`}, member{"b64", `false`}), refused("json: cannot unmarshal string into Go value of type []string")},
		{"crit: a text, then b64: a text", ours(member{"crit", `"exp"`}, member{"b64", `"false"`}), refused("json: cannot unmarshal string into Go value of type []string")},
		{"crit: a number, then b64: false", ours(member{"crit", `[1]`}, member{"b64", `false`}), refused("json: cannot unmarshal number into Go value of type string")},
		{"b64: false, then crit: a text", ours(member{"b64", `false`}, member{"crit", `"exp"`}), refused("json: cannot unmarshal string into Go value of type []string")},
		{"zip: ignored", ours(member{"zip", `"DEF"`}), accepted},
		{"enc: ignored", ours(member{"enc", `"A256GCM"`}), accepted},
		{"typ: ignored", ours(member{"typ", `"at+jwt"`}, member{"cty", `"JWT"`}), accepted},
		{"typ: a number", ours(member{"typ", `1`}), accepted},
		{"nonce: a text", ours(member{"nonce", `"x"`}), accepted},
		{"nonce: a number", ours(member{"nonce", `1`}), notOurs},
		{"unknown members", ours(member{"", `1`}, member{"epk", `{"kty":"x"}`}, member{"p2c", `2147483647`}), accepted},
		{"a member twice in an unknown one", ours(member{"x", `{"a":1,"a":2}`}), notOurs},
		{"a member twice in crit", ours(member{"crit", `[{"a":1,"a":2}]`}), notOurs},
		{"an unknown member twice", ours(member{"x", `1`}, member{"x", `1`}), notOurs},
	}
	return append(rows, headerShapeRows()...)
}

// headerShapeRows are tokens whose header is not what it should be as a whole.
func headerShapeRows() []row {
	good := goodHeader("P-256")
	of := func(header string) string { return sealed("P-256", header, goodClaims()) }
	return []row{
		{"header: empty", of(""), badSignature},
		{"header: null", of("null"), badSignature},
		{"header: {}", of("{}"), badSignature},
		{"header: a list", of("[" + good + "]"), notOurs},
		{"header: a text", of(quote(good)), notOurs},
		{"header: a number", of("1"), notOurs},
		{"header: true", of("true"), notOurs},
		{"header: no JSON", of("ES256"), notOurs},
		{"header: cut short", of(good[:len(good)-1]), notOurs},
		{"header: something behind it", of(good + "x"), notOurs},
		{"header: another behind it", of(good + good), notOurs},
		{"header: a NUL behind it", of(good + "\x00"), notOurs},
		{"header: white space around it", of(" \t" + good + "\r\n"), accepted},
		{"header: a byte order mark", of("\ufeff" + good), notOurs},
		{"header: a comment", of("/**/" + good), notOurs},
		{"header: single quotes", of(strings.ReplaceAll(good, `"`, `'`)), notOurs},
		{"header: a comma too many", of(strings.TrimSuffix(good, "}") + ",}"), notOurs},
		{"header: escapes", of(strings.Replace(good, `"alg"`, `"\u0061lg"`, 1)), accepted},
		{"header: alg and its escape", of(strings.TrimSuffix(good, "}") + `,"\u0061lg":"none"}`), notOurs},
		{"header: not UTF-8 in a name", of(strings.TrimSuffix(good, "}") + ",\"\xff\":1}"), accepted},
		{"header: not UTF-8 in kid", of(object(member{"alg", `"ES256"`}, member{"kid", "\"\xff\""})), noKey},
		{"header: UTF-16", of(utf16(good)), notOurs},
		{"header: nested deeply", of(strings.TrimSuffix(good, "}") + `,"x":` + nested(9_000) + "}"), accepted},
		{"header: nested too deeply", of(strings.TrimSuffix(good, "}") + `,"x":` + nested(500_000) + "}"), notOurs},
		{"header: nested too deeply, alone", of(nested(500_000)), notOurs},
		{"header: objects nested too deeply", of(strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)), notOurs},
		{"header: opened and never closed", of(strings.Repeat("[", 1<<20)), notOurs},
		{"header: a long kid", of(object(member{"alg", `"ES256"`}, member{"kid", quote(strings.Repeat("k", 1<<20))})), noKey},
		{"header: a long alg", of(object(member{"alg", quote(strings.Repeat("a", 1<<20))}, member{"kid", quote(keyring()["P-256"].id)})), badSignature},
	}
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func utf16(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		b.WriteByte(c)
		b.WriteByte(0)
	}
	return b.String()
}

// jwk is the named key as a JSON Web Key.
func jwk(name string, public bool) string {
	k := jose.JSONWebKey{Key: keyring()[name].Signer, KeyID: keyring()[name].id}
	if public {
		k = k.Public()
	}
	text, err := json.Marshal(k)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// certificate is one that the named key has signed for itself.
func certificate(name string) []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	private := keyring()[name].Signer
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		panic(err)
	}
	return der
}

// plainPayload is a token of RFC 7797: what is signed is the payload itself, not its encoding.
func plainPayload() string {
	header := object(member{"alg", `"ES256"`}, member{"kid", quote(keyring()["P-256"].id)}, member{"b64", `false`}, member{"crit", `["b64"]`})
	claims := goodClaims()
	made := signature("P-256", "ES256", encode(header)+"."+claims)
	return encode(header) + "." + encode(claims) + "." + encode(string(made))
}

// signatureRows are good tokens with something else in the place of their signature.
func signatureRows() []row {
	var rows []row
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		size := (curve.Params().BitSize + 7) / 8
		signed := encode(goodHeader(name)) + "." + encode(goodClaims())
		good := signature(name, usualAlgorithm(name), signed)
		r, s := new(big.Int).SetBytes(good[:size]), new(big.Int).SetBytes(good[size:])
		n, zero, one := curve.Params().N, new(big.Int), big.NewInt(1)
		pair := func(r, s *big.Int) []byte {
			made := make([]byte, 2*size)
			r.FillBytes(made[:size])
			s.FillBytes(made[size:])
			return made
		}
		der, err := ecdsa.SignASN1(rand.Reader, keyring()[name].Signer.(*ecdsa.PrivateKey), sumOf(name, signed))
		if err != nil {
			panic(err)
		}
		flipped := append([]byte(nil), good...)
		flipped[0] ^= 0x80
		add := func(what string, made []byte, want string) {
			rows = append(rows, row{name + " signature: " + what, signed + "." + encode(string(made)), want})
		}
		add("good", good, accepted)
		// Whoever has a signature can make this one of it; it says nothing new. kube-apiserver takes it too.
		add("n-s in place of s", pair(r, new(big.Int).Sub(n, s)), accepted)
		add("r of 0", pair(zero, s), badSignature)
		add("s of 0", pair(r, zero), badSignature)
		add("both 0", pair(zero, zero), badSignature)
		add("both 1", pair(one, one), badSignature)
		add("r of n", pair(n, s), badSignature)
		add("s of n", pair(r, n), badSignature)
		add("both n", pair(n, n), badSignature)
		add("r of n, s of 0", pair(n, zero), badSignature)
		add("both n-1", pair(new(big.Int).Sub(n, one), new(big.Int).Sub(n, one)), badSignature)
		if name == "P-521" { // only there r+n has room
			add("r+n", pair(new(big.Int).Add(r, n), s), badSignature)
			add("s+n", pair(r, new(big.Int).Add(s, n)), badSignature)
		}
		add("swapped", pair(s, r), badSignature)
		add("a bit changed", flipped, badSignature)
		add("all ones", []byte(strings.Repeat("\xff", 2*size)), badSignature)
		add("DER", der, badSignature)
		add("DER, filled up", append(der, make([]byte, 2*size)...)[:2*size], badSignature)
		add("a byte short", good[:len(good)-1], badSignature)
		add("a byte long", append(good[:len(good):len(good)], 0), badSignature)
		add("a zero in front", append([]byte{0}, good...), badSignature)
		add("a zero between r and s", append(append(good[:size:size], 0), good[size:]...), badSignature)
		add("each half a byte longer", append(append([]byte{0}, good[:size]...), append([]byte{0}, good[size:]...)...), badSignature)
		add("r alone", good[:size], badSignature)
		add("twice", append(good[:len(good):len(good)], good...), badSignature)
		add("empty", nil, badSignature)
		add("one byte", []byte{1}, badSignature)
		add("a megabyte", make([]byte, 1<<20), badSignature)
		add("the forger's", signature("stranger", usualAlgorithm(name), signed), badSignature)
		add("of the payload alone", signature(name, usualAlgorithm(name), encode(goodClaims())), badSignature)
		add("of the decoded parts", signature(name, usualAlgorithm(name), goodHeader(name)+"."+goodClaims()), badSignature)
		add("of another token", signature(name, usualAlgorithm(name), encode(goodHeader(name))+"."+encode(goodClaims(member{"jti", `"9b4b"`}))), badSignature)
	}
	return append(rows, rsaRows()...)
}

func sumOf(name, signed string) []byte {
	h, _ := digest(usualAlgorithm(name), signed)
	return h.sum
}

// rsaRows are the same for the RSA key, and some in which header and signature differ about the way of signing.
func rsaRows() []row {
	header := func(algorithm string) string {
		return object(member{"alg", quote(algorithm)}, member{"kid", quote(keyring()["RSA"].id)})
	}
	signed := encode(goodHeader("RSA")) + "." + encode(goodClaims())
	good := signature("RSA", "RS256", signed)
	number := func(x int64) []byte { return big.NewInt(x).FillBytes(make([]byte, len(good))) }
	var rows []row
	add := func(what string, made []byte, want string) {
		rows = append(rows, row{"RSA signature: " + what, signed + "." + encode(string(made)), want})
	}
	add("good", good, accepted)
	add("0", number(0), badSignature)
	add("1", number(1), badSignature)
	add("all ones", []byte(strings.Repeat("\xff", len(good))), badSignature)
	add("a byte short", good[1:], badSignature)
	add("a zero in front", append([]byte{0}, good...), badSignature)
	add("a zero behind", append(good[:len(good):len(good)], 0), badSignature)
	add("empty", nil, badSignature)
	add("a megabyte", make([]byte, 1<<20), badSignature)
	add("of an EC key", signature("P-256", "ES256", signed), badSignature)
	pairs := [][2]string{{"RS256", "RS384"}, {"RS256", "PS256"}, {"PS256", "RS256"}, {"PS256", "PS512"}, {"RS512", "RS256"}}
	for _, pair := range pairs {
		signed := encode(header(pair[0])) + "." + encode(goodClaims())
		rows = append(rows, row{"RSA: " + pair[0] + " signed as " + pair[1], signed + "." + encode(string(signature("RSA", pair[1], signed))), badSignature})
	}
	return rows
}
