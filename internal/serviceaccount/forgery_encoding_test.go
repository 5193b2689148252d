package serviceaccount_test

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// encodingRows are good tokens, spelled in another way. What is signed is the text of header and payload, so these are
// signed anew: nothing but the spelling is wrong. kube-apiserver reads some of them, since its library takes out white
// space and then checks the parts as it would have spelled them.
func encodingRows() []row {
	var rows []row
	spellings := []struct {
		name  string
		spell func(string) string
	}{
		{"padded", func(s string) string { return s + strings.Repeat("=", (4-len(s)%4)%4) }},
		{"padded once too often", func(s string) string { return s + "=" }},
		{"unused bits set", unusedBitSet},
		{"a line feed inside", func(s string) string { return s[:8] + "\n" + s[8:] }},
		{"a carriage return inside", func(s string) string { return s[:8] + "\r" + s[8:] }},
		{"broken into lines", func(s string) string { return s[:8] + "\r\n" + s[8:] }},
		{"a line feed behind", func(s string) string { return s + "\n" }},
		{"a line feed in front", func(s string) string { return "\n" + s }},
		{"a tab inside", func(s string) string { return s[:8] + "\t" + s[8:] }},
		{"a NUL inside", func(s string) string { return s[:8] + "\x00" + s[8:] }},
		{"a no-break space inside", func(s string) string { return s[:8] + "\u00a0" + s[8:] }},
		{"an em space inside", func(s string) string { return s[:8] + "\u2003" + s[8:] }},
		{"a byte order mark in front", func(s string) string { return "\ufeff" + s }},
		{"a star inside", func(s string) string { return s[:8] + "*" + s[8:] }},
		{"not UTF-8 inside", func(s string) string { return s[:8] + "\xff" + s[8:] }},
		{"percent signs", func(s string) string { return s[:8] + "%41" + s[8:] }},
		{"a character lost", func(s string) string { return s[:len(s)/4*4-3] }},
		{"encoded twice", encode},
	}
	for _, spelling := range spellings {
		for part, name := range []string{"header", "payload", "signature"} {
			want := notOurs
			switch {
			case part == 2 && spelling.name == "a line feed behind":
				want = accepted // it is behind the token
			case part == 2 && spelling.name == "encoded twice":
				want = badSignature // and another signature
			}
			rows = append(rows, row{name: "encoding: " + name + ", " + spelling.name, token: respelled(part, spelling.spell), want: want})
			if part < 2 {
				rows = append(rows, row{name: "encoding: " + name + ", " + spelling.name + " after signing", token: respelledLater(part, spelling.spell), want: notOurs})
			}
		}
	}
	for part, name := range []string{"header", "payload"} {
		rows = append(rows, row{name: "encoding: " + name + ", the other alphabet", token: otherAlphabet(part), want: notOurs})
	}
	return rows
}

// respelled is a good token with one part in another spelling, and signed so.
func respelled(part int, spell func(string) string) string {
	// The last character of each part has bits to spare: that of an ES256 signature has, and blanks see to the others.
	parts := []string{encode(padded(goodHeader("P-256"))), encode(padded(goodClaims())), ""}
	if part < 2 {
		parts[part] = spell(parts[part])
	}
	parts[2] = encode(string(signature("P-256", "ES256", parts[0]+"."+parts[1])))
	if part == 2 {
		parts[2] = spell(parts[2])
	}
	return strings.Join(parts, ".")
}

// respelledLater is a token that was good before somebody wrote one part in another way.
func respelledLater(part int, spell func(string) string) string {
	parts := strings.Split(sealed("P-256", padded(goodHeader("P-256")), padded(goodClaims())), ".")
	parts[part] = spell(parts[part])
	return strings.Join(parts, ".")
}

// padded adds blanks, which JSON doesn't mind, until the last byte is alone in its group of three.
func padded(text string) string {
	for len(text)%3 != 1 {
		text += " "
	}
	return text
}

// unusedBitSet changes the last character so that it decodes to the same bytes.
func unusedBitSet(part string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := part[len(part)-1]
	changed := part[:len(part)-1] + string(alphabet[strings.IndexByte(alphabet, last)|1])
	before, err1 := base64.RawURLEncoding.DecodeString(part)
	after, err2 := base64.RawURLEncoding.DecodeString(changed)
	if err1 != nil || err2 != nil || changed == part || string(before) != string(after) {
		panic("the part has no bits to spare")
	}
	return changed
}

// otherAlphabet is a good token with a part in which base64 and base64url differ, in the former.
func otherAlphabet(part int) string {
	header := object(member{"alg", `"ES256"`}, member{"kid", quote(keyring()["P-256"].id)}, member{"x", `"???>>>"`})
	parts := []string{encode(header), encode(goodClaims(member{"x", `"???>>>"`}))}
	parts[part] = strings.NewReplacer("-", "+", "_", "/").Replace(parts[part])
	if !strings.ContainsAny(parts[part], "+/") {
		panic("the part is the same in both alphabets")
	}
	signed := strings.Join(parts, ".")
	return signed + "." + encode(string(signature("P-256", "ES256", signed)))
}

// partRows are texts that don't have three parts, or have nothing in them.
func partRows() []row {
	good := issued(goodClaims())
	parts := strings.Split(good, ".")
	header, payload, end := parts[0], parts[1], parts[2]
	rows := []row{
		{name: "parts: good", token: good, want: accepted},
		{name: "parts: something behind a blank", token: good + " Bearer x", want: accepted},
		{name: "parts: a line end behind", token: good + "\r\n", want: accepted},
		{name: "parts: one", token: header, want: notOurs},
		{name: "parts: two", token: header + "." + payload, want: notOurs},
		{name: "parts: header and signature", token: header + "." + end, want: notOurs},
		{name: "parts: four", token: good + ".", want: notOurs},
		{name: "parts: four, first empty", token: "." + good, want: notOurs},
		{name: "parts: five", token: good + "." + payload + "." + end, want: notOurs},
		{name: "parts: five, of a JWE", token: encode(`{"alg":"dir","enc":"A256GCM"}`) + "..AAAA.AAAA.AAAA", want: notOurs},
		{name: "parts: two tokens", token: good + "." + good, want: notOurs},
		{name: "parts: no header", token: "." + payload + "." + end, want: badSignature},
		{name: "parts: no payload", token: header + ".." + end, want: notOurs},
		{name: "parts: no signature", token: header + "." + payload + ".", want: badSignature},
		{name: "parts: nothing in them", token: "..", want: notOurs},
		{name: "parts: a dot", token: ".", want: notOurs},
		{name: "parts: a letter", token: "x", want: notOurs},
		{name: "parts: a brace", token: "{", want: notOurs},
		{name: "parts: JSON serialization", token: fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, payload, header, end), want: notOurs},
		{name: "parts: general JSON serialization", token: fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, payload, header, end), want: notOurs},
		{name: "parts: JSON and two dots", token: `{"payload":"..` + payload + `"}`, want: notOurs},
		{name: "parts: in quotes", token: `"` + good + `"`, want: notOurs},
		{name: "parts: with the scheme", token: "Bearer " + good, want: notOurs},
		{name: "parts: other dots", token: strings.ReplaceAll(good, ".", "\u3002"), want: notOurs},
		{name: "parts: commas", token: strings.ReplaceAll(good, ".", ","), want: notOurs},
		{name: "parts: a megabyte of letters", token: strings.Repeat("x", 1<<20), want: notOurs},
		{name: "parts: a megabyte of NULs", token: strings.Repeat("\x00", 1<<20), want: notOurs},
	}
	for i, front := range []string{"", header, header + "." + payload, good} {
		rows = append(rows, row{name: fmt.Sprintf("parts: %d, and a megabyte of dots", i), token: front + strings.Repeat(".", 1<<20), want: notOurs})
	}
	return rows
}
