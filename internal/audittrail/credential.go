package audittrail

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"

	josejson "github.com/go-jose/go-jose/v4/json"
	credentialid "k8s.io/apiserver/pkg/authentication/token/jwt"

	"github.com/mintmark/mintmark/internal/oauth"
)

const (
	// jtiPrefix, certificatePrefix and hashPrefix begin credential ids: of a token with a jti, of a client certificate (both
	// are Kubernetes'), and of a token without a jti.
	jtiPrefix         = "JTI="
	certificatePrefix = "X509SHA256="
	hashPrefix        = "SHA256="
	// maxJTI is the longest jti that is recorded of a refused token. Its text is the caller's.
	maxJTI = 256
)

// bootstrapToken is the form of bootstrap tokens (k8s.io/cluster-bootstrap/token/api).
var bootstrapToken = regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`)

// CredentialID returns the id of a token: JTI=… for a JWT with a jti, as Kubernetes writes it. Any other JWT, an access token
// of OpenShift's API and a bootstrap token have the SHA-256 of the text, SHA256=…. The signature of a JWT is left out,
// since an ECDSA signature can be written in two ways.
//
// Any other text has no id: it may be a password that could be guessed from the hash.
func CredentialID(token string) string {
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if ok && !strings.Contains(signature, ".") {
		if id, isJWT := jti(header, payload); id != "" && len(id) <= maxJTI {
			return credentialid.CredentialIDForJTI(id)
		} else if isJWT {
			return hashID(token[:len(header)+1+len(payload)])
		}
		return ""
	}
	if bootstrapToken.MatchString(token) || len(token) >= oauth.ObjectNameLength && strings.HasPrefix(token, oauth.Prefix) {
		return hashID(token)
	}
	return ""
}

func hashID(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hashPrefix + hex.EncodeToString(hash[:])
}

// jti returns the claim of a JWT, if it is a string, and reports whether there are a header and claims.
func jti(header, payload string) (id string, isJWT bool) {
	var members struct {
		ID any `json:"jti"`
	}
	if !isObject(header, &struct{}{}) || !isObject(payload, &members) {
		return "", false
	}
	id, _ = members.ID.(string)
	return id, true
}

// isObject reads the JSON object in a part of a JWT. The names of members are told apart by case, as in the JWT libraries.
func isObject(part string, into any) bool {
	text, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && len(text) > 0 && text[0] == '{' && josejson.Unmarshal(text, into) == nil
}

// keyID returns the kid in the header of a JWT.
func keyID(token string) string {
	header, _, _ := strings.Cut(token, ".")
	var members struct {
		KeyID string `json:"kid"`
	}
	if !isObject(header, &members) {
		return ""
	}
	return members.KeyID
}
