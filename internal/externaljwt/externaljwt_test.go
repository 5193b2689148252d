package externaljwt_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	auditapi "k8s.io/apiserver/pkg/apis/audit"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	"github.com/mintmark/mintmark/externalsignertest"
	"github.com/mintmark/mintmark/internal/externaljwt"
	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/unixsocket"
)

// source is a source of keys that a test changes.
type source struct {
	mu       sync.Mutex
	contents signingkey.Contents
	changed  func()
}

func (s *source) Bind(changed func())              { s.changed = changed }
func (*source) Find(context.Context, string) error { return nil }
func (*source) Run(context.Context)                {}
func (s *source) Contents(time.Time) (signingkey.Contents, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.contents, nil
}

// set has the first key sign and all of them verify.
func (s *source) set(t testing.TB, maxAge time.Duration, hidden map[int]bool, keys ...crypto.Signer) {
	t.Helper()
	contents := signingkey.Contents{MaxAge: maxAge, Signers: map[string]signingkey.TokenSigner{}}
	for i, key := range keys {
		signer, err := signingkey.NewSigner(key)
		if err != nil {
			t.Fatal(err)
		}
		contents.Keys = append(contents.Keys, signingkey.PublicKey{ID: signer.KeyID(), Public: key.Public(), Hidden: hidden[i]})
		if i == 0 {
			contents.Signers[""] = signer.AsTokenSigner()
		}
	}
	s.mu.Lock()
	s.contents = contents
	s.mu.Unlock()
	if s.changed != nil {
		s.changed()
	}
}

// recorder keeps audit events. With broken set it fails.
type recorder struct {
	mu     sync.Mutex
	events []*auditapi.Event
	broken bool
}

func (r *recorder) ProcessEvents(events ...*auditapi.Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, events...)
	return !r.broken
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// start serves until the test ends, and returns the socket.
func start(t *testing.T, cfg externaljwt.Config) unixsocket.Address {
	t.Helper()
	if cfg.Address == "" {
		cfg.Address = unixsocket.Address(filepath.Join(t.TempDir(), "s"))
	}
	if cfg.Mode == 0 {
		cfg.Mode = 0o600
	}
	if cfg.MaxExpiration == 0 {
		cfg.MaxExpiration = time.Hour
	}
	server, err := externaljwt.Listen(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return cfg.Address
}

// startRing serves the keys of a source.
func startRing(t *testing.T, keys *source, cfg externaljwt.Config) unixsocket.Address {
	t.Helper()
	cfg.Keys = signingkey.NewRing(keys, cfg.Now)
	return start(t, cfg)
}

func client(t *testing.T, address unixsocket.Address) externaljwtv1.ExternalJWTSignerClient {
	t.Helper()
	connection, err := grpc.NewClient("passthrough:///signer", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return address.Dial(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return externaljwtv1.NewExternalJWTSignerClient(connection)
}

// encoded returns claims as they are sent.
func encoded(format string, args ...any) *externaljwtv1.SignJWTRequest {
	return &externaljwtv1.SignJWTRequest{Claims: base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, format, args...))}
}

// TestConformance runs the suite for external signers, v1 and v1alpha1, on a file and on an abstract socket.
func TestConformance(t *testing.T) {
	for _, address := range []unixsocket.Address{"", unixsocket.Address(fmt.Sprintf("@mintmark-externaljwt-%d", os.Getpid()))} {
		keys := &source{}
		keys.set(t, time.Hour, map[int]bool{1: true}, ecKey(t), ecKey(t))
		if address.Abstract() && !unixsocket.KnowsPeers {
			continue
		}
		address = startRing(t, keys, externaljwt.Config{Address: address})
		for result := range externalsignertest.Run(t.Context(), string(address), externalsignertest.Options{}) {
			if result.Err != nil || result.Skipped != "" {
				t.Errorf("%s: %v %s", result.Name, result.Err, result.Skipped)
			}
		}
	}
}

// TestRefusedClaims: nothing is signed that is no payload of a token with an end, within the limit.
func TestRefusedClaims(t *testing.T) {
	keys := &source{}
	keys.set(t, time.Hour, nil, ecKey(t))
	signer := client(t, startRing(t, keys, externaljwt.Config{}))
	soon := time.Now().Add(10 * time.Minute).Unix()
	for name, test := range map[string]struct {
		request *externaljwtv1.SignJWTRequest
		want    string
	}{
		"nothing":         {&externaljwtv1.SignJWTRequest{}, "no JSON object"},
		"no base64url":    {&externaljwtv1.SignJWTRequest{Claims: "{}"}, "not unpadded base64url"},
		"padding":         {&externaljwtv1.SignJWTRequest{Claims: encoded(`{"exp":%d}`, soon).Claims + "="}, "not unpadded base64url"},
		"a line break":    {&externaljwtv1.SignJWTRequest{Claims: encoded(`{"exp":%d}`, soon).Claims + "\n"}, "not unpadded base64url"},
		"another part":    {&externaljwtv1.SignJWTRequest{Claims: "e30.e30"}, "not unpadded base64url"},
		"a list":          {encoded(`[1]`), "no JSON object"},
		"a text":          {encoded(`exp`), "no JSON object"},
		"half an object":  {encoded(`{"exp":%d`, soon), "no JSON object"},
		"more behind it":  {encoded(`{"exp":%d}{}`, soon), "no JSON object"},
		"exp twice":       {encoded(`{"exp":%d,"exp":1e300}`, soon), "a member is there twice"},
		"no exp":          {encoded(`{"iss":"i"}`), "the claims have no exp"},
		"another EXP":     {encoded(`{"EXP":%d}`, soon), "the claims have no exp"},
		"exp null":        {encoded(`{"exp":null}`), "exp is no number"},
		"exp a text":      {encoded(`{"exp":"%d"}`, soon), "exp is no number"},
		"exp far away":    {encoded(`{"exp":1e300}`), "exp is out of range"},
		"exp zero":        {encoded(`{"exp":0}`), "exp is out of range"},
		"exp negative":    {encoded(`{"exp":-1}`), "exp is out of range"},
		"a life too long": {encoded(`{"exp":%d}`, time.Now().Add(time.Hour+2*time.Minute).Unix()), "a token may live no longer than 1h0m0s"},
	} {
		response, err := signer.Sign(t.Context(), test.request)
		if status.Code(err) != codes.InvalidArgument || !strings.Contains(status.Convert(err).Message(), test.want) {
			t.Errorf("%s: %v %v, want %q", name, response, err, test.want)
		}
	}
	for _, claims := range []string{`{"exp":%d}`, ` {"exp" : %d.25, "aud":7, "jti":7, "sub":7}`} {
		if _, err := signer.Sign(t.Context(), encoded(claims, soon)); err != nil {
			t.Errorf("%s: %v", claims, err)
		}
	}
}

// TestEverySignatureIsRecorded: the audit log has an event of the documented shape for each call of Sign, with the token's
// credential id and never the token, and without an event nothing is signed.
func TestEverySignatureIsRecorded(t *testing.T) {
	keys, log := &source{}, &recorder{}
	keys.set(t, time.Hour, nil, ecKey(t))
	signer := client(t, startRing(t, keys, externaljwt.Config{Audit: log}))
	end := time.Now().Add(10 * time.Minute).Truncate(time.Second)
	response, err := signer.Sign(t.Context(), encoded(`{"jti":"one","sub":"system:serviceaccount:ns:app","aud":["a","b"],"exp":%d}`, end.Unix()))
	if err != nil {
		t.Fatal(err)
	}
	if len(log.events) != 1 {
		t.Fatalf("%d events", len(log.events))
	}
	got := log.events[0]
	id, err := signingkey.KeyID(keys.contents.Keys[0].Public)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"authentication.kubernetes.io/issued-credential-id": "JTI=one",
		"authentication.mintmark.io/service-account":        "ns/app",
		"authentication.mintmark.io/audiences":              `["a","b"]`,
		"authentication.mintmark.io/expires":                end.UTC().Format(time.RFC3339),
		"authentication.mintmark.io/key-id":                 id,
	}
	if diff := cmp.Diff(want, got.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	shape := []string{string(got.Level), string(got.Stage), got.RequestURI, got.Verb, got.User.Username, fmt.Sprint(got.ResponseStatus.Code)}
	user := "unix:uid:unknown"
	if unixsocket.KnowsPeers {
		user = fmt.Sprintf("unix:uid:%d", os.Geteuid())
	}
	if diff := cmp.Diff([]string{"Metadata", "ResponseComplete", "/v1.ExternalJWTSigner/Sign", "create", user, "200"}, shape); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if of := got.ObjectRef; of == nil || of.Resource != "serviceaccounts" || of.Subresource != "token" || of.Namespace != "ns" || of.Name != "app" {
		t.Errorf("the object is %+v", of)
	}
	if strings.Contains(fmt.Sprint(got), response.Signature) {
		t.Error("the event has the signature in it")
	}

	if _, err := signer.Sign(t.Context(), encoded(`{"exp":%d}`, end.Unix())); err != nil {
		t.Fatal(err)
	}
	if id := log.events[1].Annotations["authentication.kubernetes.io/issued-credential-id"]; !strings.HasPrefix(id, "SHA256=") {
		t.Errorf("a token without jti has the credential id %q", id)
	}
	if _, err := signer.Sign(t.Context(), encoded(`{"jti":"two"}`)); err == nil {
		t.Error("claims without end are signed")
	}
	if got := log.events[2]; got.ResponseStatus.Code != 400 || len(got.Annotations) > 0 {
		t.Errorf("a refusal is recorded as %v %v", got.ResponseStatus, got.Annotations)
	}
	log.broken = true
	if response, err := signer.Sign(t.Context(), encoded(`{"exp":%d}`, end.Unix())); status.Code(err) != codes.Unavailable {
		t.Errorf("without an audit log: %v %v", response, err)
	}
}

// TestFetchedKeys: hidden keys are marked, keys that kube-apiserver can't use are left out, the timestamp moves when the keys
// change and only then, and the hint is half of what relying parties are told.
func TestFetchedKeys(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	one, two := ecKey(t), ecKey(t)
	var mu sync.Mutex
	now := time.Now()
	keys := &source{}
	keys.set(t, time.Hour, map[int]bool{1: true}, one, two, private)
	signer := client(t, startRing(t, keys, externaljwt.Config{Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}}))
	fetch := func() *externaljwtv1.FetchKeysResponse {
		t.Helper()
		response, err := signer.FetchKeys(t.Context(), &externaljwtv1.FetchKeysRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	first := fetch()
	var hidden []bool
	for _, key := range first.Keys {
		hidden = append(hidden, key.ExcludeFromOidcDiscovery)
	}
	if !slices.Equal(hidden, []bool{false, true}) || first.RefreshHintSeconds != 1800 {
		t.Errorf("hidden %v, hint %d", hidden, first.RefreshHintSeconds)
	}
	step := func(by time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(by)
	}
	step(time.Minute)
	keys.changed()
	if again := fetch(); !again.DataTimestamp.AsTime().Equal(first.DataTimestamp.AsTime()) {
		t.Error("the timestamp moved and the keys are the same")
	}
	step(-time.Hour)
	keys.set(t, 5*time.Second, nil, one, two)
	second := fetch()
	if !second.DataTimestamp.AsTime().After(first.DataTimestamp.AsTime()) || second.RefreshHintSeconds != 2 {
		t.Errorf("timestamp %s after %s, hint %d", second.DataTimestamp.AsTime(), first.DataTimestamp.AsTime(), second.RefreshHintSeconds)
	}
	keys.set(t, time.Second, nil, one)
	if hint := fetch().RefreshHintSeconds; hint != 1 {
		t.Errorf("hint %d", hint)
	}
	keys.set(t, time.Hour, nil, private)
	if _, err := signer.FetchKeys(t.Context(), &externaljwtv1.FetchKeysRequest{}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("an EdDSA key alone: %v", err)
	}
	if _, err := signer.Sign(t.Context(), encoded(`{"exp":%d}`, time.Now().Add(-time.Minute).Unix())); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("signed with EdDSA: %v", err)
	}
}

// faulty are keys that fail, or panic.
type faulty struct{ err error }

func (f faulty) SignJWT(context.Context, string, []byte, time.Time) (token, keyID string, err error) {
	if f.err == nil {
		panic("a-token-that-nobody-may-see")
	}
	return "", "", f.err
}

func (f faulty) Trusted() (signingkey.Trusted, error) { return signingkey.Trusted{}, f.err }

// TestFailures: the caller is told by the code whether trying again helps, and no panic ends the process.
func TestFailures(t *testing.T) {
	claims := encoded(`{"exp":%d}`, time.Now().Add(time.Minute).Unix())
	for code, err := range map[codes.Code]error{
		codes.Unavailable: fmt.Errorf("wrapped: %w", &signingkey.Unavailable{Reason: "not yet"}),
		codes.Unknown:     errors.New("no signing key"),
		codes.Internal:    nil,
	} {
		signer := client(t, start(t, externaljwt.Config{Keys: faulty{err}}))
		if _, err := signer.Sign(t.Context(), claims); status.Code(err) != code || strings.Contains(err.Error(), "nobody-may-see") {
			t.Errorf("%v, want %s", err, code)
		}
	}
}

// TestPeers: the process of a user who is not named is refused by uid, on a socket that everybody may open.
func TestPeers(t *testing.T) {
	if !unixsocket.KnowsPeers || os.Geteuid() != 0 {
		t.Skip("another user's process can be tried by root on Linux only")
	}
	const stranger = 65534
	keys, log := &source{}, &recorder{}
	keys.set(t, time.Hour, nil, ecKey(t))
	for _, allowed := range [][]int{nil, {stranger}} {
		name := unixsocket.Address(fmt.Sprintf("@mintmark-peers-%d-%d", os.Getpid(), len(allowed)))
		startRing(t, keys, externaljwt.Config{Address: name, Audit: log, AllowedUIDs: allowed})
		connection, err := grpc.NewClient("passthrough:///signer", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dialAs(ctx, name, stranger) }))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		signer := externaljwtv1.NewExternalJWTSignerClient(connection)
		_, signed := signer.Sign(t.Context(), encoded(`{"exp":%d}`, time.Now().Add(time.Minute).Unix()))
		_, fetched := signer.FetchKeys(t.Context(), &externaljwtv1.FetchKeysRequest{})
		_, told := signer.Metadata(t.Context(), &externaljwtv1.MetadataRequest{})
		want := codes.PermissionDenied
		if len(allowed) > 0 {
			want = codes.OK
		}
		for _, err := range []error{signed, fetched, told} {
			if status.Code(err) != want {
				t.Errorf("allowed %v: %v, want %s", allowed, err, want)
			}
		}
	}
	codesOf := map[int32]int{}
	for _, event := range log.events {
		codesOf[event.ResponseStatus.Code]++
	}
	if !maps.Equal(codesOf, map[int32]int{403: 3, 200: 1}) {
		t.Errorf("recorded %v", codesOf)
	}
}
