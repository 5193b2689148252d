package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// jwt is what can be read in a JWT without its key. It holds neither the token nor the
// signature, so that neither can be printed.
type jwt struct {
	header, claims []byte // JSON objects, as they were written
	members        map[string]json.RawMessage
	kubernetes     kubernetesClaims
}

// kubernetesClaims are those members of the claim "kubernetes.io" that are put into words.
type kubernetesClaims struct {
	Namespace string          `json:"namespace"`
	Pod       *objectClaim    `json:"pod"`
	Secret    *objectClaim    `json:"secret"`
	Node      *objectClaim    `json:"node"`
	WarnAfter json.RawMessage `json:"warnafter"`
}

type objectClaim struct {
	Name string `json:"name"`
}

// decodeJWT reads a token in the compact serialization, or says what it looks like instead.
// No error repeats any part of the token but the public half of a bootstrap token.
func decodeJWT(token string) (*jwt, error) {
	if strings.ContainsAny(token, " \t\r\n") && !strings.HasPrefix(token, "{") && !strings.HasPrefix(token, "-----BEGIN") {
		return nil, errors.New("there is white space inside the token: was it cut off, wrapped, or pasted with something else?")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, notJWT(token, len(parts))
	}
	header, _, err := decodePart(parts[0])
	if err != nil {
		return nil, fmt.Errorf("this has the three parts of a JWT, but its header %w: is the token whole?", err)
	}
	claims, members, err := decodePart(parts[1])
	if err != nil {
		return nil, fmt.Errorf("this has the three parts of a JWT, but its claims part %w: is the token whole?", err)
	}
	t := &jwt{header: header, claims: claims, members: members}
	// The claim may be of any shape in somebody else's token: then there is nothing to say of it.
	_ = json.Unmarshal(members["kubernetes.io"], &t.kubernetes)
	return t, nil
}

func decodePart(part string) ([]byte, map[string]json.RawMessage, error) {
	decoded, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, nil, errors.New("is not in base64url")
	}
	// A map and not a struct: encoding/json would take "EXP" for exp, which no server does.
	var members map[string]json.RawMessage
	if err := json.Unmarshal(decoded, &members); err != nil || members == nil {
		return nil, nil, errors.New("is not a JSON object")
	}
	return decoded, members, nil
}

// notJWT says what a token that isn't a JWT looks like, and what to do with it.
func notJWT(token string, parts int) error {
	const ask = "only the server that issued it can say whose it is: use 'mintmark token review -'"
	switch {
	case strings.HasPrefix(token, "sha256~"):
		return errors.New("this looks like an OpenShift OAuth access token. It is opaque, there is nothing in it to show; " + ask)
	case regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`).MatchString(token):
		return fmt.Errorf("this looks like a bootstrap token. It is described by the Secret bootstrap-token-%s in the namespace kube-system; to see whether it is good use 'mintmark token review -'", token[:6])
	case strings.HasPrefix(token, "{"):
		return errors.New("this looks like a JSON object and not like a token: give the token alone; in a TokenRequest it is .status.token")
	case strings.HasPrefix(token, "-----BEGIN"):
		return errors.New("this looks like a key or a certificate (PEM) and not like a token")
	case parts == 5:
		return errors.New("this looks like an encrypted JWT (JWE): its claims can be read by the holder of the key only")
	default:
		return errors.New("this is not a JWT: it looks like an opaque token, with nothing in it to show; " + ask)
	}
}

// describe says in a sentence what the token claims to be.
func (t *jwt) describe() string {
	if string(t.members["iss"]) == `"kubernetes/serviceaccount"` {
		return "This says it is a legacy service account token, of the kind kept in a Secret."
	}
	if t.kubernetes.Namespace == "" {
		return "This is a JWT, and not a Kubernetes service account token."
	}
	bound := "nothing but its service account"
	switch k := t.kubernetes; {
	case k.Pod != nil:
		bound = fmt.Sprintf("the pod %q", k.Pod.Name)
	case k.Secret != nil:
		bound = fmt.Sprintf("the secret %q", k.Secret.Name)
	case k.Node != nil: // beside a pod it is a remark only
		bound = fmt.Sprintf("the node %q", k.Node.Name)
	}
	return "This says it is a Kubernetes service account token, bound to " + bound + "."
}

// times puts the token's times into words.
func (t *jwt) times(now time.Time) []string {
	lines := []string{
		phrase("exp", t.members["exp"], now, "expires in %s", "expired %s ago"),
		phrase("iat", t.members["iat"], now, "says it will be issued in %s", "issued %s ago"),
		phrase("nbf", t.members["nbf"], now, "not valid yet, but in %s", "valid since %s ago"),
		phrase("kubernetes.io.warnafter", t.kubernetes.WarnAfter, now, "to be replaced in %s", "to be replaced since %s ago"),
	}
	if lines[0] == "" {
		lines[0] = "never expires by itself: there is no exp"
	}
	said := lines[:0]
	for _, line := range lines {
		if line != "" {
			said = append(said, line)
		}
	}
	return said
}

// phrase words a NumericDate (RFC 7519, section 2), or is empty when there is none.
func phrase(name string, value json.RawMessage, now time.Time, future, past string) string {
	if len(value) == 0 || bytes.Equal(value, []byte("null")) {
		return ""
	}
	var seconds float64
	const year10000 = 253402300800 // where RFC 3339 ends
	if err := json.Unmarshal(value, &seconds); err != nil || math.Abs(seconds) >= year10000 {
		return fmt.Sprintf("the claim %s is not a time", name)
	}
	at := time.Unix(int64(seconds), 0).UTC()
	words, distance := past, now.Sub(at)
	if distance < 0 {
		words, distance = future, -distance
	}
	return fmt.Sprintf(words, duration.HumanDuration(distance)) + " (" + at.Format(time.RFC3339) + ")"
}
