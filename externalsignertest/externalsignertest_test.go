package externalsignertest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	"github.com/mintmark/mintmark/externalsignertest"
)

// run returns the names of the checks that failed, and how many there are.
func run(t *testing.T, socket string) (failed []string, all int) {
	t.Helper()
	for result := range externalsignertest.Run(t.Context(), socket, externalsignertest.Options{}) {
		all++
		if result.Requirement == "" {
			t.Errorf("%s has no requirement", result.Name)
		}
		if result.Err != nil {
			t.Logf("%s: %v", result.Name, result.Err)
			failed = append(failed, result.Name)
		}
	}
	return failed, all
}

func TestGoodSigner(t *testing.T) {
	for _, withAlpha := range []bool{true, false} {
		signer := newStandIn(t)
		signer.withAlpha = withAlpha
		if failed, all := run(t, signer.start()); len(failed) > 0 || all < 20 {
			t.Errorf("of %d checks failed %q", all, failed)
		}
	}
}

func rewrite(t testing.TB) func(string) string {
	return func(claims string) string {
		text, err := base64.RawURLEncoding.DecodeString(claims)
		if err != nil {
			t.Error(err)
		}
		var members map[string]any
		if err := json.Unmarshal(text, &members); err != nil {
			t.Error(err)
		}
		text, err = json.Marshal(members)
		if err != nil {
			t.Error(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
}

// other returns a key that no stand-in has.
func other(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestBrokenSigners: each thing that can be wrong with a signer is caught by the check of that name.
func TestBrokenSigners(t *testing.T) {
	for name, test := range map[string]struct {
		breaks func(*standIn)
		want   string
	}{
		"no Metadata":         {func(s *standIn) { s.fail = failing("Metadata") }, "metadata/answers"},
		"a life too short":    {func(s *standIn) { s.metadata = life(599) }, "metadata/max-token-expiration"},
		"a life beyond count": {func(s *standIn) { s.metadata = life(1 << 40) }, "metadata/max-token-expiration"},
		"no FetchKeys":        {func(s *standIn) { s.fail = failing("FetchKeys") }, "keys/answers"},
		"no hint":             {func(s *standIn) { s.keys = func(r *externaljwtv1.FetchKeysResponse) { r.RefreshHintSeconds = 0 } }, "keys/refresh-hint"},
		"no timestamp":        {func(s *standIn) { s.keys = func(r *externaljwtv1.FetchKeysResponse) { r.DataTimestamp = nil } }, "keys/data-timestamp"},
		"a timestamp to come": {func(s *standIn) { s.since = time.Now().Add(time.Hour) }, "keys/data-timestamp"},
		"no keys":             {func(s *standIn) { s.keys = func(r *externaljwtv1.FetchKeysResponse) { r.Keys = nil } }, "keys/present"},
		"hidden keys alone":   {func(s *standIn) { s.keys = eachKey(func(k *externaljwtv1.Key) { k.ExcludeFromOidcDiscovery = true }) }, "keys/present"},
		"a key without id":    {func(s *standIn) { s.keys = eachKey(func(k *externaljwtv1.Key) { k.KeyId = "" }) }, "keys/ids"},
		"an id twice": {func(s *standIn) {
			s.keys = func(r *externaljwtv1.FetchKeysResponse) { r.Keys = append(r.Keys, r.Keys[0]) }
		}, "keys/ids"},
		"keys in PEM": {func(s *standIn) {
			s.keys = eachKey(func(k *externaljwtv1.Key) {
				k.Key = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.Key})
			})
		}, "keys/public-keys"},
		"keys that are none": {func(s *standIn) { s.keys = eachKey(func(k *externaljwtv1.Key) { k.Key = []byte("key") }) }, "keys/public-keys"},
		"an Ed25519 key": {func(s *standIn) {
			public, _, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				s.t.Fatal(err)
			}
			s.keys = eachKey(func(k *externaljwtv1.Key) { k.Key = encode(s.t, public) })
		}, "keys/public-keys"},
		"no Sign":               {func(s *standIn) { s.fail = failing("Sign") }, "sign/answers"},
		"a header with padding": {func(s *standIn) { s.answer = func(r *externaljwtv1.SignJWTResponse) { r.Header += "==" } }, "sign/header-encoding"},
		"a header of text":      {func(s *standIn) { s.answer = setHeader("ES256") }, "sign/header-members"},
		"a header of null":      {func(s *standIn) { s.answer = setHeader("null") }, "sign/header-typ"},
		"a member twice":        {func(s *standIn) { s.answer = setHeader(`{"alg":"none","alg":"ES256","kid":"one","typ":"JWT"}`) }, "sign/header-members"},
		"another member":        {func(s *standIn) { s.header["iss"] = "me" }, "sign/header-members"},
		"no typ":                {func(s *standIn) { delete(s.header, "typ") }, "sign/header-typ"},
		"no kid":                {func(s *standIn) { delete(s.header, "kid") }, "sign/header-kid"},
		"a long kid":            {func(s *standIn) { s.header["kid"] = strings.Repeat("a", 1025) }, "sign/header-kid"},
		"alg none":              {func(s *standIn) { s.header["alg"] = "none" }, "sign/header-alg"},
		"alg HS256":             {func(s *standIn) { s.header["alg"] = "HS256" }, "sign/header-alg"},
		"an unknown kid":        {func(s *standIn) { s.header["kid"] = "two" }, "sign/key-published"},
		"a hidden key signs": {func(s *standIn) {
			s.keys = func(r *externaljwtv1.FetchKeysResponse) {
				r.Keys[0].ExcludeFromOidcDiscovery = true
				r.Keys = append(r.Keys, &externaljwtv1.Key{KeyId: "two", Key: encode(s.t, other(s.t).Public())})
			}
		}, "sign/key-published"},
		"another alg":  {func(s *standIn) { s.header["alg"] = "RS256" }, "sign/algorithm-fits-key"},
		"no signature": {func(s *standIn) { s.signature = func([]byte) string { return "" } }, "sign/signature"},
		"another's signature": {func(s *standIn) {
			shown := s.key.Public()
			s.key = other(s.t)
			s.keys = eachKey(func(k *externaljwtv1.Key) { k.Key = encode(s.t, shown) })
		}, "sign/signature"},
		"a signature in ASN.1": {func(s *standIn) {
			s.signature = func(digest []byte) string {
				der, err := ecdsa.SignASN1(rand.Reader, s.key, digest)
				if err != nil {
					s.t.Error(err)
				}
				return base64.RawURLEncoding.EncodeToString(der)
			}
		}, "sign/signature"},
		"a signature in base64": {func(s *standIn) {
			s.signature = func([]byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 64)) }
		}, "sign/signature"},
		"claims written anew": {func(s *standIn) { s.claims = rewrite(s.t) }, "sign/claims-as-sent"},
		"long claims refused": {func(s *standIn) {
			s.claims = func(claims string) string { return claims[:min(len(claims), 8<<10)] }
		}, "sign/long-claims"},
		"one signature for all": {func(s *standIn) {
			var last atomic.Pointer[string]
			s.claims = func(claims string) string {
				if strings.Contains(string(decoded(claims)), `"audience-`) && !last.CompareAndSwap(nil, &claims) {
					return *last.Load()
				}
				return claims
			}
		}, "sign/concurrent"},
		"a timestamp that goes back": {func(s *standIn) {
			var fetched atomic.Int64
			s.keys = func(r *externaljwtv1.FetchKeysResponse) {
				r.DataTimestamp = timestamppb.New(s.since.Add(-time.Duration(fetched.Add(1)) * time.Second))
			}
		}, "keys/changes"},
		"keys that change in silence": {func(s *standIn) {
			var fetched atomic.Int64
			s.keys = func(r *externaljwtv1.FetchKeysResponse) {
				if fetched.Add(1) > 1 {
					r.Keys = append(r.Keys, &externaljwtv1.Key{KeyId: "two", Key: encode(s.t, other(s.t).Public())})
				}
			}
		}, "keys/changes"},
	} {
		t.Run(name, func(t *testing.T) {
			signer := newStandIn(t)
			test.breaks(signer)
			if failed, _ := run(t, signer.start()); !slices.Contains(failed, test.want) {
				t.Errorf("failed %q, want %s among them", failed, test.want)
			}
		})
	}
}

func failing(method string) func(string) error {
	return func(called string) error {
		if called == method {
			return status.Error(codes.Internal, "broken")
		}
		return nil
	}
}

func life(seconds int64) func(*externaljwtv1.MetadataResponse) {
	return func(r *externaljwtv1.MetadataResponse) { r.MaxTokenExpirationSeconds = seconds }
}

func eachKey(change func(*externaljwtv1.Key)) func(*externaljwtv1.FetchKeysResponse) {
	return func(r *externaljwtv1.FetchKeysResponse) {
		for _, key := range r.Keys {
			change(key)
		}
	}
}

func setHeader(text string) func(*externaljwtv1.SignJWTResponse) {
	return func(r *externaljwtv1.SignJWTResponse) { r.Header = base64.RawURLEncoding.EncodeToString([]byte(text)) }
}

func decoded(claims string) []byte {
	text, _ := base64.RawURLEncoding.DecodeString(claims)
	return text
}

// TestNoSigner: a socket that is not there, that nobody serves, or that is none is told by the first check, and the others
// are skipped.
func TestNoSigner(t *testing.T) {
	dead := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", dead)
	if err != nil {
		t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = listener.Close()
	for _, socket := range []string{filepath.Join(t.TempDir(), "none"), dead, "https://signer", "@mintmark-nobody-listens"} {
		if failed, _ := run(t, socket); !slices.Equal(failed, []string{"socket/connects"}) {
			t.Errorf("%s: failed %q", socket, failed)
		}
	}
}

// TestRunStops: a check that nobody asks for is not made.
func TestRunStops(t *testing.T) {
	made := 0
	for range externalsignertest.Run(t.Context(), newStandIn(t).start(), externalsignertest.Options{}) {
		if made++; made == 3 {
			break
		}
	}
	if made != 3 {
		t.Errorf("%d checks", made)
	}
}
