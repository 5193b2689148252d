package externaljwt

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"
	"k8s.io/klog/v2"
)

// algorithms are those that kube-apiserver takes.
var algorithms = []string{"RS256", "ES256", "ES384", "ES512"}

// clockLeeway is by how much the end of a token may be beyond the longest life, for a peer whose clock runs ahead.
const clockLeeway = time.Minute

// Sign signs the claims of a token.
func (s *Server) Sign(ctx context.Context, request *externaljwtv1.SignJWTRequest) (*externaljwtv1.SignJWTResponse, error) {
	e := event{received: s.Now()}
	response, err := s.sign(ctx, request.GetClaims(), &e)
	e.err = err
	if !s.record(ctx, e) && err == nil {
		return nil, status.Error(codes.Unavailable, "the audit log could not be written, and nothing is signed without a record")
	}
	return response, err
}

func (s *Server) sign(ctx context.Context, encoded string, e *event) (*externaljwtv1.SignJWTResponse, error) {
	c, err := parseClaims(encoded)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	e.claims = c
	if longest := s.Now().Add(s.MaxExpiration + clockLeeway); c.end.After(longest) {
		return nil, status.Errorf(codes.InvalidArgument, "exp is %s, and a token may live no longer than %s (--service-account-max-token-expiration of this signer)",
			c.end.UTC().Format(time.RFC3339), s.MaxExpiration)
	}
	token, keyID, err := s.Keys.SignJWT(ctx, s.algorithm(c.audiences), c.text, c.end)
	if err != nil {
		return nil, signError(ctx, err)
	}
	header, signature, err := parts(token, encoded)
	if err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	e.token, e.keyID = token, keyID
	return &externaljwtv1.SignJWTResponse{Header: header, Signature: signature}, nil
}

// algorithm returns the algorithm for audiences. One that kube-apiserver does not take is not chosen.
func (s *Server) algorithm(audiences []string) string {
	if s.Algorithm == nil {
		return ""
	}
	if chosen := s.Algorithm(audiences); slices.Contains(algorithms, chosen) {
		return chosen
	}
	return ""
}

// signError is the error of a signature that was not made.
func signError(ctx context.Context, err error) error {
	klog.FromContext(ctx).Error(err, "A token was not signed")
	var unavailable interface {
		error
		Unavailable()
	}
	if errors.As(err, &unavailable) {
		return status.Error(codes.Unavailable, unavailable.Error())
	}
	return status.FromContextError(err).Err()
}

// parts returns the header and the signature of a token that carries the claims.
func parts(token, encoded string) (header, signature string, err error) {
	header, rest, _ := strings.Cut(token, ".")
	claims, signature, _ := strings.Cut(rest, ".")
	if claims != encoded {
		return "", "", errors.New("the token does not carry the claims as they came")
	}
	var members struct {
		Algorithm string `json:"alg"`
	}
	text, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		return "", "", err
	}
	if err := json.Unmarshal(text, &members); err != nil {
		return "", "", err
	}
	if !slices.Contains(algorithms, members.Algorithm) {
		return "", "", fmt.Errorf("the active key signs with %s, which kube-apiserver does not take: make another with 'mintmark keys rotate --algorithm ES256'", members.Algorithm)
	}
	return header, signature, nil
}
