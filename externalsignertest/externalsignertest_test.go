package externalsignertest_test

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	"github.com/mintmark/mintmark/externalsignertest"
	"github.com/mintmark/mintmark/internal/standinsigner"
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
		signer := standinsigner.New(t)
		signer.WithoutAlpha = !withAlpha
		signer.Start()
		if failed, all := run(t, signer.Socket); len(failed) > 0 || all < 20 {
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

// TestBrokenSigners: each thing that can be wrong with a signer is caught by the check of that name.
func TestBrokenSigners(t *testing.T) {
	for name, test := range map[string]struct {
		breaks func(*standinsigner.Signer)
		want   string
	}{
		"no Metadata":         {func(s *standinsigner.Signer) { s.OnMetadata = fails[externaljwtv1.MetadataResponse] }, "metadata/answers"},
		"a life too short":    {func(s *standinsigner.Signer) { s.Life = 599 }, "metadata/max-token-expiration"},
		"a life beyond count": {func(s *standinsigner.Signer) { s.Life = 1 << 40 }, "metadata/max-token-expiration"},
		"no FetchKeys":        {func(s *standinsigner.Signer) { s.OnFetch = fails[externaljwtv1.FetchKeysResponse] }, "keys/answers"},
		"no hint":             {func(s *standinsigner.Signer) { s.Hint = 0 }, "keys/refresh-hint"},
		"no timestamp":        {onFetch(func(r *externaljwtv1.FetchKeysResponse) { r.DataTimestamp = nil }), "keys/data-timestamp"},
		"a timestamp to come": {func(s *standinsigner.Signer) { s.Data = time.Now().Add(time.Hour) }, "keys/data-timestamp"},
		"no keys":             {func(s *standinsigner.Signer) { s.Keys = nil }, "keys/present"},
		"hidden keys alone":   {func(s *standinsigner.Signer) { s.Keys[0].ExcludeFromOidcDiscovery = true }, "keys/present"},
		"a key without id":    {func(s *standinsigner.Signer) { s.Keys[0].KeyId = "" }, "keys/ids"},
		"an id twice":         {func(s *standinsigner.Signer) { s.Keys = append(s.Keys, s.Keys[0]) }, "keys/ids"},
		"keys in PEM": {func(s *standinsigner.Signer) {
			s.Keys[0].Key = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: s.Keys[0].Key})
		}, "keys/public-keys"},
		"keys that are none":    {func(s *standinsigner.Signer) { s.Keys[0].Key = []byte("key") }, "keys/public-keys"},
		"an Ed25519 key":        {func(s *standinsigner.Signer) { s.Keys[0].Key = standinsigner.Encode(t, ed25519Key(t)) }, "keys/public-keys"},
		"no Sign":               {func(s *standinsigner.Signer) { s.OnSign = fails[externaljwtv1.SignJWTResponse] }, "sign/answers"},
		"a header with padding": {onSign(func(r *externaljwtv1.SignJWTResponse) { r.Header += "==" }), "sign/header-encoding"},
		"a header of text":      {header("ES256"), "sign/header-members"},
		"a header of null":      {header("null"), "sign/header-typ"},
		"a member twice":        {header(`{"alg":"none","alg":"ES256","kid":"one","typ":"JWT"}`), "sign/header-members"},
		"another member":        {header(`{"alg":"ES256","kid":"one","typ":"JWT","iss":"me"}`), "sign/header-members"},
		"no typ":                {header(`{"alg":"ES256","kid":"one"}`), "sign/header-typ"},
		"no kid":                {header(`{"alg":"ES256","typ":"JWT"}`), "sign/header-kid"},
		"a long kid":            {header(`{"alg":"ES256","kid":"` + strings.Repeat("a", 1025) + `","typ":"JWT"}`), "sign/header-kid"},
		"alg none":              {header(`{"alg":"none","kid":"one","typ":"JWT"}`), "sign/header-alg"},
		"alg HS256":             {header(`{"alg":"HS256","kid":"one","typ":"JWT"}`), "sign/header-alg"},
		"an unknown kid":        {header(`{"alg":"ES256","kid":"two","typ":"JWT"}`), "sign/key-published"},
		"a hidden key signs": {func(s *standinsigner.Signer) {
			s.Keys[0].ExcludeFromOidcDiscovery = true
			s.Keys = append(s.Keys, &externaljwtv1.Key{KeyId: "two", Key: standinsigner.Encode(t, standinsigner.NewKey(t).Public())})
		}, "sign/key-published"},
		"another alg":          {header(`{"alg":"RS256","kid":"one","typ":"JWT"}`), "sign/algorithm-fits-key"},
		"no signature":         {onSign(func(r *externaljwtv1.SignJWTResponse) { r.Signature = "" }), "sign/signature"},
		"another's signature":  {func(s *standinsigner.Signer) { s.Key = standinsigner.NewKey(t) }, "sign/signature"},
		"a signature in ASN.1": {onSign(func(r *externaljwtv1.SignJWTResponse) { r.Signature = asn1Signature(t, r.Signature) }), "sign/signature"},
		"a signature in base64": {onSign(func(r *externaljwtv1.SignJWTResponse) {
			r.Signature = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 64))
		}), "sign/signature"},
		"claims written anew": {func(s *standinsigner.Signer) { s.Claims = rewrite(t) }, "sign/claims-as-sent"},
		"long claims cut": {func(s *standinsigner.Signer) {
			s.Claims = func(claims string) string { return claims[:min(len(claims), 8<<10)] }
		}, "sign/long-claims"},
		"one signature for all": {func(s *standinsigner.Signer) {
			last := ""
			s.Claims = func(claims string) string {
				if strings.Contains(string(decoded(claims)), `"audience-`) {
					last = cmp.Or(last, claims)
					return last
				}
				return claims
			}
		}, "sign/concurrent"},
		"a timestamp that goes back": {func(s *standinsigner.Signer) {
			s.OnFetch = func(r *externaljwtv1.FetchKeysResponse) error {
				r.DataTimestamp = timestamppb.New(s.Data.Add(-time.Duration(s.Fetched) * time.Second))
				return nil
			}
		}, "keys/changes"},
		"keys that change in silence": {func(s *standinsigner.Signer) {
			two := &externaljwtv1.Key{KeyId: "two", Key: standinsigner.Encode(t, standinsigner.NewKey(t).Public())}
			s.OnFetch = func(r *externaljwtv1.FetchKeysResponse) error {
				if s.Fetched > 1 {
					r.Keys = append(r.Keys, two)
				}
				return nil
			}
		}, "keys/changes"},
	} {
		t.Run(name, func(t *testing.T) {
			signer := standinsigner.New(t)
			test.breaks(signer)
			signer.Start()
			if failed, _ := run(t, signer.Socket); !slices.Contains(failed, test.want) {
				t.Errorf("failed %q, want %s among them", failed, test.want)
			}
		})
	}
}

func fails[R any](*R) error { return status.Error(codes.Internal, "broken") }

func onSign(change func(*externaljwtv1.SignJWTResponse)) func(*standinsigner.Signer) {
	return func(s *standinsigner.Signer) {
		s.OnSign = func(r *externaljwtv1.SignJWTResponse) error { change(r); return nil }
	}
}

func onFetch(change func(*externaljwtv1.FetchKeysResponse)) func(*standinsigner.Signer) {
	return func(s *standinsigner.Signer) {
		s.OnFetch = func(r *externaljwtv1.FetchKeysResponse) error { change(r); return nil }
	}
}

func header(text string) func(*standinsigner.Signer) {
	return func(s *standinsigner.Signer) { s.Header = text }
}

func ed25519Key(t testing.TB) ed25519.PublicKey {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// asn1Signature writes a signature as it is written outside JWS.
func asn1Signature(t testing.TB, signature string) string {
	raw := decoded(signature)
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
	if err != nil {
		t.Error(err)
	}
	return base64.RawURLEncoding.EncodeToString(der)
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
	signer, made := standinsigner.New(t), 0
	signer.Start()
	for range externalsignertest.Run(t.Context(), signer.Socket, externalsignertest.Options{}) {
		if made++; made == 3 {
			break
		}
	}
	if made != 3 {
		t.Errorf("%d checks", made)
	}
}
