package externalsigner

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	josejson "github.com/go-jose/go-jose/v4/json"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	"github.com/mintmark/mintmark/internal/signingkey"
)

// algorithms are those that kube-apiserver takes.
var algorithms = []string{"RS256", "ES256", "ES384", "ES512"}

// header is the JOSE header of a token.
type header struct {
	Algorithm string `json:"alg,omitempty"`
	KeyID     string `json:"kid,omitempty"`
	Type      string `json:"typ,omitempty"`
}

// errEndless says that a token has no end.
var errEndless = errors.New("a token without end is not signed with --service-account-signing-endpoint: ask for one that ends, with 'kubectl create token'")

// Sign has the claims signed and returns the token and its key id. The errors are kube-apiserver's, but for those about the
// signature, which it does not verify.
func (s *Signer) Sign(ctx context.Context, claims []byte, end time.Time) (token, keyID string, err error) {
	if end.IsZero() {
		return "", "", errEndless
	}
	ctx, cancel := context.WithTimeout(ctx, signTimeout)
	defer cancel()
	token, keyID, err = s.sign(ctx, base64.RawURLEncoding.EncodeToString(claims))
	s.metrics.countSign(err)
	return token, keyID, err
}

func (s *Signer) sign(ctx context.Context, claims string) (token, keyID string, err error) {
	response, err := s.call(ctx, claims)
	if err != nil {
		return "", "", fmt.Errorf("while signing jwt: %w", err)
	}
	read, known, err := s.validateHeader(ctx, response.Header)
	if err != nil {
		return "", "", fmt.Errorf("while validating header: %w", err)
	}
	if response.Signature == "" {
		return "", "", errors.New("empty signature returned")
	}
	signed := response.Header + "." + claims
	if err := verify(known, read, signed, response.Signature); err != nil {
		return "", "", fmt.Errorf("while verifying signature: %w", err)
	}
	return signed + "." + response.Signature, read.KeyID, nil
}

// call calls Sign, and waits for the signer if it is being started again.
func (s *Signer) call(ctx context.Context, claims string) (*externaljwtv1.SignJWTResponse, error) {
	if s.gone.Load() && !s.returns(ctx) {
		return nil, status.Error(codes.Unavailable, "nothing listens on the socket of the external signer")
	}
	response, err := s.client.Sign(ctx, &externaljwtv1.SignJWTRequest{Claims: claims})
	s.gone.Store(err != nil && s.connection.GetState() != connectivity.Ready)
	return response, err
}

// returns reports whether a signer that was gone can be called again within a moment.
func (s *Signer) returns(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, returnTimeout)
	defer cancel()
	for {
		state := s.connection.GetState()
		if state == connectivity.Ready {
			return true
		}
		if state == connectivity.Idle {
			s.connection.Connect()
		}
		if !s.connection.WaitForStateChange(ctx, state) {
			return false
		}
	}
}

// validateHeader reads a header as kube-apiserver does, and then as strictly as a review does. It returns the keys that the
// header names.
func (s *Signer) validateHeader(ctx context.Context, encoded string) (read header, known []signingkey.PublicKey, err error) {
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return read, nil, fmt.Errorf("while unwrapping header: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&read); err != nil {
		return read, nil, fmt.Errorf("while parsing header JSON: %w", err)
	}
	switch {
	case read.Type != "JWT":
		return read, nil, errors.New("bad type")
	case read.KeyID == "":
		return read, nil, errors.New("key id missing")
	case len(read.KeyID) > maxKeyID:
		return read, nil, errors.New("key id longer than 1 kb")
	case !slices.Contains(algorithms, read.Algorithm):
		return read, nil, fmt.Errorf("bad signing algorithm %q", read.Algorithm)
	}
	if known, err = s.trusted(ctx, read.KeyID); err != nil {
		return read, nil, err
	}
	// Names of members in other letters, members that are there twice and text behind the object pass the checks above.
	var strict header
	if _, err := decodeStrictly(encoded); err != nil {
		return read, nil, fmt.Errorf("while unwrapping header: %w", err)
	}
	if err := josejson.Unmarshal(text, &strict); err != nil || strict != read {
		return read, nil, errors.New("while parsing header JSON: it has members in other spellings or twice, or text behind it")
	}
	return read, known, nil
}

// trusted returns the keys with an id, which may sign. An id that is unknown has the keys fetched.
func (s *Signer) trusted(ctx context.Context, id string) ([]signingkey.PublicKey, error) {
	known := s.keys.Load().named(id)
	if len(known) == 0 {
		if err := s.fetch(ctx); err != nil {
			return nil, fmt.Errorf("key used for signing JWT (kid: %s) is unknown: %w", id, err)
		}
		known = s.keys.Load().named(id)
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("key used for signing JWT (kid: %s) is not among the keys of the external signer", id)
	}
	for _, key := range known {
		if key.Hidden {
			return nil, fmt.Errorf("key used for signing JWT (kid: %s) is excluded from OIDC discovery docs", id)
		}
	}
	return known, nil
}

// verify returns an error unless one of the keys made the signature.
func verify(known []signingkey.PublicKey, read header, signed, encoded string) error {
	signature, err := decodeStrictly(encoded)
	if err != nil {
		return err
	}
	for _, key := range known {
		if signingkey.Verifies(key.Public, read.Algorithm, signed, string(signature)) {
			return nil
		}
	}
	return fmt.Errorf("it is not that of the key %q with the algorithm %s", read.KeyID, read.Algorithm)
}

// decodeStrictly decodes base64url in its one canonical form.
func decodeStrictly(encoded string) ([]byte, error) {
	if strings.ContainsAny(encoded, "\r\n") {
		return nil, errors.New("there is a line break in it")
	}
	return base64.RawURLEncoding.Strict().DecodeString(encoded)
}
