package audittrail

import (
	"errors"
	"regexp"
	"strings"
	"time"

	credentialid "k8s.io/apiserver/pkg/authentication/token/jwt"

	"github.com/mintmark/mintmark/internal/oauth"
)

// Selection says which credentials are traced: one, or those of an account, of a requester or of a key. Exactly one of the
// first four fields is set.
type Selection struct {
	Credential *Credential
	// ServiceAccount is NAMESPACE/NAME.
	ServiceAccount string
	// RequestedBy is the user who asked for the tokens.
	RequestedBy string
	// KeyID is the kid of the key that signed them.
	KeyID string
	// Since and Until bound the time of the events, unless they are zero.
	Since, Until time.Time
}

// Credential is one credential.
type Credential struct {
	// IDs are its possible ids.
	IDs []string
	// Object is the stored object that holds the token or stands for it, if there is one.
	Object Object
}

// Object names a stored object.
type Object struct{ Resource, Namespace, Name string }

// certificateID is the form of the id of a certificate.
var certificateID = regexp.MustCompile(`^` + certificatePrefix + `[0-9a-fA-F]{64}$`)

// ParseCredential reads a token or a credential id. Errors don't repeat it.
func ParseCredential(text string) (*Credential, error) {
	id := CredentialID(text)
	switch {
	case strings.ContainsAny(text, "\t\r\n "), strings.HasPrefix(text, "{"):
		return nil, errors.New("this is neither a token nor a credential id, such as JTI=0b7f4c1e-…: there is white space or JSON in it")
	case certificateID.MatchString(text):
		return &Credential{IDs: []string{certificatePrefix + strings.ToLower(text[len(certificatePrefix):])}}, nil
	case strings.HasPrefix(text, hashPrefix):
		return &Credential{IDs: []string{hashPrefix + strings.ToLower(text[len(hashPrefix):])}}, nil
	case id == "":
		return &Credential{IDs: []string{credentialid.CredentialIDForJTI(strings.TrimPrefix(text, jtiPrefix))}}, nil
	}
	c := &Credential{IDs: []string{id}, Object: objectOf(text)}
	if header, rest, ok := strings.Cut(text, "."); ok {
		payload, _, _ := strings.Cut(rest, ".")
		if long, _ := jti(header, payload); len(long) > maxJTI {
			// Events of accepted callers have the whole id, whatever its length.
			c.IDs = append(c.IDs, credentialid.CredentialIDForJTI(long))
		}
	}
	return c, nil
}

// objectOf returns the object behind a token: an access token of OpenShift's API, a bootstrap token, or a token in a secret.
func objectOf(token string) Object {
	if name, ok := oauth.ObjectName(token); ok {
		return Object{Resource: "oauthaccesstokens", Name: name}
	}
	if bootstrapToken.MatchString(token) {
		return Object{Resource: "secrets", Namespace: "kube-system", Name: "bootstrap-token-" + token[:6]}
	}
	var claims struct {
		Namespace string `json:"kubernetes.io/serviceaccount/namespace"`
		Secret    string `json:"kubernetes.io/serviceaccount/secret.name"`
	}
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	if !isObject(payload, &claims) || claims.Secret == "" {
		return Object{}
	}
	return Object{Resource: "secrets", Namespace: claims.Namespace, Name: claims.Secret}
}
