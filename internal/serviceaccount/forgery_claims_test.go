package serviceaccount_test

import (
	"fmt"
	"strings"
)

// memberRows are tokens, signed by us, in which a member stands twice or in another case. The issuer that routes a token
// is read in any case, as kube-apiserver reads it; what counts afterwards is the exact name.
func memberRows() []row {
	own, foreign := quote(issuer), quote("https://forger.example")
	first := func(m member) string {
		return issued(object(m, member{"", "1"})[:len(object(m))-1] + "," + goodClaims()[1:])
	}
	twice := func(name string) string {
		return refused("json: duplicate key '" + name + "' in object")
	}
	claim := func(changes ...member) string { return issued(goodClaims(changes...)) }
	again := func(name, value string) string {
		return issued(strings.TrimSuffix(goodClaims(), "}") + "," + quote(name) + ":" + value + "}")
	}
	wrongIssuer := func(got string) string { return refused(fmt.Sprintf("token issuer %q is invalid", got)) }
	return []row{
		{name: "iss twice", token: again("iss", own), want: twice("iss")},
		{name: "iss, then a foreign iss", token: again("iss", foreign), want: notOurs},
		{name: "foreign iss, then iss", token: first(member{"iss", foreign}), want: twice("iss")},
		{name: "aud twice", token: again("aud", `["api"]`), want: twice("aud")},
		{name: "exp twice", token: again("exp", "9999999999"), want: twice("exp")},
		{name: "sub twice", token: again("sub", quote(username)), want: twice("sub")},
		{name: "jti twice", token: again("jti", `"x"`), want: twice("jti")},
		{name: "kubernetes.io twice", token: again("kubernetes.io", boundTo()), want: twice("kubernetes.io")},
		{name: "an unknown claim twice", token: issued(strings.TrimSuffix(goodClaims(), "}") + `,"x":1,"x":1}`), want: twice("x")},
		{name: "exp and its escape", token: issued(strings.TrimSuffix(goodClaims(), "}") + `,"\u0065xp":9999999999}`), want: twice("exp")},
		{name: "namespace twice", token: claim(member{"kubernetes.io", strings.TrimSuffix(boundTo(), "}") + `,"namespace":"ns"}`}), want: twice("namespace")},
		{name: "serviceaccount twice", token: claim(member{"kubernetes.io", strings.TrimSuffix(boundTo(), "}") + `,"serviceaccount":{}}`}), want: twice("serviceaccount")},
		{name: "name twice", token: claim(member{"kubernetes.io", boundTo(member{"serviceaccount", `{"name":"other","name":"app","uid":"u1"}`})}), want: twice("name")},
		{name: "uid twice", token: claim(member{"kubernetes.io", boundTo(member{"serviceaccount", `{"name":"app","uid":"u0","uid":"u1"}`})}), want: twice("uid")},

		{name: "ISS alone", token: claim(member{"iss", ""}, member{"ISS", own}), want: wrongIssuer("")},
		{name: "Iss alone", token: claim(member{"iss", ""}, member{"Iss", own}), want: wrongIssuer("")},
		{name: "is\u017f alone", token: claim(member{"iss", ""}, member{"is\u017f", own}), want: wrongIssuer("")},
		{name: "iss, then a foreign ISS", token: again("ISS", foreign), want: notOurs},
		{name: "foreign ISS, then iss", token: first(member{"ISS", foreign}), want: accepted},
		{name: "foreign iss, then ISS", token: issued(goodClaims(member{"iss", foreign}, member{"ISS", own})), want: wrongIssuer("https://forger.example")},
		{name: "Aud alone", token: claim(member{"aud", ""}, member{"Aud", `["forger"]`}), want: accepted},
		{name: "aud, and AUD", token: again("AUD", `["forger"]`), want: accepted},
		{
			name:  "foreign aud, and AUD",
			token: claim(member{"aud", `["forger"]`}, member{"AUD", `["api"]`}),
			want:  refused(`token audiences ["forger"] is invalid for the target audiences ["api" "other"]`),
		},
		{name: "Exp alone", token: claim(member{"exp", ""}, member{"Exp", "1"}), want: accepted},
		{name: "old exp, and EXP", token: claim(member{"exp", "1"}, member{"EXP", "9999999999"}), want: refused("service account token has expired")},
		{name: "Nbf alone", token: claim(member{"nbf", ""}, member{"Nbf", "9999999999"}), want: accepted},
		{name: "Kubernetes.io alone", token: claim(member{"kubernetes.io", ""}, member{"Kubernetes.io", boundTo()}), want: refused("resource name may not be empty")},
		{
			name:  "Namespace alone",
			token: claim(member{"kubernetes.io", boundTo(member{"namespace", ""}, member{"Namespace", `"ns"`})}),
			want:  refused("an empty namespace may not be set when a resource name is provided"),
		},
		{
			name:  "ServiceAccount alone",
			token: claim(member{"kubernetes.io", boundTo(member{"serviceaccount", ""}, member{"serviceAccount", `{"name":"app","uid":"u1"}`})}),
			want:  refused("resource name may not be empty"),
		},
		{
			name:  "Name alone",
			token: claim(member{"kubernetes.io", boundTo(member{"serviceaccount", `{"Name":"app","uid":"u1"}`})}),
			want:  refused("resource name may not be empty"),
		},
		{
			name:  "UID alone",
			token: claim(member{"kubernetes.io", boundTo(member{"serviceaccount", `{"name":"app","UID":"u1"}`})}),
			want:  refused("service account UID (u1) does not match claim ()"),
		},
		{name: "Pod instead of pod", token: claim(member{"kubernetes.io", boundTo(member{"Pod", `{"name":"gone","uid":"u9"}`})}), want: accepted},
	}
}

// audienceRows are tokens, signed by us, for all sorts of audiences. The review asks for those of the server.
func audienceRows() []row {
	wrong := func(of string) string {
		return refused("token audiences " + of + ` is invalid for the target audiences ["api" "other"]`)
	}
	var rows []row
	for _, r := range []row{
		{name: "a text", token: `"api"`, want: accepted},
		{name: "a list", token: `["api"]`, want: accepted},
		{name: "a list of several", token: `["nobody","other","api"]`, want: accepted},
		{name: "one twice", token: `["api","api"]`, want: accepted},
		// A token without an audience is for the API server: its issuer was one that knew of nothing else.
		{name: "missing", want: accepted},
		{name: "an empty list", token: `[]`, want: accepted},
		{name: "an empty text", token: `""`, want: wrong(`[""]`)},
		{name: "a list of an empty text", token: `[""]`, want: wrong(`[""]`)},
		{name: "another", token: `["nobody"]`, want: wrong(`["nobody"]`)},
		{name: "another as a text", token: `"nobody"`, want: wrong(`["nobody"]`)},
		{name: "in capitals", token: `"API"`, want: wrong(`["API"]`)},
		{name: "with a blank", token: `"api "`, want: wrong(`["api "]`)},
		{name: "with a slash", token: `"api/"`, want: wrong(`["api/"]`)},
		{name: "with a NUL", token: `"api\u0000"`, want: wrong(`["api\x00"]`)},
		{name: "all in one", token: `"api,other"`, want: wrong(`["api,other"]`)},
		{name: "all in one, blank between", token: `"api other"`, want: wrong(`["api other"]`)},
		{name: "a star", token: `"*"`, want: wrong(`["*"]`)},
		{name: "not UTF-8", token: "\"api\xff\"", want: wrong("[\"api\ufffd\"]")},
		{name: "null", token: `null`, want: badAudience},
		{name: "a number", token: `1`, want: badAudience},
		{name: "true", token: `true`, want: badAudience},
		{name: "an object", token: `{"0":"api"}`, want: badAudience},
		{name: "a list of a list", token: `[["api"]]`, want: badAudience},
		{name: "a list of a number", token: `[1]`, want: badAudience},
		{name: "a list of null", token: `[null]`, want: badAudience},
		{name: "a good one and a number", token: `["api",1]`, want: badAudience},
		{name: "a good one and a list", token: `["api",["api"]]`, want: badAudience},
		{name: "nested deeply", token: nested(9_000), want: badAudience},
		{name: "nested too deeply", token: nested(500_000), want: notOurs},
	} {
		rows = append(rows, row{name: "aud: " + r.name, token: issued(goodClaims(member{"aud", r.token})), want: r.want})
	}
	return rows
}

// timeRows are tokens, signed by us, with all sorts of times.
func timeRows() []row {
	const early, expired, future = "service account token is not valid yet", "service account token has expired", "service account token is issued in the future"
	day := fmt.Sprint(now.Unix() + 24*3600)
	var rows []row
	for _, r := range []struct{ name, value, exp, nbf, iat string }{
		{name: "missing", exp: accepted, nbf: accepted, iat: accepted},
		{name: "null", value: "null", exp: accepted, nbf: accepted, iat: accepted},
		{name: "zero", value: "0", exp: expired, nbf: accepted, iat: accepted},
		{name: "minus zero", value: "-0", exp: expired, nbf: accepted, iat: accepted},
		{name: "negative", value: "-1", exp: expired, nbf: accepted, iat: accepted},
		{name: "yesterday", value: fmt.Sprint(now.Unix() - 24*3600), exp: expired, nbf: accepted, iat: accepted},
		{name: "now", value: fmt.Sprint(now.Unix()), exp: accepted, nbf: accepted, iat: accepted},
		{name: "tomorrow", value: day, exp: accepted, nbf: early, iat: future},
		{name: "fractional, tomorrow", value: day + ".999", exp: accepted, nbf: early, iat: future},
		{name: "fractional, yesterday", value: fmt.Sprint(now.Unix()-24*3600) + ".5", exp: expired, nbf: accepted, iat: accepted},
		// Fractions are cut off.
		{name: "fractional, just before the leeway ends", value: fmt.Sprint(now.Unix()+60) + ".999", exp: accepted, nbf: accepted, iat: accepted},
		{name: "fractional, when the token ends", value: fmt.Sprint(now.Unix()-60) + ".999", exp: expired, nbf: accepted, iat: accepted},
		{name: "with an exponent", value: "1e3", exp: expired, nbf: accepted, iat: accepted},
		{name: "with an exponent, far off", value: "9.2e18", exp: accepted, nbf: early, iat: future},
		{name: "the last second there is", value: "9223372036854774784", exp: accepted, nbf: early, iat: future},
		{name: "the first second there is", value: "-9223372036854775808", exp: expired, nbf: accepted, iat: accepted},
		{name: "2^63-1", value: "9223372036854775807", exp: badDate, nbf: badDate, iat: badDate},
		{name: "2^63", value: "9223372036854775808", exp: badDate, nbf: badDate, iat: badDate},
		{name: "below -2^63", value: "-9223372036854777856", exp: badDate, nbf: badDate, iat: badDate},
		{name: "2^64", value: "18446744073709551616", exp: badDate, nbf: badDate, iat: badDate},
		{name: "2^64 and a day", value: "1.8446744073709638e19", exp: badDate, nbf: badDate, iat: badDate},
		{name: "1e300", value: "1e300", exp: badDate, nbf: badDate, iat: badDate},
		{name: "-1e300", value: "-1e300", exp: badDate, nbf: badDate, iat: badDate},
		{name: "1e400", value: "1e400", exp: badDate, nbf: badDate, iat: badDate},
		{name: "digits without end", value: strings.Repeat("9", 100_000), exp: badDate, nbf: badDate, iat: badDate},
		{name: "a text", value: `"` + day + `"`, exp: badDate, nbf: badDate, iat: badDate},
		{name: "an empty text", value: `""`, exp: badDate, nbf: badDate, iat: badDate},
		{name: "a date", value: `"2026-05-04T03:02:01Z"`, exp: badDate, nbf: badDate, iat: badDate},
		{name: "true", value: `true`, exp: badDate, nbf: badDate, iat: badDate},
		{name: "a list", value: `[` + day + `]`, exp: badDate, nbf: badDate, iat: badDate},
		{name: "an object", value: `{}`, exp: badDate, nbf: badDate, iat: badDate},
		{name: "infinite", value: `Infinity`, exp: notOurs, nbf: notOurs, iat: notOurs},
		{name: "not a number", value: `NaN`, exp: notOurs, nbf: notOurs, iat: notOurs},
		{name: "hexadecimal", value: `0x7fffffff`, exp: notOurs, nbf: notOurs, iat: notOurs},
		{name: "a leading zero", value: `0` + day, exp: notOurs, nbf: notOurs, iat: notOurs},
		{name: "a plus", value: `+` + day, exp: notOurs, nbf: notOurs, iat: notOurs},
	} {
		for claim, want := range map[string]string{"exp": r.exp, "nbf": r.nbf, "iat": r.iat} {
			if strings.HasPrefix(want, "service account token") {
				want = refused(want)
			}
			rows = append(rows, row{name: claim + ": " + r.name, token: issued(goodClaims(member{claim, r.value})), want: want})
		}
	}
	for _, value := range []string{`"soon"`, "1e300", "9223372036854775808", "true"} {
		rows = append(rows, row{name: "warnafter: " + value, token: issued(goodClaims(member{"kubernetes.io", boundTo(member{"warnafter", value})})), want: badDate})
	}
	for _, value := range []string{"0", "-1", "1", "9.2e18", "-9.2e18", "null", day} {
		rows = append(rows, row{name: "warnafter: " + value, token: issued(goodClaims(member{"kubernetes.io", boundTo(member{"warnafter", value})})), want: accepted})
	}
	return append(rows,
		row{name: "no times at all", token: issued(goodClaims(member{"exp", ""}, member{"nbf", ""}, member{"iat", ""})), want: accepted},
		row{name: "order: nbf before exp", token: issued(goodClaims(member{"exp", "1"}, member{"nbf", day}, member{"iat", day})), want: refused(early)},
		row{name: "order: exp before iat", token: issued(goodClaims(member{"exp", "1"}, member{"iat", day})), want: refused(expired)},
		row{
			name:  "order: audience before times",
			token: issued(goodClaims(member{"aud", `["x"]`}, member{"exp", "1"}, member{"nbf", day})),
			want:  refused(`token audiences ["x"] is invalid for the target audiences ["api" "other"]`),
		},
		row{name: "order: times before objects", token: issued(goodClaims(member{"exp", "1"}, member{"kubernetes.io", "{}"})), want: refused(expired)},
		row{name: "order: iat before objects", token: issued(goodClaims(member{"iat", day}, member{"kubernetes.io", "{}"})), want: refused(future)},
	)
}

// shapeRows are tokens, signed by us, whose claims are not what they should be.
func shapeRows() []row {
	const invalidated = "service account token has been invalidated"
	kind := func(got, want string) string {
		return refused("json: cannot unmarshal " + got + " into Go value of type " + want)
	}
	claim := func(name, value string) string { return issued(goodClaims(member{name, value})) }
	bound := func(name, value string) string { return claim("kubernetes.io", boundTo(member{name, value})) }
	account := func(value string) string { return bound("serviceaccount", value) }
	return []row{
		{name: "claims: good", token: issued(goodClaims()), want: accepted},
		{name: "claims: the other issuer", token: claim("iss", quote(otherIssuer)), want: accepted},
		{name: "claims: a foreign issuer", token: claim("iss", `"https://forger.example"`), want: notOurs},
		{name: "claims: a foreign issuer and its key", token: sealed("stranger", goodHeader("stranger"), goodClaims(member{"iss", `"https://forger.example"`})), want: notOurs},
		{
			name:  "claims: a foreign issuer and a foreign key",
			token: sealed("stranger", goodHeader("P-256"), goodClaims(member{"iss", `"https://forger.example"`})),
			want:  notOurs,
		},
		{name: "claims: the issuer and a slash", token: claim("iss", quote(issuer+"/")), want: notOurs},
		{name: "claims: the issuer in capitals", token: claim("iss", quote(strings.ToUpper(issuer))), want: notOurs},
		{name: "claims: no issuer", token: claim("iss", ""), want: notOurs},
		{name: "claims: an empty issuer", token: claim("iss", `""`), want: notOurs},
		{name: "claims: the issuer null", token: claim("iss", `null`), want: notOurs},
		{name: "claims: the issuer a number", token: claim("iss", `1`), want: notOurs},
		{name: "claims: the issuer a list", token: claim("iss", `["`+issuer+`"]`), want: notOurs},
		{name: "claims: empty", token: issued(""), want: notOurs},
		{name: "claims: {}", token: issued("{}"), want: notOurs},
		{name: "claims: null", token: issued("null"), want: notOurs},
		{name: "claims: a list", token: issued("[" + goodClaims() + "]"), want: notOurs},
		{name: "claims: a text", token: issued(quote(goodClaims())), want: notOurs},
		{name: "claims: a number", token: issued("1"), want: notOurs},
		{name: "claims: true", token: issued("true"), want: notOurs},
		{name: "claims: no JSON", token: issued("claims"), want: notOurs},
		{name: "claims: cut short", token: issued(strings.TrimSuffix(goodClaims(), "}")), want: notOurs},
		{name: "claims: something behind them", token: issued(goodClaims() + "x"), want: notOurs},
		{name: "claims: others behind them", token: issued(goodClaims() + goodClaims()), want: notOurs},
		{name: "claims: a NUL behind them", token: issued(goodClaims() + "\x00"), want: notOurs},
		{name: "claims: white space around them", token: issued(" \n" + goodClaims() + "\t\r\n"), want: accepted},
		{name: "claims: a byte order mark", token: issued("\ufeff" + goodClaims()), want: notOurs},
		{name: "claims: UTF-16", token: issued(utf16(goodClaims())), want: notOurs},
		{name: "claims: not UTF-8 in an unknown one", token: claim("x", "\"\xff\xfe\""), want: accepted},
		{name: "claims: not UTF-8 in the name", token: account("{\"name\":\"app\xff\",\"uid\":\"u1\"}"), want: refused("serviceaccounts \"app\ufffd\" not found")},
		{name: "claims: not UTF-8 in the issuer", token: claim("iss", "\""+issuer+"\xff\""), want: notOurs},
		{name: "claims: nested deeply", token: claim("x", nested(9_000)), want: accepted},
		{name: "claims: nested too deeply", token: claim("x", nested(500_000)), want: notOurs},
		{name: "claims: a megabyte of others", token: claim("x", quote(strings.Repeat("x", 1<<20))), want: accepted},
		{name: "claims: compressed", token: issued("\x1f\x8b\x08\x00"), want: notOurs},
		{name: "claims: another token", token: issued(issued(goodClaims())), want: notOurs},

		{name: "sub: missing", token: claim("sub", ""), want: accepted},
		{name: "sub: another's", token: claim("sub", `"system:serviceaccount:kube-system:admin"`), want: accepted},
		{name: "sub: a number", token: claim("sub", `1`), want: kind("number", "string")},
		{name: "jti: missing", token: claim("jti", ""), want: accepted},
		{name: "jti: a list", token: claim("jti", `["x"]`), want: kind("array", "string")},
		{name: "kubernetes.io: missing", token: claim("kubernetes.io", ""), want: refused("resource name may not be empty")},
		{name: "kubernetes.io: null", token: claim("kubernetes.io", "null"), want: refused("resource name may not be empty")},
		{name: "kubernetes.io: {}", token: claim("kubernetes.io", "{}"), want: refused("resource name may not be empty")},
		{name: "kubernetes.io: a list", token: claim("kubernetes.io", "[]"), want: kind("array", "serviceaccount.kubernetes")},
		{name: "kubernetes.io: a text", token: claim("kubernetes.io", `"ns"`), want: kind("string", "serviceaccount.kubernetes")},
		{name: "kubernetes.io: a number", token: claim("kubernetes.io", "1"), want: kind("number", "serviceaccount.kubernetes")},
		{name: "namespace: a number", token: bound("namespace", "1"), want: kind("number", "string")},
		{name: "namespace: missing", token: bound("namespace", ""), want: refused("an empty namespace may not be set when a resource name is provided")},
		{name: "namespace: another", token: bound("namespace", `"other"`), want: refused(`serviceaccounts "app" not found`)},
		{name: "serviceaccount: missing", token: account(""), want: refused("resource name may not be empty")},
		{name: "serviceaccount: null", token: account("null"), want: refused("resource name may not be empty")},
		{name: "serviceaccount: a text", token: account(`"app"`), want: kind("string", "serviceaccount.ref")},
		{name: "serviceaccount: another", token: account(`{"name":"other","uid":"u1"}`), want: refused(`serviceaccounts "other" not found`)},
		{name: "serviceaccount: the name a number", token: account(`{"name":1,"uid":"u1"}`), want: kind("number", "string")},
		{name: "serviceaccount: another uid", token: account(`{"name":"app","uid":"u2"}`), want: refused("service account UID (u1) does not match claim (u2)")},
		{name: "serviceaccount: uid missing", token: account(`{"name":"app"}`), want: refused("service account UID (u1) does not match claim ()")},
		{name: "pod: null", token: bound("pod", "null"), want: accepted},
		{name: "pod: {}", token: bound("pod", "{}"), want: refused(invalidated)},
		{name: "pod: a list", token: bound("pod", "[]"), want: kind("array", "serviceaccount.ref")},
		{name: "pod: a text", token: bound("pod", `"p"`), want: kind("string", "serviceaccount.ref")},
		{name: "pod: without a name", token: bound("pod", `{"uid":"u9"}`), want: refused(invalidated)},
		{name: "pod: not there", token: bound("pod", `{"name":"p","uid":"u9"}`), want: refused(invalidated)},
		{name: "pod: a path for a name", token: bound("pod", `{"name":"../secrets/s","uid":"u9"}`), want: refused(invalidated)},
		{name: "secret: {}", token: bound("secret", "{}"), want: refused(invalidated)},
		{name: "secret: without a name", token: bound("secret", `{"uid":"u9"}`), want: refused(invalidated)},
		{name: "secret: not there", token: bound("secret", `{"name":"s","uid":"u9"}`), want: refused(invalidated)},
		{name: "node: {}", token: bound("node", "{}"), want: refused(invalidated)},
		{name: "node: not there", token: bound("node", `{"name":"n","uid":"u9"}`), want: refused(invalidated)},
		{
			name:  "order: account before an empty pod",
			token: claim("kubernetes.io", `{"namespace":"ns","serviceaccount":{"name":"app","uid":"u2"},"pod":{}}`),
			want:  refused("service account UID (u1) does not match claim (u2)"),
		},
		{
			name:  "order: audience before an empty pod",
			token: issued(goodClaims(member{"aud", `["x"]`}, member{"kubernetes.io", boundTo(member{"pod", "{}"})})),
			want:  refused(`token audiences ["x"] is invalid for the target audiences ["api" "other"]`),
		},
	}
}
