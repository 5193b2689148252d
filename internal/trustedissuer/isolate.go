package trustedissuer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/reason"
)

// reservedPrefix begins the names of users and groups that are this server's own. It is that of Kubernetes.
const reservedPrefix = "system:"

// reservedDomains are those of the extra keys that this server gives a meaning, with all domains below them.
var reservedDomains = []string{"kubernetes.io", "k8s.io", "mintmark.io", "openshift.io"}

// isolate returns the refusal of a user that a token of an issuer must not be, because the name, a group or an extra key is
// reserved for this server; nil if it may be. It looks at the result, so it makes no difference which prefix and which claim the
// result is made of. The name and the groups in given, and the extra keys that the server itself adds, are those of the preset.
func isolate(u user.Info, given func(name string) bool) error {
	if name := u.GetName(); !visible(name) || reservedName(name) && !given(name) {
		return reason.Errorf(reason.ReservedIdentity, "the user name %s is reserved, or has characters that can't be seen", reason.Quote(name))
	}
	for _, group := range u.GetGroups() {
		if !visible(group) || reservedName(group) && !given(group) || fold(group) == user.SystemPrivilegedGroup {
			return reason.Errorf(reason.ReservedIdentity, "the group %s is reserved, or has characters that can't be seen", reason.Quote(group))
		}
	}
	for key := range u.GetExtra() {
		if key != user.CredentialIDKey && reservedKey(key) {
			return reason.Errorf(reason.ReservedIdentity, "the extra key %s is reserved", reason.Quote(key))
		}
	}
	return nil
}

// noneGiven is for issuers without the preset.
func noneGiven(string) bool { return false }

// reservedName reports whether a name, however it is spelled, begins as those do that are reserved for this server.
func reservedName(name string) bool {
	return strings.HasPrefix(fold(name), reservedPrefix)
}

// fold returns a name without blanks around it, in lower case, and with characters that are variants of others (full width,
// mathematical, ligatures) replaced by these.
func fold(name string) string {
	if plain(name) {
		return name
	}
	return strings.TrimSpace(strings.ToLower(norm.NFKC.String(strings.ToUpper(norm.NFKC.String(name)))))
}

// plain reports whether a name is folded already, as almost all are.
func plain(name string) bool {
	for i := range len(name) {
		if b := name[i]; b <= ' ' || b >= utf8.RuneSelf || 'A' <= b && b <= 'Z' {
			return false
		}
	}
	return true
}

// reservedKey reports whether an extra key is in a domain that is reserved for this server.
func reservedKey(key string) bool {
	domain, _, _ := strings.Cut(fold(key), "/")
	return slices.ContainsFunc(reservedDomains, func(reserved string) bool {
		return domain == reserved || strings.HasSuffix(domain, "."+reserved)
	})
}

// visible reports whether each character of a text can be seen, or is a blank between others. Characters without a width
// would make two names look alike.
func visible(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || invisible(r) })
}

// invisible reports whether a character that counts as printable has no shape: one that Unicode has programs ignore (fillers of Hangul,
// vowels of Khmer that are not written), a selector of variants (those of Mongolian among them), or a blank that counts as a letter or
// a symbol (of Braille, hieroglyphs, Khitan and music).
func invisible(r rune) bool {
	switch r {
	case 0x2800, 0x13441, 0x13442, 0x16fe4, 0x1d159:
		return true
	}
	return r >= utf8.RuneSelf && unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
