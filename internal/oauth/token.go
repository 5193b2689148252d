package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// Prefix begins every token, and the name of every object that stands for one. In a token it says only how the object
// is named: what follows it is not a hash there.
const Prefix = "sha256~"

// ObjectNameLength is how long the names of objects are.
const ObjectNameLength = len(Prefix) + 43 // SHA-256 in unpadded base64

// secretBytes is how much chance is in a token: 256 bits.
const secretBytes = 32

// NewToken returns a new random token.
func NewToken() string {
	secret := make([]byte, secretBytes)
	for {
		_, _ = rand.Read(secret) // it never fails
		// A dash in front would be taken for an option where the part after the prefix is given to a command.
		if text := base64.RawURLEncoding.EncodeToString(secret); text[0] != '-' {
			return Prefix + text
		}
	}
}

// ObjectName returns the name of the object that stands for a token. It reports false for a text without the prefix. The part
// after the prefix isn't validated: an unknown name just isn't found.
//
// An object's name looks like a token but isn't one: looking it up hashes it again.
func ObjectName(token string) (name string, ok bool) {
	secret, ok := strings.CutPrefix(token, Prefix)
	if !ok {
		return "", false
	}
	hash := sha256.Sum256([]byte(secret))
	var text [ObjectNameLength]byte
	copy(text[:], Prefix)
	base64.RawURLEncoding.Encode(text[len(Prefix):], hash[:])
	return string(text[:]), true
}
