package externaljwt

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"
)

// FetchKeys returns the keys whose tokens are accepted.
//
// A kube-apiserver keeps them until the refresh hint is over, and publishes them. The hint is half of the time for which
// relying parties may keep the key set of this server, which is never longer than the shortest lead that is running. So a
// key that is being prepared is known to the kube-apiserver and to its relying parties before it signs.
func (s *Server) FetchKeys(ctx context.Context, _ *externaljwtv1.FetchKeysRequest) (*externaljwtv1.FetchKeysResponse, error) {
	trusted, err := s.Keys.Trusted()
	if err != nil {
		return nil, signError(ctx, err)
	}
	response := &externaljwtv1.FetchKeysResponse{
		DataTimestamp:      timestamppb.New(trusted.ChangedAt),
		RefreshHintSeconds: max(int64(trusted.MaxAge/2/time.Second), 1),
	}
	for _, key := range trusted.Keys {
		if !usable(key.Public) {
			continue
		}
		der, err := x509.MarshalPKIXPublicKey(key.Public)
		if err != nil {
			return nil, status.Error(codes.Internal, "a public key can't be encoded")
		}
		response.Keys = append(response.Keys, &externaljwtv1.Key{KeyId: key.ID, Key: der, ExcludeFromOidcDiscovery: key.Hidden})
	}
	if len(response.Keys) == 0 {
		return nil, status.Error(codes.FailedPrecondition, "there is no key that kube-apiserver can use: make one with 'mintmark keys rotate --algorithm ES256'")
	}
	return response, nil
}

// usable reports whether kube-apiserver can use a key. One other key would keep it from publishing any.
func usable(public crypto.PublicKey) bool {
	switch public.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
		return true
	}
	return false
}

// Metadata returns the longest life of a token.
func (s *Server) Metadata(context.Context, *externaljwtv1.MetadataRequest) (*externaljwtv1.MetadataResponse, error) {
	return &externaljwtv1.MetadataResponse{MaxTokenExpirationSeconds: int64(s.MaxExpiration / time.Second)}, nil
}
