package externalsignertest_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"
	externaljwtv1alpha1 "k8s.io/externaljwt/apis/v1alpha1"
)

// standIn is a signer with one key. A hook that is set breaks it.
type standIn struct {
	externaljwtv1.UnimplementedExternalJWTSignerServer
	t         testing.TB
	key       *ecdsa.PrivateKey
	since     time.Time
	header    map[string]any
	claims    func(string) string
	signature func([]byte) string
	answer    func(*externaljwtv1.SignJWTResponse)
	keys      func(*externaljwtv1.FetchKeysResponse)
	metadata  func(*externaljwtv1.MetadataResponse)
	fail      func(method string) error
	withAlpha bool
}

func newStandIn(t testing.TB) *standIn {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &standIn{t: t, key: key, since: time.Now(), withAlpha: true, header: map[string]any{"alg": "ES256", "kid": "one", "typ": "JWT"}}
}

// start serves the stand-in and returns its socket.
func (s *standIn) start() string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		s.t.Fatal(err)
	}
	server := grpc.NewServer()
	services := []grpc.ServiceDesc{externaljwtv1.ExternalJWTSigner_ServiceDesc}
	if s.withAlpha {
		alpha := externaljwtv1.ExternalJWTSigner_ServiceDesc
		alpha.ServiceName = externaljwtv1alpha1.ExternalJWTSigner_ServiceDesc.ServiceName
		services = append(services, alpha)
	}
	for _, service := range services {
		server.RegisterService(&service, s)
	}
	go func() { _ = server.Serve(listener) }()
	s.t.Cleanup(server.Stop)
	return path
}

func (s *standIn) Sign(_ context.Context, request *externaljwtv1.SignJWTRequest) (*externaljwtv1.SignJWTResponse, error) {
	if s.fail != nil {
		if err := s.fail("Sign"); err != nil {
			return nil, err
		}
	}
	header, err := json.Marshal(s.header)
	if err != nil {
		return nil, err
	}
	response := &externaljwtv1.SignJWTResponse{Header: base64.RawURLEncoding.EncodeToString(header)}
	claims := request.GetClaims()
	if s.claims != nil {
		claims = s.claims(claims)
	}
	digest := sha256.Sum256([]byte(response.Header + "." + claims))
	r, t, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	if err != nil {
		return nil, err
	}
	raw := make([]byte, 64)
	r.FillBytes(raw[:32])
	t.FillBytes(raw[32:])
	response.Signature = base64.RawURLEncoding.EncodeToString(raw)
	if s.signature != nil {
		response.Signature = s.signature(digest[:])
	}
	if s.answer != nil {
		s.answer(response)
	}
	return response, nil
}

func (s *standIn) FetchKeys(context.Context, *externaljwtv1.FetchKeysRequest) (*externaljwtv1.FetchKeysResponse, error) {
	if s.fail != nil {
		if err := s.fail("FetchKeys"); err != nil {
			return nil, err
		}
	}
	response := &externaljwtv1.FetchKeysResponse{
		Keys:               []*externaljwtv1.Key{{KeyId: "one", Key: encode(s.t, &s.key.PublicKey)}},
		DataTimestamp:      timestamppb.New(s.since),
		RefreshHintSeconds: 60,
	}
	if s.keys != nil {
		s.keys(response)
	}
	return response, nil
}

func (s *standIn) Metadata(context.Context, *externaljwtv1.MetadataRequest) (*externaljwtv1.MetadataResponse, error) {
	if s.fail != nil {
		if err := s.fail("Metadata"); err != nil {
			return nil, err
		}
	}
	response := &externaljwtv1.MetadataResponse{MaxTokenExpirationSeconds: 3600}
	if s.metadata != nil {
		s.metadata(response)
	}
	return response, nil
}

func encode(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Error(err)
	}
	return der
}
