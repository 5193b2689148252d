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
		{"iss twice", again("iss", own), twice("iss")},
		{"iss, then a foreign iss", again("iss", foreign), notOurs},
		{"foreign iss, then iss", first(member{"iss", foreign}), twice("iss")},
		{"aud twice", again("aud", `["api"]`), twice("aud")},
		{"exp twice", again("exp", "9999999999"), twice("exp")},
		{"sub twice", again("sub", quote(username)), twice("sub")},
		{"jti twice", again("jti", `"x"`), twice("jti")},
		{"kubernetes.io twice", again("kubernetes.io", boundTo()), twice("kubernetes.io")},
		{"an unknown claim twice", issued(strings.TrimSuffix(goodClaims(), "}") + `,"x":1,"x":1}`), twice("x")},
		{"exp and its escape", issued(strings.TrimSuffix(goodClaims(), "}") + `,"\u0065xp":9999999999}`), twice("exp")},
		{"namespace twice", claim(member{"kubernetes.io", strings.TrimSuffix(boundTo(), "}") + `,"namespace":"ns"}`}), twice("namespace")},
		{"serviceaccount twice", claim(member{"kubernetes.io", strings.TrimSuffix(boundTo(), "}") + `,"serviceaccount":{}}`}), twice("serviceaccount")},
		{"name twice", claim(member{"kubernetes.io", boundTo(member{"serviceaccount", `{"name":"other","name":"app","uid":"u1"}`})}), twice("name")},
		{"uid twice", claim(member{"kubernetes.io", boundTo(member{"serviceaccount", `{"name":"app","uid":"u0","uid":"u1"}`})}), twice("uid")},

		{"ISS alone", claim(member{"iss", ""}, member{"ISS", own}), wrongIssuer("")},
		{"Iss alone", claim(member{"iss", ""}, member{"Iss", own}), wrongIssuer("")},
		{"is\u017f alone", claim(member{"iss", ""}, member{"is\u017f", own}), wrongIssuer("")},
		{"iss, then a foreign ISS", again("ISS", foreign), notOurs},
		{"foreign ISS, then iss", first(member{"ISS", foreign}), accepted},
		{"foreign iss, then ISS", issued(goodClaims(member{"iss", foreign}, member{"ISS", own})), wrongIssuer("https://forger.example")},
		{"Aud alone", claim(member{"aud", ""}, member{"Aud", `["forger"]`}), accepted},
		{"aud, and AUD", again("AUD", `["forger"]`), accepted},
		{"foreign aud, and AUD", claim(member{"aud", `["forger"]`}, member{"AUD", `["api"]`}), refused(`token audiences ["forger"] is invalid for the target audiences ["api" "other"]`)},
		{"Exp alone", claim(member{"exp", ""}, member{"Exp", "1"}), accepted},
		{"old exp, and EXP", claim(member{"exp", "1"}, member{"EXP", "9999999999"}), refused("service account token has expired")},
		{"Nbf alone", claim(member{"nbf", ""}, member{"Nbf", "9999999999"}), accepted},
		{"Kubernetes.io alone", claim(member{"kubernetes.io", ""}, member{"Kubernetes.io", boundTo()}), refused("resource name may not be empty")},
		{"Namespace alone", claim(member{"kubernetes.io", boundTo(member{"namespace", ""}, member{"Namespace", `"ns"`})}), refused("an empty namespace may not be set when a resource name is provided")},
		{"ServiceAccount alone", claim(member{"kubernetes.io", boundTo(member{"serviceaccount", ""}, member{"serviceAccount", `{"name":"app","uid":"u1"}`})}), refused("resource name may not be empty")},
		{"Name alone", claim(member{"kubernetes.io", boundTo(member{"serviceaccount", `{"Name":"app","uid":"u1"}`})}), refused("resource name may not be empty")},
		{"UID alone", claim(member{"kubernetes.io", boundTo(member{"serviceaccount", `{"name":"app","UID":"u1"}`})}), refused("service account UID (u1) does not match claim ()")},
		{"Pod instead of pod", claim(member{"kubernetes.io", boundTo(member{"Pod", `{"name":"gone","uid":"u9"}`})}), accepted},
	}
}

// audienceRows are tokens, signed by us, for all sorts of audiences. The review asks for those of the server.
func audienceRows() []row {
	wrong := func(of string) string {
		return refused("token audiences " + of + ` is invalid for the target audiences ["api" "other"]`)
	}
	var rows []row
	for _, r := range []row{
		{"a text", `"api"`, accepted},
		{"a list", `["api"]`, accepted},
		{"a list of several", `["nobody","other","api"]`, accepted},
		{"one twice", `["api","api"]`, accepted},
		// A token without an audience is for the API server: its issuer was one that knew of nothing else.
		{"missing", "", accepted},
		{"an empty list", `[]`, accepted},
		{"an empty text", `""`, wrong(`[""]`)},
		{"a list of an empty text", `[""]`, wrong(`[""]`)},
		{"another", `["nobody"]`, wrong(`["nobody"]`)},
		{"another as a text", `"nobody"`, wrong(`["nobody"]`)},
		{"in capitals", `"API"`, wrong(`["API"]`)},
		{"with a blank", `"api "`, wrong(`["api "]`)},
		{"with a slash", `"api/"`, wrong(`["api/"]`)},
		{"with a NUL", `"api\u0000"`, wrong(`["api\x00"]`)},
		{"all in one", `"api,other"`, wrong(`["api,other"]`)},
		{"all in one, blank between", `"api other"`, wrong(`["api other"]`)},
		{"a star", `"*"`, wrong(`["*"]`)},
		{"not UTF-8", "\"api\xff\"", wrong("[\"api\ufffd\"]")},
		{"null", `null`, badAudience},
		{"a number", `1`, badAudience},
		{"true", `true`, badAudience},
		{"an object", `{"0":"api"}`, badAudience},
		{"a list of a list", `[["api"]]`, badAudience},
		{"a list of a number", `[1]`, badAudience},
		{"a list of null", `[null]`, badAudience},
		{"a good one and a number", `["api",1]`, badAudience},
		{"a good one and a list", `["api",["api"]]`, badAudience},
		{"nested deeply", nested(9_000), badAudience},
		{"nested too deeply", nested(500_000), notOurs},
	} {
		rows = append(rows, row{"aud: " + r.name, issued(goodClaims(member{"aud", r.token})), r.want})
	}
	return rows
}

// timeRows are tokens, signed by us, with all sorts of times.
func timeRows() []row {
	const early, expired, future = "service account token is not valid yet", "service account token has expired", "service account token is issued in the future"
	day := fmt.Sprint(now.Unix() + 24*3600)
	var rows []row
	for _, r := range []struct{ name, value, exp, nbf, iat string }{
		{"missing", "", accepted, accepted, accepted},
		{"null", "null", accepted, accepted, accepted},
		{"zero", "0", expired, accepted, accepted},
		{"minus zero", "-0", expired, accepted, accepted},
		{"negative", "-1", expired, accepted, accepted},
		{"yesterday", fmt.Sprint(now.Unix() - 24*3600), expired, accepted, accepted},
		{"now", fmt.Sprint(now.Unix()), accepted, accepted, accepted},
		{"tomorrow", day, accepted, early, future},
		{"fractional, tomorrow", day + ".999", accepted, early, future},
		{"fractional, yesterday", fmt.Sprint(now.Unix()-24*3600) + ".5", expired, accepted, accepted},
		// Fractions are cut off.
		{"fractional, just before the leeway ends", fmt.Sprint(now.Unix()+60) + ".999", accepted, accepted, accepted},
		{"fractional, when the token ends", fmt.Sprint(now.Unix()-60) + ".999", expired, accepted, accepted},
		{"with an exponent", "1e3", expired, accepted, accepted},
		{"with an exponent, far off", "9.2e18", accepted, early, future},
		{"the last second there is", "9223372036854774784", accepted, early, future},
		{"the first second there is", "-9223372036854775808", expired, accepted, accepted},
		{"2^63-1", "9223372036854775807", badDate, badDate, badDate},
		{"2^63", "9223372036854775808", badDate, badDate, badDate},
		{"below -2^63", "-9223372036854777856", badDate, badDate, badDate},
		{"2^64", "18446744073709551616", badDate, badDate, badDate},
		{"2^64 and a day", "1.8446744073709638e19", badDate, badDate, badDate},
		{"1e300", "1e300", badDate, badDate, badDate},
		{"-1e300", "-1e300", badDate, badDate, badDate},
		{"1e400", "1e400", badDate, badDate, badDate},
		{"digits without end", strings.Repeat("9", 100_000), badDate, badDate, badDate},
		{"a text", `"` + day + `"`, badDate, badDate, badDate},
		{"an empty text", `""`, badDate, badDate, badDate},
		{"a date", `"2026-05-04T03:02:01Z"`, badDate, badDate, badDate},
		{"true", `true`, badDate, badDate, badDate},
		{"a list", `[` + day + `]`, badDate, badDate, badDate},
		{"an object", `{}`, badDate, badDate, badDate},
		{"infinite", `Infinity`, notOurs, notOurs, notOurs},
		{"not a number", `NaN`, notOurs, notOurs, notOurs},
		{"hexadecimal", `0x7fffffff`, notOurs, notOurs, notOurs},
		{"a leading zero", `0` + day, notOurs, notOurs, notOurs},
		{"a plus", `+` + day, notOurs, notOurs, notOurs},
	} {
		for claim, want := range map[string]string{"exp": r.exp, "nbf": r.nbf, "iat": r.iat} {
			if strings.HasPrefix(want, "service account token") {
				want = refused(want)
			}
			rows = append(rows, row{claim + ": " + r.name, issued(goodClaims(member{claim, r.value})), want})
		}
	}
	for _, value := range []string{`"soon"`, "1e300", "9223372036854775808", "true"} {
		rows = append(rows, row{"warnafter: " + value, issued(goodClaims(member{"kubernetes.io", boundTo(member{"warnafter", value})})), badDate})
	}
	for _, value := range []string{"0", "-1", "1", "9.2e18", "-9.2e18", "null", day} {
		rows = append(rows, row{"warnafter: " + value, issued(goodClaims(member{"kubernetes.io", boundTo(member{"warnafter", value})})), accepted})
	}
	return append(rows,
		row{"no times at all", issued(goodClaims(member{"exp", ""}, member{"nbf", ""}, member{"iat", ""})), accepted},
		row{"order: nbf before exp", issued(goodClaims(member{"exp", "1"}, member{"nbf", day}, member{"iat", day})), refused(early)},
		row{"order: exp before iat", issued(goodClaims(member{"exp", "1"}, member{"iat", day})), refused(expired)},
		row{"order: audience before times", issued(goodClaims(member{"aud", `["x"]`}, member{"exp", "1"}, member{"nbf", day})), refused(`token audiences ["x"] is invalid for the target audiences ["api" "other"]`)},
		row{"order: times before objects", issued(goodClaims(member{"exp", "1"}, member{"kubernetes.io", "{}"})), refused(expired)},
		row{"order: iat before objects", issued(goodClaims(member{"iat", day}, member{"kubernetes.io", "{}"})), refused(future)},
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
		{"claims: good", issued(goodClaims()), accepted},
		{"claims: the other issuer", claim("iss", quote(otherIssuer)), accepted},
		{"claims: a foreign issuer", claim("iss", `"https://forger.example"`), notOurs},
		{"claims: a foreign issuer and its key", sealed("stranger", goodHeader("stranger"), goodClaims(member{"iss", `"https://forger.example"`})), notOurs},
		{"claims: a foreign issuer and a foreign key", sealed("stranger", goodHeader("P-256"), goodClaims(member{"iss", `"https://forger.example"`})), notOurs},
		{"claims: the issuer and a slash", claim("iss", quote(issuer+"/")), notOurs},
		{"claims: the issuer in capitals", claim("iss", quote(strings.ToUpper(issuer))), notOurs},
		{"claims: no issuer", claim("iss", ""), notOurs},
		{"claims: an empty issuer", claim("iss", `""`), notOurs},
		{"claims: the issuer null", claim("iss", `null`), notOurs},
		{"claims: the issuer a number", claim("iss", `1`), notOurs},
		{"claims: the issuer a list", claim("iss", `["`+issuer+`"]`), notOurs},
		{"claims: empty", issued(""), notOurs},
		{"claims: {}", issued("{}"), notOurs},
		{"claims: null", issued("null"), notOurs},
		{"claims: a list", issued("[" + goodClaims() + "]"), notOurs},
		{"claims: a text", issued(quote(goodClaims())), notOurs},
		{"claims: a number", issued("1"), notOurs},
		{"claims: true", issued("true"), notOurs},
		{"claims: no JSON", issued("claims"), notOurs},
		{"claims: cut short", issued(strings.TrimSuffix(goodClaims(), "}")), notOurs},
		{"claims: something behind them", issued(goodClaims() + "x"), notOurs},
		{"claims: others behind them", issued(goodClaims() + goodClaims()), notOurs},
		{"claims: a NUL behind them", issued(goodClaims() + "\x00"), notOurs},
		{"claims: white space around them", issued(" \n" + goodClaims() + "\t\r\n"), accepted},
		{"claims: a byte order mark", issued("\ufeff" + goodClaims()), notOurs},
		{"claims: UTF-16", issued(utf16(goodClaims())), notOurs},
		{"claims: not UTF-8 in an unknown one", claim("x", "\"\xff\xfe\""), accepted},
		{"claims: not UTF-8 in the name", account("{\"name\":\"app\xff\",\"uid\":\"u1\"}"), refused("serviceaccounts \"app\ufffd\" not found")},
		{"claims: not UTF-8 in the issuer", claim("iss", "\""+issuer+"\xff\""), notOurs},
		{"claims: nested deeply", claim("x", nested(9_000)), accepted},
		{"claims: nested too deeply", claim("x", nested(500_000)), notOurs},
		{"claims: a megabyte of others", claim("x", quote(strings.Repeat("x", 1<<20))), accepted},
		{"claims: compressed", issued("\x1f\x8b\x08\x00"), notOurs},
		{"claims: another token", issued(issued(goodClaims())), notOurs},

		{"sub: missing", claim("sub", ""), accepted},
		{"sub: another's", claim("sub", `"system:serviceaccount:kube-system:admin"`), accepted},
		{"sub: a number", claim("sub", `1`), kind("number", "string")},
		{"jti: missing", claim("jti", ""), accepted},
		{"jti: a list", claim("jti", `["x"]`), kind("array", "string")},
		{"kubernetes.io: missing", claim("kubernetes.io", ""), refused("resource name may not be empty")},
		{"kubernetes.io: null", claim("kubernetes.io", "null"), refused("resource name may not be empty")},
		{"kubernetes.io: {}", claim("kubernetes.io", "{}"), refused("resource name may not be empty")},
		{"kubernetes.io: a list", claim("kubernetes.io", "[]"), kind("array", "serviceaccount.kubernetes")},
		{"kubernetes.io: a text", claim("kubernetes.io", `"ns"`), kind("string", "serviceaccount.kubernetes")},
		{"kubernetes.io: a number", claim("kubernetes.io", "1"), kind("number", "serviceaccount.kubernetes")},
		{"namespace: a number", bound("namespace", "1"), kind("number", "string")},
		{"namespace: missing", bound("namespace", ""), refused("an empty namespace may not be set when a resource name is provided")},
		{"namespace: another", bound("namespace", `"other"`), refused(`serviceaccounts "app" not found`)},
		{"serviceaccount: missing", account(""), refused("resource name may not be empty")},
		{"serviceaccount: null", account("null"), refused("resource name may not be empty")},
		{"serviceaccount: a text", account(`"app"`), kind("string", "serviceaccount.ref")},
		{"serviceaccount: another", account(`{"name":"other","uid":"u1"}`), refused(`serviceaccounts "other" not found`)},
		{"serviceaccount: the name a number", account(`{"name":1,"uid":"u1"}`), kind("number", "string")},
		{"serviceaccount: another uid", account(`{"name":"app","uid":"u2"}`), refused("service account UID (u1) does not match claim (u2)")},
		{"serviceaccount: uid missing", account(`{"name":"app"}`), refused("service account UID (u1) does not match claim ()")},
		{"pod: null", bound("pod", "null"), accepted},
		{"pod: {}", bound("pod", "{}"), refused(invalidated)},
		{"pod: a list", bound("pod", "[]"), kind("array", "serviceaccount.ref")},
		{"pod: a text", bound("pod", `"p"`), kind("string", "serviceaccount.ref")},
		{"pod: without a name", bound("pod", `{"uid":"u9"}`), refused(invalidated)},
		{"pod: not there", bound("pod", `{"name":"p","uid":"u9"}`), refused(invalidated)},
		{"pod: a path for a name", bound("pod", `{"name":"../secrets/s","uid":"u9"}`), refused(invalidated)},
		{"secret: {}", bound("secret", "{}"), refused(invalidated)},
		{"secret: without a name", bound("secret", `{"uid":"u9"}`), refused(invalidated)},
		{"secret: not there", bound("secret", `{"name":"s","uid":"u9"}`), refused(invalidated)},
		{"node: {}", bound("node", "{}"), refused(invalidated)},
		{"node: not there", bound("node", `{"name":"n","uid":"u9"}`), refused(invalidated)},
		{"order: account before an empty pod", claim("kubernetes.io", `{"namespace":"ns","serviceaccount":{"name":"app","uid":"u2"},"pod":{}}`), refused("service account UID (u1) does not match claim (u2)")},
		{"order: audience before an empty pod", issued(goodClaims(member{"aud", `["x"]`}, member{"kubernetes.io", boundTo(member{"pod", "{}"})})), refused(`token audiences ["x"] is invalid for the target audiences ["api" "other"]`)},
	}
}
