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
		{name: "jwk: the forger's key", token: theirs(kid, member{"jwk", strangerKey}), want: badSignature},
		{name: "jwk: the forger's key without a kid", token: theirs(member{"jwk", strangerKey}), want: badSignature},
		{name: "jwk: the forger's key and its kid", token: theirs(member{"kid", stranger}, member{"jwk", strangerKey}), want: noKey},
		{name: "jwk: ours", token: ours(member{"jwk", ownKey}), want: accepted},
		{name: "jwk: another of ours", token: ours(member{"jwk", jwk("P-384", true)}), want: accepted},
		{name: "jwk: null", token: ours(member{"jwk", `null`}), want: accepted},
		{name: "jwk: nothing in it", token: ours(member{"jwk", `{}`}), want: notOurs},
		{name: "jwk: a private key", token: ours(member{"jwk", jwk("P-256", false)}), want: notOurs},
		{name: "jwk: a secret", token: ours(member{"jwk", `{"kty":"oct","k":"c2VjcmV0"}`}), want: notOurs},
		{
			name:  "jwk: off the curve",
			token: ours(member{"jwk", `{"kty":"EC","crv":"P-256","x":"` + encode(strings.Repeat("\x01", 32)) + `","y":"` + encode(strings.Repeat("\x01", 32)) + `"}`}),
			want:  notOurs,
		},
		{name: "jwk: an RSA key whose exponent is 0", token: ours(member{"jwk", `{"kty":"RSA","n":"AQAB","e":"AA"}`}), want: notOurs},
		{name: "jwk: a text", token: ours(member{"jwk", `"P-256"`}), want: notOurs},
		{name: "jku: the forger's", token: theirs(kid, member{"jku", `"https://forger.example/keys"`}), want: badSignature},
		{name: "jku: ignored", token: ours(member{"jku", `"https://forger.example/keys"`}), want: accepted},
		{name: "x5u: the forger's", token: theirs(kid, member{"x5u", `"file:///etc/passwd"`}), want: badSignature},
		{name: "x5u: ignored", token: ours(member{"x5u", `"file:///etc/passwd"`}), want: accepted},
		{name: "x5c: the forger's", token: theirs(kid, member{"x5c", chain}), want: badSignature},
		{name: "x5c: the forger's without a kid", token: theirs(member{"x5c", chain}), want: badSignature},
		{name: "x5c: ignored", token: ours(member{"x5c", chain}), want: accepted},
		{name: "x5c: no certificate", token: ours(member{"x5c", `["AAAA"]`}), want: notOurs},
		{name: "x5c: no base64", token: ours(member{"x5c", `["!"]`}), want: notOurs},
		{name: "x5c: a text", token: ours(member{"x5c", `"AAAA"`}), want: notOurs},
		{name: "x5c: empty", token: ours(member{"x5c", `[]`}), want: accepted},
		{name: "x5t: ignored", token: ours(member{"x5t", `"AAAA"`}, member{"x5t#S256", `"AAAA"`}), want: accepted},

		{name: "crit: exp", token: ours(member{"crit", `["exp"]`}, member{"exp", `1`}), want: badSignature},
		{name: "crit: alg", token: ours(member{"crit", `["alg"]`}), want: badSignature},
		{name: "crit: a name that is not there", token: ours(member{"crit", `["nothing"]`}), want: badSignature},
		{name: "crit: the empty name", token: ours(member{"crit", `[""]`}), want: badSignature},
		{name: "crit: b64", token: ours(member{"crit", `["b64"]`}, member{"b64", `true`}), want: badSignature},
		{name: "crit: empty", token: ours(member{"crit", `[]`}), want: accepted},
		{name: "crit: null", token: ours(member{"crit", `null`}), want: accepted},
		{name: "crit: a text", token: ours(member{"crit", `"exp"`}), want: refused("json: cannot unmarshal string into Go value of type []string")},
		{
			name:  "crit: a text, without a kid",
			token: sealed("P-256", object(alg, member{"crit", `"exp"`}), goodClaims()),
			want:  refused("json: cannot unmarshal string into Go value of type []string"),
		},
		{name: "crit: a number", token: ours(member{"crit", `[1]`}), want: refused("json: cannot unmarshal number into Go value of type string")},
		{name: "crit: an object", token: ours(member{"crit", `{"exp":1}`}), want: refused("json: cannot unmarshal object into Go value of type []string")},
		{name: "crit: in another case", token: ours(member{"Crit", `["exp"]`}), want: accepted},
		{name: "crit: with an unknown kid", token: unknown(member{"crit", `["exp"]`}), want: noKey},
		{name: "crit: a text, with an unknown kid", token: unknown(member{"crit", `"exp"`}), want: noKey},
		{
			name:  "crit: a text, without a kid, signed by the forger",
			token: theirs(member{"crit", `"exp"`}),
			want:  refused("json: cannot unmarshal string into Go value of type []string"),
		},
		{name: "crit: signed by the forger", token: theirs(kid, member{"crit", `["exp"]`}), want: badSignature},
		{name: "b64: true", token: ours(member{"b64", `true`}), want: accepted},
		{name: "b64: false", token: ours(member{"b64", `false`}), want: badSignature},
		{name: "b64: a text", token: ours(member{"b64", `"false"`}), want: badSignature},
		{name: "b64: null", token: ours(member{"b64", `null`}), want: accepted},
		{name: "b64: false, critical", token: ours(member{"b64", `false`}, member{"crit", `["b64"]`}), want: badSignature},
		{name: "b64: false, critical, signed so", token: plainPayload(), want: badSignature},
		// What is wrong with crit is said first, whichever stands first.
		{
			name:  "crit: a text, then b64: false",
			token: ours(member{"crit", `"exp"`}, member{"b64", `false`}),
			want:  refused("json: cannot unmarshal string into Go value of type []string"),
		},
		{
			name:  "crit: a text, then b64: a text",
			token: ours(member{"crit", `"exp"`}, member{"b64", `"false"`}),
			want:  refused("json: cannot unmarshal string into Go value of type []string"),
		},
		{
			name:  "crit: a number, then b64: false",
			token: ours(member{"crit", `[1]`}, member{"b64", `false`}),
			want:  refused("json: cannot unmarshal number into Go value of type string"),
		},
		{
			name:  "b64: false, then crit: a text",
			token: ours(member{"b64", `false`}, member{"crit", `"exp"`}),
			want:  refused("json: cannot unmarshal string into Go value of type []string"),
		},
		{name: "zip: ignored", token: ours(member{"zip", `"DEF"`}), want: accepted},
		{name: "enc: ignored", token: ours(member{"enc", `"A256GCM"`}), want: accepted},
		{name: "typ: ignored", token: ours(member{"typ", `"at+jwt"`}, member{"cty", `"JWT"`}), want: accepted},
		{name: "typ: a number", token: ours(member{"typ", `1`}), want: accepted},
		{name: "nonce: a text", token: ours(member{"nonce", `"x"`}), want: accepted},
		{name: "nonce: a number", token: ours(member{"nonce", `1`}), want: notOurs},
		{name: "unknown members", token: ours(member{"", `1`}, member{"epk", `{"kty":"x"}`}, member{"p2c", `2147483647`}), want: accepted},
		{name: "a member twice in an unknown one", token: ours(member{"x", `{"a":1,"a":2}`}), want: notOurs},
		{name: "a member twice in crit", token: ours(member{"crit", `[{"a":1,"a":2}]`}), want: notOurs},
		{name: "an unknown member twice", token: ours(member{"x", `1`}, member{"x", `1`}), want: notOurs},
	}
	return append(rows, headerShapeRows()...)
}

// headerShapeRows are tokens whose header is not what it should be as a whole.
func headerShapeRows() []row {
	good := goodHeader("P-256")
	of := func(header string) string { return sealed("P-256", header, goodClaims()) }
	return []row{
		{name: "header: empty", token: of(""), want: badSignature},
		{name: "header: null", token: of("null"), want: badSignature},
		{name: "header: {}", token: of("{}"), want: badSignature},
		{name: "header: a list", token: of("[" + good + "]"), want: notOurs},
		{name: "header: a text", token: of(quote(good)), want: notOurs},
		{name: "header: a number", token: of("1"), want: notOurs},
		{name: "header: true", token: of("true"), want: notOurs},
		{name: "header: no JSON", token: of("ES256"), want: notOurs},
		{name: "header: cut short", token: of(good[:len(good)-1]), want: notOurs},
		{name: "header: something behind it", token: of(good + "x"), want: notOurs},
		{name: "header: another behind it", token: of(good + good), want: notOurs},
		{name: "header: a NUL behind it", token: of(good + "\x00"), want: notOurs},
		{name: "header: white space around it", token: of(" \t" + good + "\r\n"), want: accepted},
		{name: "header: a byte order mark", token: of("\ufeff" + good), want: notOurs},
		{name: "header: a comment", token: of("/**/" + good), want: notOurs},
		{name: "header: single quotes", token: of(strings.ReplaceAll(good, `"`, `'`)), want: notOurs},
		{name: "header: a comma too many", token: of(strings.TrimSuffix(good, "}") + ",}"), want: notOurs},
		{name: "header: escapes", token: of(strings.Replace(good, `"alg"`, `"\u0061lg"`, 1)), want: accepted},
		{name: "header: alg and its escape", token: of(strings.TrimSuffix(good, "}") + `,"\u0061lg":"none"}`), want: notOurs},
		{name: "header: not UTF-8 in a name", token: of(strings.TrimSuffix(good, "}") + ",\"\xff\":1}"), want: accepted},
		{name: "header: not UTF-8 in kid", token: of(object(member{"alg", `"ES256"`}, member{"kid", "\"\xff\""})), want: noKey},
		{name: "header: UTF-16", token: of(utf16(good)), want: notOurs},
		{name: "header: nested deeply", token: of(strings.TrimSuffix(good, "}") + `,"x":` + nested(9_000) + "}"), want: accepted},
		{name: "header: nested too deeply", token: of(strings.TrimSuffix(good, "}") + `,"x":` + nested(500_000) + "}"), want: notOurs},
		{name: "header: nested too deeply, alone", token: of(nested(500_000)), want: notOurs},
		{name: "header: objects nested too deeply", token: of(strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)), want: notOurs},
		{name: "header: opened and never closed", token: of(strings.Repeat("[", 1<<20)), want: notOurs},
		{name: "header: a long kid", token: of(object(member{"alg", `"ES256"`}, member{"kid", quote(strings.Repeat("k", 1<<20))})), want: noKey},
		{name: "header: a long alg", token: of(object(member{"alg", quote(strings.Repeat("a", 1<<20))}, member{"kid", quote(keyring()["P-256"].id)})), want: badSignature},
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
			rows = append(rows, row{name: name + " signature: " + what, token: signed + "." + encode(string(made)), want: want})
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
		rows = append(rows, row{name: "RSA signature: " + what, token: signed + "." + encode(string(made)), want: want})
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
		rows = append(rows, row{name: "RSA: " + pair[0] + " signed as " + pair[1], token: signed + "." + encode(string(signature("RSA", pair[1], signed))), want: badSignature})
	}
	return rows
}
