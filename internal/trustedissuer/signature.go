package trustedissuer

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"

	"github.com/mintmark/mintmark/internal/reason"
)

// header is the JOSE header of a token (RFC 7515 section 4). Names of members match exactly, and none stands twice.
type header struct {
	Algorithm string              `json:"alg"`
	KeyID     string              `json:"kid"`
	Critical  josejson.RawMessage `json:"crit"`
	Encoded   josejson.RawMessage `json:"b64"`
}

// The errors of signatures have the texts of the library.
var (
	errHeader    = reason.New(reason.BadShape, "oidc: verify token: oidc: malformed jwt: the header can't be read")
	errExtension = reason.New(reason.AlgorithmNotAllowed, "oidc: verify token: oidc: malformed jwt: the header names an extension that is not understood")
	errSignature = reason.New(reason.BadSignature, "oidc: verify token: failed to verify signature: failed to verify id token signature")
	errKey       = reason.New(reason.UnknownKey, "oidc: verify token: failed to verify signature: the issuer has no such key")
)

// verify returns the key that made the signature of a token, and the token's payload.
func (n *issuer) verify(ctx context.Context, token string, notes *reason.Checks) (*key, []byte, error) {
	h, err := readHeader(token)
	if err == nil {
		if allowed := n.algorithms(); !slices.Contains(allowed, h.Algorithm) {
			err = reason.Errorf(reason.AlgorithmNotAllowed, "oidc: verify token: oidc: id token signed with unsupported algorithm, expected %q got %q", allowed, h.Algorithm)
		}
	}
	noteHeader(&h, n, err, notes)
	if err != nil {
		return nil, nil, err
	}
	seen := n.keys.known.Load()
	made, payload := tryKeys(seen.find(h.KeyID, h.Algorithm), &h, token)
	var unread error
	if made == nil {
		// A key that is not known yet, or another one under the same id.
		var now *keySet
		if now, unread = n.keys.need(ctx, seen); now != seen {
			seen = now
			made, payload = tryKeys(seen.find(h.KeyID, h.Algorithm), &h, token)
		}
	}
	err = whyUnsigned(made, len(seen.find(h.KeyID, h.Algorithm)), unread)
	noteKey(&h, n, seen, err, notes)
	return made, payload, err
}

// whyUnsigned returns why no key made a signature, of so many that may have made it; nil if one did.
func whyUnsigned(made *key, tried int, unread error) error {
	if made != nil {
		return nil
	}
	if _, none := unread.(unavailable); none { //nolint:errorlint // it is not wrapped
		return unread
	}
	switch {
	case tried > 0:
		return errSignature
	case unread != nil && reason.Of(unread) == reason.None:
		return reason.With(reason.Undecided, unread) // the caller left
	case unread != nil:
		return reason.Errorf(reason.Of(unread), "oidc: verify token: failed to verify signature: fetching keys: %w", unread)
	}
	return errKey
}

// readHeader reads the header of a token.
func readHeader(token string) (h header, err error) {
	encoded, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || josejson.Unmarshal(text, &h) != nil {
		return h, errHeader
	}
	if h.Critical != nil || h.Encoded != nil {
		return h, errExtension
	}
	return h, nil
}

// algorithms are those of which a token has one. All of them are asymmetric.
func (n *issuer) algorithms() []string {
	if allowed := n.object.Spec.Algorithms; len(allowed) > 0 {
		return allowed
	}
	return oidc.AllValidSigningAlgorithms()
}

// tryKeys returns the key that made the signature of a token, with the payload, or nil.
func tryKeys(keys []*key, h *header, token string) (*key, []byte) {
	if len(keys) == 0 {
		return nil, nil
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(h.Algorithm)})
	if err != nil {
		return nil, nil
	}
	for _, k := range keys {
		if payload, err := signed.Verify(k.public); err == nil {
			return k, payload
		}
	}
	return nil, nil
}
