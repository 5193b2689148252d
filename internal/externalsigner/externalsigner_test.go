package externalsigner_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	"github.com/mintmark/mintmark/internal/externalsigner"
	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/standinsigner"
	"github.com/mintmark/mintmark/internal/unixsocket"
)

func connect(t *testing.T, s *standinsigner.Signer) (*externalsigner.Signer, error) {
	t.Helper()
	signer, err := externalsigner.Connect(t.Context(), unixsocket.Address(s.Socket), nil)
	if err == nil {
		t.Cleanup(signer.Close)
	}
	return signer, err
}

// started returns a stand-in that runs, and a connection to it.
func started(t *testing.T) (*standinsigner.Signer, *externalsigner.Signer) {
	t.Helper()
	s := standinsigner.New(t)
	s.Start()
	signer, err := connect(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return s, signer
}

var claims = []byte(`{"iss":"https://i","exp":1}`)

func sign(t *testing.T, signer *externalsigner.Signer) (token, keyID string, err error) {
	t.Helper()
	return signer.Sign(t.Context(), claims, time.Now().Add(time.Hour))
}

func TestSign(t *testing.T) {
	s, signer := started(t)
	token, keyID, err := sign(t, signer)
	if err != nil || keyID != "one" {
		t.Fatalf("key id %q, error %v", keyID, err)
	}
	parts := strings.Split(token, ".")
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	if parts[1] != base64.RawURLEncoding.EncodeToString(claims) || !signingkey.Verifies(s.Key.Public(), "ES256", parts[0]+"."+parts[1], string(signature)) {
		t.Error("the token does not verify")
	}
	if _, _, err := signer.Sign(t.Context(), claims, time.Time{}); err == nil || !strings.Contains(err.Error(), "kubectl create token") {
		t.Errorf("a token without end: %v", err)
	}
	// A key that is new to this server is looked up.
	s.Change(func(s *standinsigner.Signer) {
		s.Key = standinsigner.NewKey(t)
		s.Header = strings.Replace(standinsigner.Header, "one", "two", 1)
		s.Keys = append(s.Keys, &externaljwtv1.Key{KeyId: "two", Key: standinsigner.Encode(t, s.Key.Public())})
	})
	if _, keyID, err := sign(t, signer); err != nil || keyID != "two" {
		t.Errorf("key id %q, error %v", keyID, err)
	}
}

// TestBrokenSignatures: whatever is wrong with an answer of Sign, there is no token, and the error is kube-apiserver's if it
// has one.
func TestBrokenSignatures(t *testing.T) {
	header := func(text string) func(*standinsigner.Signer) {
		return func(s *standinsigner.Signer) { s.Header = text }
	}
	answer := func(change func(*externaljwtv1.SignJWTResponse)) func(*standinsigner.Signer) {
		return func(s *standinsigner.Signer) {
			s.OnSign = func(r *externaljwtv1.SignJWTResponse) error { change(r); return nil }
		}
	}
	for name, test := range map[string]struct {
		breaks func(*standinsigner.Signer)
		want   string
	}{
		"an error": {
			func(s *standinsigner.Signer) {
				s.OnSign = func(*externaljwtv1.SignJWTResponse) error { return status.Error(codes.Internal, "broken") }
			},
			"while signing jwt: rpc error: code = Internal desc = broken",
		},
		"no base64":        {answer(func(r *externaljwtv1.SignJWTResponse) { r.Header = "*" }), "while validating header: while unwrapping header: illegal base64"},
		"padding":          {answer(func(r *externaljwtv1.SignJWTResponse) { r.Header += "=" }), "while validating header: while unwrapping header: "},
		"a line break":     {answer(func(r *externaljwtv1.SignJWTResponse) { r.Header += "\n" }), "while validating header: while unwrapping header: there is a line break"},
		"loose bits":       {looseBits, "while validating header: while unwrapping header: illegal base64"},
		"no header":        {answer(func(r *externaljwtv1.SignJWTResponse) { r.Header = "" }), "while validating header: while parsing header JSON: EOF"},
		"no JSON":          {header("alg"), "while validating header: while parsing header JSON: invalid character"},
		"null":             {header("null"), "while validating header: bad type"},
		"a list":           {header("[]"), "while validating header: while parsing header JSON: json: cannot unmarshal array"},
		"another member":   {header(`{"alg":"ES256","kid":"one","typ":"JWT","crit":["x"]}`), `while validating header: while parsing header JSON: json: unknown field "crit"`},
		"text behind it":   {header(standinsigner.Header + "{}"), "while validating header: while parsing header JSON: "},
		"a member twice":   {header(`{"alg":"none","alg":"ES256","kid":"one","typ":"JWT"}`), "while validating header: while parsing header JSON: "},
		"another spelling": {header(`{"ALG":"ES256","KID":"one","TYP":"JWT"}`), "while validating header: while parsing header JSON: "},
		"no typ":           {header(`{"alg":"ES256","kid":"one"}`), "while validating header: bad type"},
		"another typ":      {header(`{"alg":"ES256","kid":"one","typ":"at+jwt"}`), "while validating header: bad type"},
		"no kid":           {header(`{"alg":"ES256","typ":"JWT"}`), "while validating header: key id missing"},
		"a long kid":       {header(`{"alg":"ES256","kid":"` + strings.Repeat("a", 1025) + `","typ":"JWT"}`), "while validating header: key id longer than 1 kb"},
		"alg none":         {header(`{"alg":"none","kid":"one","typ":"JWT"}`), `while validating header: bad signing algorithm "none"`},
		"no alg":           {header(`{"kid":"one","typ":"JWT"}`), `while validating header: bad signing algorithm ""`},
		"alg HS256":        {header(`{"alg":"HS256","kid":"one","typ":"JWT"}`), `while validating header: bad signing algorithm "HS256"`},
		"alg EdDSA":        {header(`{"alg":"EdDSA","kid":"one","typ":"JWT"}`), `while validating header: bad signing algorithm "EdDSA"`},
		"another alg":      {header(`{"alg":"RS256","kid":"one","typ":"JWT"}`), `while verifying signature: it is not that of the key "one" with the algorithm RS256`},
		"an unknown kid":   {header(`{"alg":"ES256","kid":"two","typ":"JWT"}`), "while validating header: key used for signing JWT (kid: two) is not among the keys of the external signer"},
		"a hidden key": {
			func(s *standinsigner.Signer) {
				s.Header = `{"alg":"ES256","kid":"two","typ":"JWT"}`
				s.Keys = append(s.Keys, &externaljwtv1.Key{KeyId: "two", Key: standinsigner.Encode(t, s.Key.Public()), ExcludeFromOidcDiscovery: true})
			},
			"while validating header: key used for signing JWT (kid: two) is excluded from OIDC discovery docs",
		},
		"no signature":     {answer(func(r *externaljwtv1.SignJWTResponse) { r.Signature = "" }), "empty signature returned"},
		"half a signature": {answer(func(r *externaljwtv1.SignJWTResponse) { r.Signature = r.Signature[:43] }), "while verifying signature: "},
		"a signature in base64": {
			answer(func(r *externaljwtv1.SignJWTResponse) {
				r.Signature = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 64))
			}),
			"while verifying signature: illegal base64",
		},
		"another's signature": {func(s *standinsigner.Signer) { s.Key = standinsigner.NewKey(t) }, `while verifying signature: it is not that of the key "one"`},
		"more parts":          {answer(func(r *externaljwtv1.SignJWTResponse) { r.Signature += ".x" }), "while verifying signature: illegal base64"},
	} {
		t.Run(name, func(t *testing.T) {
			s, signer := started(t)
			s.Change(test.breaks)
			token, keyID, err := sign(t, signer)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if token != "" || keyID != "" {
				t.Error("there is a token all the same")
			}
		})
	}
}

// looseBits sets bits of the last character of the header that count for nothing. Its header has such bits.
func looseBits(s *standinsigner.Signer) {
	s.Header = `{"alg":"ES256", "kid":"one","typ":"JWT"}`
	s.OnSign = func(r *externaljwtv1.SignJWTResponse) error {
		last := r.Header[len(r.Header)-1]
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		r.Header = r.Header[:len(r.Header)-1] + string(alphabet[strings.IndexByte(alphabet, last)+1])
		return nil
	}
}

// badAnswers are answers of FetchKeys that are refused as a whole.
func badAnswers(t *testing.T) map[string]struct {
	change func(*externaljwtv1.FetchKeysResponse)
	want   string
} {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]struct {
		change func(*externaljwtv1.FetchKeysResponse)
		want   string
	}{
		"no hint":              {func(r *externaljwtv1.FetchKeysResponse) { r.RefreshHintSeconds = 0 }, "found invalid refresh hint (0s)"},
		"a hint below zero":    {func(r *externaljwtv1.FetchKeysResponse) { r.RefreshHintSeconds = -5 }, "found invalid refresh hint (-5s)"},
		"a hint without end":   {func(r *externaljwtv1.FetchKeysResponse) { r.RefreshHintSeconds = 1 << 62 }, "found invalid refresh hint ("},
		"no keys":              {func(r *externaljwtv1.FetchKeysResponse) { r.Keys = nil }, "found no keys"},
		"no timestamp":         {func(r *externaljwtv1.FetchKeysResponse) { r.DataTimestamp = nil }, "invalid data timestamp: "},
		"no time":              {func(r *externaljwtv1.FetchKeysResponse) { r.DataTimestamp = &timestamppb.Timestamp{Nanos: -1} }, "invalid data timestamp: "},
		"a key without id":     {func(r *externaljwtv1.FetchKeysResponse) { r.Keys[0].KeyId = "" }, `found invalid public key id ""`},
		"a key with a long id": {func(r *externaljwtv1.FetchKeysResponse) { r.Keys[0].KeyId = strings.Repeat("a", 1025) }, `found invalid public key id "aaa`},
		"a key without bytes":  {func(r *externaljwtv1.FetchKeysResponse) { r.Keys[0].Key = nil }, "found empty public key"},
		"no key":               {func(r *externaljwtv1.FetchKeysResponse) { r.Keys[0].Key = []byte("key") }, "while parsing external public keys: "},
		"a key of no use":      {func(r *externaljwtv1.FetchKeysResponse) { r.Keys[0].Key = standinsigner.Encode(t, p224.Public()) }, "while parsing external public keys: "},
		"one bad of two": {func(r *externaljwtv1.FetchKeysResponse) {
			r.Keys = append(r.Keys, &externaljwtv1.Key{KeyId: "two", Key: []byte("key")})
		}, "while parsing external public keys: "},
	}
}

// respond has FetchKeys answer with a change to what it would answer.
func respond(s *standinsigner.Signer, change func(*externaljwtv1.FetchKeysResponse)) {
	s.OnFetch = func(r *externaljwtv1.FetchKeysResponse) error {
		change(r)
		return nil
	}
}

// TestBrokenKeysAtTheStart: the start ends with kube-apiserver's error.
func TestBrokenKeysAtTheStart(t *testing.T) {
	const prefix = "while setting up external-jwt-signer: while initially filling key cache: while performing initial cache fill: while fetching token verification keys: "
	for name, test := range badAnswers(t) {
		s := standinsigner.New(t)
		respond(s, test.change)
		s.Start()
		if _, err := connect(t, s); err == nil || !strings.HasPrefix(err.Error(), prefix+test.want) {
			t.Errorf("%s: error %v, want %q", name, err, prefix+test.want)
		}
	}
	s := standinsigner.New(t)
	s.OnFetch = func(*externaljwtv1.FetchKeysResponse) error { return errors.New("broken") }
	s.Start()
	const want = prefix + "while getting externally supported jwt signing keys: rpc error: code = Unknown desc = broken"
	if _, err := connect(t, s); err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}

// TestBrokenKeysLater: the keys before stay, and it can't be told whether there is another key.
func TestBrokenKeysLater(t *testing.T) {
	s, signer := started(t)
	for name, test := range badAnswers(t) {
		s.Change(func(s *standinsigner.Signer) { respond(s, test.change) })
		var unavailable *signingkey.Unavailable
		if err := signer.Find(t.Context(), "two"); !errors.As(err, &unavailable) || !strings.Contains(unavailable.Cause.Error(), test.want) {
			t.Errorf("%s: Find returned %v", name, err)
		}
		contents, err := signer.Contents(time.Now())
		if err != nil || len(contents.Keys) != 1 || contents.Keys[0].ID != "one" {
			t.Errorf("%s: keys %v, %v", name, contents.Keys, err)
		}
		if _, _, err := sign(t, signer); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKeysChange: Find has the contents changed, also by an answer with the same id twice or with an older timestamp, as in
// kube-apiserver. With two keys of an id either may sign.
func TestKeysChange(t *testing.T) {
	s, signer := started(t)
	changes := 0
	signer.Bind(func() { changes++ })
	s.Change(func(s *standinsigner.Signer) {
		s.Data = s.Data.Add(-time.Hour)
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		s.Key = standinsigner.NewKey(t)
		s.Keys = append(s.Keys, &externaljwtv1.Key{KeyId: "one", Key: standinsigner.Encode(t, s.Key.Public())},
			&externaljwtv1.Key{KeyId: "hidden", Key: standinsigner.Encode(t, rsaKey.Public()), ExcludeFromOidcDiscovery: true},
			&externaljwtv1.Key{KeyId: "ed", Key: standinsigner.Encode(t, private.Public())})
	})
	if err := signer.Find(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	contents, err := signer.Contents(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, key := range contents.Keys {
		if key.Hidden {
			got = append(got, "("+key.ID+")")
		} else {
			got = append(got, key.ID)
		}
	}
	if text := strings.Join(got, " "); text != "one one (hidden) ed" || changes != 1 {
		t.Errorf("keys %s, %d changes", text, changes)
	}
	if _, _, err := sign(t, signer); err != nil {
		t.Error(err)
	}
}

// TestLongestLife: the rules and texts for --service-account-max-token-expiration are kube-apiserver's.
func TestLongestLife(t *testing.T) {
	for _, test := range []struct {
		life      int64
		asked     time.Duration
		want      time.Duration
		wantError string
	}{
		{life: 599, wantError: "max token life supported by external-jwt-signer (599s) is less than acceptable (min 600s)"},
		{life: 0, wantError: "max token life supported by external-jwt-signer (0s) is less than acceptable (min 600s)"},
		{life: -1, asked: time.Hour, wantError: "max token life supported by external-jwt-signer (-1s) is less than acceptable (min 600s)"},
		{life: 600, want: 10 * time.Minute},
		{life: 600, asked: time.Hour, wantError: "service-account-max-token-expiration cannot be set longer than the token expiration supported by service-account-signing-endpoint: 1h0m0s > 10m0s"},
		{life: 7200, asked: time.Hour, want: time.Hour},
		{life: 7200, asked: 2 * time.Hour, want: 2 * time.Hour},
		{life: 1 << 40, asked: time.Hour, want: time.Hour},
	} {
		s := standinsigner.New(t)
		s.Life = test.life
		s.Start()
		signer, err := connect(t, s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := signer.MaxExpiration(test.asked)
		if test.wantError != "" && (err == nil || err.Error() != test.wantError) || test.wantError == "" && (err != nil || got != test.want) {
			t.Errorf("signer's %ds, asked for %s: %s, %v", test.life, test.asked, got, err)
		}
	}
}

// TestSignerGoesAndComes: without the signer there is an error within the caller's time, and when it is back there are tokens
// again.
func TestSignerGoesAndComes(t *testing.T) {
	s, signer := started(t)
	s.Stop()
	_, _, _ = signer.Sign(t.Context(), nil, time.Now()) // the connection breaks in this call, or has broken before
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if token, _, err := signer.Sign(ctx, claims, time.Now().Add(time.Hour)); token != "" || err == nil || !strings.HasPrefix(err.Error(), "while signing jwt: rpc error: code = ") {
		t.Errorf("gone: %v", err)
	}
	if err := signer.Find(ctx, "two"); err == nil {
		t.Error("gone: it is known which keys there are")
	}
	// A call has waited in vain, so the next one waits for a moment only.
	if _, _, err := sign(t, signer); err == nil || !strings.Contains(err.Error(), "nothing listens on the socket of the external signer") {
		t.Errorf("gone for long: %v", err)
	}
	s.Start()
	if _, _, err := sign(t, signer); err != nil {
		t.Errorf("back: %v", err)
	}
}

// TestNoSigner: the start waits for the signer, as long as it may.
func TestNoSigner(t *testing.T) {
	s := standinsigner.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	const want = "while setting up external-jwt-signer: while initially filling key cache: "
	if _, err := externalsigner.Connect(ctx, unixsocket.Address(s.Socket), nil); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v", err)
	}
	time.AfterFunc(100*time.Millisecond, s.Start)
	if _, err := connect(t, s); err != nil {
		t.Error(err)
	}
}

// TestMadeUpKeyIDs: many lookups at once share few calls, and each call begins after the lookup that it answers.
func TestMadeUpKeyIDs(t *testing.T) {
	s, signer := started(t)
	done := make(chan error)
	const lookups = 50
	for range lookups {
		go func() { done <- signer.Find(t.Context(), "made-up") }()
	}
	for range lookups {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	s.Change(func(s *standinsigner.Signer) {
		if s.Fetched > 4 {
			t.Errorf("%d calls of FetchKeys", s.Fetched)
		}
	})
}

// TestRefresh: keys are fetched again when the signer's hint is over.
func TestRefresh(t *testing.T) {
	s := standinsigner.New(t)
	s.Hint = 1
	s.Start()
	signer, err := connect(t, s)
	if err != nil {
		t.Fatal(err)
	}
	changed := make(chan struct{}, 10)
	signer.Bind(func() { changed <- struct{}{} })
	go signer.Run(t.Context())
	for range 2 {
		select {
		case <-changed:
		case <-time.After(30 * time.Second):
			t.Fatal("the keys were not fetched again")
		}
	}
}
