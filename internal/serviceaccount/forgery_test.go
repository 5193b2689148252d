package serviceaccount_test

import (
	"slices"
	"strings"
	"testing"
)

// TestForgery reviews every token that somebody might make up. A row's name says what is wrong with its token; the
// token itself is never printed.
func TestForgery(t *testing.T) {
	s := newServer(t)
	seen := map[string]bool{}
	rows := slices.Concat(algorithmRows(), secretRows(), headerRows(), signatureRows(), memberRows(), audienceRows(),
		timeRows(), shapeRows(), encodingRows(), partRows())
	for _, r := range rows {
		if seen[r.name] {
			t.Errorf("two rows are called %q", r.name)
		}
		seen[r.name] = true
		t.Run(r.name, func(t *testing.T) { s.check(t, r) })
	}
	if !slices.ContainsFunc(rows, func(r row) bool { return r.want == accepted }) {
		t.Error("no token of the table is accepted: its forger is broken")
	}
}

// fits says which algorithms a key is for. Beyond these pairs nothing is accepted, whatever else is right: ES256 with a
// P-384 key, say, which kube-apiserver would check.
var fits = map[string][]string{
	"P-256": {"ES256"},
	"P-384": {"ES384"},
	"P-521": {"ES512"},
	"RSA":   {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
}

// algorithmRows are all algorithms by all keys by all ways to name the key. Every token is signed by the key as well as
// it can be.
func algorithmRows() []row {
	algorithms := []string{
		"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "HS256", "HS384", "HS512", "EdDSA", "ES256K",
		"none", "None", "NONE", "nOnE", "", " ES256", "ES256 ", "es256", "rs256", "ES256\x00",
		"RSA1_5", "RSA-OAEP", "ECDH-ES", "dir", "A128KW", "PBES2-HS256+A128KW",
	}
	var rows []row
	for _, name := range []string{"P-256", "P-384", "P-521", "RSA", "stranger"} {
		for _, algorithm := range algorithms {
			good := badSignature
			if slices.Contains(fits[name], algorithm) {
				good = accepted
			}
			for _, id := range keyIDs(name, good) {
				members := append([]member{{"alg", quote(algorithm)}}, id.members...)
				signed := encode(object(members...)) + "." + encode(goodClaims())
				rows = append(rows, row{
					name:  strings.Join([]string{name, "alg " + quote(algorithm), "kid " + id.name}, ", "),
					token: signed + "." + encode(string(signature(name, algorithm, signed))),
					want:  id.want,
				})
			}
		}
	}
	return rows
}

// naming is a way to name, or not to name, the key in the header.
type naming struct {
	name    string
	members []member
	want    string
}

// keyIDs are the ways to name a key. good is what the token gets if the right key is found.
func keyIDs(name, good string) []naming {
	right := quote(keyring()[name].id)
	own := good
	if name == "stranger" {
		own = noKey
	}
	others := map[string]string{"P-256": "P-384", "P-384": "P-521", "P-521": "RSA", "RSA": "P-256", "stranger": "P-256"}
	return []naming{
		{"right", []member{{"kid", right}}, own},
		{"another key's", []member{{"kid", quote(keyring()[others[name]].id)}}, badSignature},
		{"unknown", []member{{"kid", `"unknown"`}}, noKey},
		{"right in capitals", []member{{"kid", strings.ToUpper(right)}}, noKey},
		{"right and a blank", []member{{"kid", quote(keyring()[name].id + " ")}}, noKey},
		{"a path", []member{{"kid", `"../../../../dev/null"`}}, noKey},
		// Very old tokens name no key; then all are tried.
		{"missing", nil, good},
		{"empty", []member{{"kid", `""`}}, good},
		{"null", []member{{"kid", `null`}}, good},
		{"in another case", []member{{"KID", right}, {"Kid", `"unknown"`}}, good},
		{"twice", []member{{"kid", right}, {"kid", right}}, notOurs},
		{"right, then unknown", []member{{"kid", right}, {"kid", `"unknown"`}}, notOurs},
		{"unknown, then right", []member{{"kid", `"unknown"`}, {"kid", right}}, notOurs},
		{"a number", []member{{"kid", `1`}}, notOurs},
		{"a list", []member{{"kid", `[` + right + `]`}}, notOurs},
	}
}

// secretRows are tokens whose forger takes what is public for a secret, and tokens with no signature.
func secretRows() []row {
	var rows []row
	for _, name := range []string{"P-256", "P-384", "P-521", "RSA"} {
		id := member{"kid", quote(keyring()[name].id)}
		for _, algorithm := range []string{"HS256", "HS384", "HS512"} {
			for form, secret := range published(name) {
				signed := encode(object(member{"alg", quote(algorithm)}, id)) + "." + encode(goodClaims())
				rows = append(rows, row{
					name:  strings.Join([]string{algorithm, "of", name, form}, " "),
					token: signed + "." + encode(string(mac(algorithm, secret, signed))),
					want:  badSignature,
				})
			}
		}
		for _, algorithm := range []string{"none", "None", "NONE", "nOnE", "noNe", " none", "", "null"} {
			for _, end := range []string{"", encode("x")} {
				rows = append(rows, row{
					name:  "no signature: " + name + ", alg " + quote(algorithm) + ", then " + quote(end),
					token: encode(object(member{"alg", quote(algorithm)}, id)) + "." + encode(goodClaims()) + "." + end,
					want:  badSignature,
				})
			}
		}
		rows = append(rows,
			row{name: "no alg, " + name, token: sealed(name, object(id), goodClaims()), want: badSignature},
			row{name: "alg null, " + name, token: sealed(name, object(member{"alg", `null`}, id), goodClaims()), want: badSignature},
			row{name: "alg a number, " + name, token: sealed(name, object(member{"alg", `256`}, id), goodClaims()), want: notOurs},
			row{name: "alg a list, " + name, token: sealed(name, object(member{"alg", `["` + usualAlgorithm(name) + `"]`}, id), goodClaims()), want: notOurs},
			row{
				name:  "alg twice, " + name,
				token: sealed(name, object(member{"alg", quote(usualAlgorithm(name))}, member{"alg", quote(usualAlgorithm(name))}, id), goodClaims()),
				want:  notOurs,
			},
			row{name: "alg, then none, " + name, token: sealed(name, object(member{"alg", quote(usualAlgorithm(name))}, member{"alg", `"none"`}, id), goodClaims()), want: notOurs},
			row{
				name:  "alg in another case, " + name,
				token: sealed(name, object(member{"ALG", quote(usualAlgorithm(name))}, member{"Alg", quote(usualAlgorithm(name))}, id), goodClaims()),
				want:  badSignature,
			},
		)
	}
	return rows
}
