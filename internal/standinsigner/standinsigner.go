// Package standinsigner has an external signer of tokens (KEP-740) for tests, which can be broken in every way. Only tests
// import it.
package standinsigner

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"
	externaljwtv1alpha1 "k8s.io/externaljwt/apis/v1alpha1"
)

// Header is the header of the tokens of a signer that is whole.
const Header = `{"alg":"ES256","kid":"one","typ":"JWT"}`

// Signer is an external signer whose key "one" signs. Once it is started, a test changes its fields with Change.
type Signer struct {
	externaljwtv1.UnimplementedExternalJWTSignerServer
	// Socket is the path of its socket.
	Socket string
	// Key signs, on P-256, with Header.
	Key    *ecdsa.PrivateKey
	Header string
	// Keys are answered to FetchKeys, with Data and Hint, and Life to Metadata.
	Keys       []*externaljwtv1.Key
	Data       time.Time
	Hint, Life int64
	// Claims, if set, changes the claims before they are signed.
	Claims func(claims string) string
	// OnSign, OnFetch and OnMetadata, if set, change an answer. Their errors are answered instead.
	OnSign     func(*externaljwtv1.SignJWTResponse) error
	OnFetch    func(*externaljwtv1.FetchKeysResponse) error
	OnMetadata func(*externaljwtv1.MetadataResponse) error
	// WithoutAlpha serves v1 only.
	WithoutAlpha bool
	// Fetched counts the calls of FetchKeys.
	Fetched int

	t      testing.TB
	mu     sync.Mutex
	server *grpc.Server
}

// New returns a signer that is whole and not started.
func New(t testing.TB) *Signer {
	t.Helper()
	key := NewKey(t)
	return &Signer{
		t: t, Socket: filepath.Join(t.TempDir(), "s"), Key: key, Header: Header, Data: time.Now(), Hint: 3600, Life: 7200,
		Keys: []*externaljwtv1.Key{{KeyId: "one", Key: Encode(t, key.Public())}},
	}
}

// NewKey makes a key.
func NewKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Encode returns a public key as FetchKeys has it.
func Encode(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Error(err)
	}
	return der
}

// Start serves until Stop or the end of the test.
func (s *Signer) Start() {
	s.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(s.t.Context(), "unix", s.Socket)
	if err != nil {
		s.t.Fatal(err)
	}
	server := grpc.NewServer()
	externaljwtv1.RegisterExternalJWTSignerServer(server, s)
	if !s.WithoutAlpha {
		alpha := externaljwtv1.ExternalJWTSigner_ServiceDesc
		alpha.ServiceName = externaljwtv1alpha1.ExternalJWTSigner_ServiceDesc.ServiceName
		server.RegisterService(&alpha, s)
	}
	s.server = server
	go func() { _ = server.Serve(listener) }()
	s.t.Cleanup(server.Stop)
}

// Stop ends the service. It can be started again.
func (s *Signer) Stop() { s.server.Stop() }

// Change changes the signer between two calls.
func (s *Signer) Change(change func(*Signer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// Sign signs claims.
func (s *Signer) Sign(_ context.Context, request *externaljwtv1.SignJWTRequest) (*externaljwtv1.SignJWTResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	response := &externaljwtv1.SignJWTResponse{Header: base64.RawURLEncoding.EncodeToString([]byte(s.Header))}
	claims := request.GetClaims()
	if s.Claims != nil {
		claims = s.Claims(claims)
	}
	digest := sha256.Sum256([]byte(response.Header + "." + claims))
	r, t, err := ecdsa.Sign(rand.Reader, s.Key, digest[:])
	if err != nil {
		return nil, err
	}
	raw := make([]byte, 64)
	r.FillBytes(raw[:32])
	t.FillBytes(raw[32:])
	response.Signature = base64.RawURLEncoding.EncodeToString(raw)
	return answer(response, s.OnSign)
}

// FetchKeys returns the keys.
func (s *Signer) FetchKeys(context.Context, *externaljwtv1.FetchKeysRequest) (*externaljwtv1.FetchKeysResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Fetched++
	response := &externaljwtv1.FetchKeysResponse{DataTimestamp: timestamppb.New(s.Data), RefreshHintSeconds: s.Hint}
	for _, key := range s.Keys {
		response.Keys = append(response.Keys, &externaljwtv1.Key{KeyId: key.KeyId, Key: key.Key, ExcludeFromOidcDiscovery: key.ExcludeFromOidcDiscovery})
	}
	return answer(response, s.OnFetch)
}

// Metadata returns the longest life of a token.
func (s *Signer) Metadata(context.Context, *externaljwtv1.MetadataRequest) (*externaljwtv1.MetadataResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return answer(&externaljwtv1.MetadataResponse{MaxTokenExpirationSeconds: s.Life}, s.OnMetadata)
}

func answer[R any](response *R, change func(*R) error) (*R, error) {
	if change != nil {
		if err := change(response); err != nil {
			return nil, err
		}
	}
	return response, nil
}
