package serviceaccount

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/mintmark/mintmark/internal/reason"
)

// FuzzCompact takes tokens apart, and compares the parts with what go-jose reads. The two must agree but for our
// documented strictness: one spelling of base64url only, and no header that is nested too deeply.
func FuzzCompact(f *testing.F) {
	f.Fuzz(func(t *testing.T, token string) {
		var ours compact
		ok := ours.split(token)
		if ok {
			var known headers
			ours.header, ours.headerRead = known.read(ours.parts.header)
			ok = ours.parse(func(string) bool { return true }) == reason.None
		}
		theirs, err := parseJose(token)
		switch {
		case !ok && err == nil:
			if !strict(token) {
				t.Error("refused here, and read by go-jose")
			}
		case ok && err != nil:
			t.Errorf("read here, and refused by go-jose: %v", err)
		case ok:
			header := theirs.Signatures[0].Protected
			if ours.algorithm != header.Algorithm || ours.keyID != header.KeyID {
				t.Errorf("alg %q and kid %q, for go-jose %q and %q", ours.algorithm, ours.keyID, header.Algorithm, header.KeyID)
			}
			if ours.payload != string(theirs.UnsafePayloadWithoutVerification()) || ours.signature != string(theirs.Signatures[0].Signature) {
				t.Error("payload or signature differ from go-jose's")
			}
			if ours.signed()+"."+encoding.EncodeToString([]byte(ours.signature)) != token {
				t.Error("what is signed, and the signature, are not the token")
			}
			_, payload, _ := strings.Cut(ours.signed(), ".")
			if encoding.EncodeToString([]byte(ours.payload)) != payload {
				t.Error("the payload has another spelling")
			}
			if _, critical := header.ExtraHeaders["crit"]; critical && ours.refused == nil && !ours.unsignable && !harmless(header.ExtraHeaders["crit"]) {
				t.Error("something critical is ignored")
			}
		}
	})
}

// parseJose reads a token as kube-apiserver does: the issuer by the standard library, all else by go-jose.
func parseJose(token string) (*jose.JSONWebSignature, error) {
	var c compact
	if !c.split(token) {
		return nil, errors.New("not three parts")
	}
	decoded, err := encoding.DecodeString(c.parts.payload)
	if err != nil {
		return nil, err
	}
	var peek struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(decoded, &peek); err != nil {
		return nil, err
	}
	// The library wants to be told which algorithms are fine, and we check that elsewhere: whichever it is.
	_, err = jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{"ES256"})
	var other *jose.ErrUnexpectedSignatureAlgorithm
	if errors.As(err, &other) {
		return jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{other.Got})
	}
	return jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{"ES256"})
}

// strict reports whether one of our own rules refuses a token.
func strict(token string) bool {
	var c compact
	c.split(token)
	for _, part := range []string{c.parts.header, c.parts.payload, c.parts.signature} {
		if _, ok := decodePart(part); !ok {
			return true
		}
	}
	decoded, _ := decodePart(c.parts.header)
	return !json.Valid([]byte(decoded))
}

// harmless reports whether a crit names nothing.
func harmless(crit any) bool {
	names, ok := crit.([]any)
	return crit == nil || ok && len(names) == 0
}

// joseClaims are the claims as kube-apiserver's library reads them.
type joseClaims struct {
	Kubernetes struct {
		Namespace string           `json:"namespace"`
		Svcacct   ref              `json:"serviceaccount"`
		Pod       *ref             `json:"pod"`
		Secret    *ref             `json:"secret"`
		Node      *ref             `json:"node"`
		WarnAfter *jwt.NumericDate `json:"warnafter"`
	} `json:"kubernetes.io"`
}

func joseDate(d *jwt.NumericDate) Date {
	if d == nil {
		return Date{}
	}
	return Date{Seconds: int64(*d), Given: true}
}

// FuzzClaims reads claims, and compares them with what go-jose reads. The two must agree but for times that can't be
// counted. What was read must be the same after it is written and read again.
func FuzzClaims(f *testing.F) {
	f.Fuzz(func(t *testing.T, payload []byte) {
		if !json.Valid(payload) {
			return // the issuer can't be read, and so nothing is decoded
		}
		ours, err := decodeClaims(payload)
		checkPlain(t, payload, ours, err)
		var public jwt.Claims
		var private joseClaims
		joseErr := josejson.Unmarshal(payload, &public)
		if joseErr == nil {
			joseErr = josejson.Unmarshal(payload, &private)
		}
		switch {
		case err != nil && joseErr == nil:
			if !errors.Is(err, jwt.ErrUnmarshalNumericDate) || !hasFarDate(payload) {
				t.Errorf("refused here and read by go-jose: %v", err)
			}
			return
		case err == nil && joseErr != nil:
			t.Errorf("read here and refused by go-jose: %v", joseErr)
			return
		case err != nil:
			return
		}
		k := private.Kubernetes
		want := Claims{
			Issuer: public.Issuer, Subject: public.Subject, Audiences: public.Audience, ID: public.ID,
			Expiry: joseDate(public.Expiry), NotBefore: joseDate(public.NotBefore), IssuedAt: joseDate(public.IssuedAt),
			WarnAfter: joseDate(k.WarnAfter),
		}
		want.Binding.Namespace, want.Binding.ServiceAccount = k.Namespace, decodeRef(&k.Svcacct)
		want.Binding.Pod, want.Binding.Secret, want.Binding.Node = decodeRef(k.Pod), decodeRef(k.Secret), decodeRef(k.Node)
		want.dangling = ours.dangling
		if !reflect.DeepEqual(ours, want) {
			t.Errorf("read %+v, go-jose reads %+v", ours, want)
		}
		again(t, ours)
	})
}

// checkPlain holds the short reading of claims to the long one.
func checkPlain(t *testing.T, payload []byte, want Claims, wantErr error) {
	t.Helper()
	got, ok := readClaims(string(payload))
	if !ok {
		return
	}
	if wantErr != nil {
		t.Fatalf("read, and refused: %v", wantErr)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, and %+v", got, want)
	}
}

// again writes claims and reads them back.
func again(t *testing.T, c Claims) {
	t.Helper()
	text := c.Encode()
	if !json.Valid(text) {
		t.Fatal("what was written is no JSON")
	}
	read, err := decodeClaims(text)
	if err != nil {
		t.Fatalf("what was written can't be read: %v", err)
	}
	// A reference to nothing, and a list of nothing, are not written.
	c.dangling = false
	if len(c.Audiences) == 0 {
		c.Audiences = nil
	}
	if !reflect.DeepEqual(read, c) {
		t.Errorf("wrote %+v, read %+v", c, read)
	}
}

// hasFarDate reports whether one of the times is no int64.
func hasFarDate(payload []byte) bool {
	var dates struct {
		Expiry     json.RawMessage `json:"exp"`
		NotBefore  json.RawMessage `json:"nbf"`
		IssuedAt   json.RawMessage `json:"iat"`
		Kubernetes struct {
			WarnAfter json.RawMessage `json:"warnafter"`
		} `json:"kubernetes.io"`
	}
	if josejson.Unmarshal(payload, &dates) != nil {
		return false
	}
	for _, date := range [][]byte{dates.Expiry, dates.NotBefore, dates.IssuedAt, dates.Kubernetes.WarnAfter} {
		var seconds float64
		if json.Unmarshal(date, &seconds) == nil && (seconds >= 1<<63 || seconds < -1<<63) {
			return true
		}
	}
	return false
}

// FuzzLegacyClaims reads the claims of tokens in secrets. What was read must be the same after it is written and read
// again.
func FuzzLegacyClaims(f *testing.F) {
	f.Fuzz(func(t *testing.T, payload []byte) {
		if !json.Valid(payload) {
			return
		}
		c, err := decodeLegacyClaims(payload)
		if err != nil || c.check() != nil {
			return
		}
		text, err := EncodeLegacy(c.Namespace, c.Name, c.UID, c.Secret)
		if err != nil {
			t.Fatal(err)
		}
		read, err := decodeLegacyClaims(text)
		if err != nil {
			t.Fatalf("what was written can't be read: %v", err)
		}
		c.Audiences = nil
		if !reflect.DeepEqual(read, c) {
			t.Errorf("wrote %+v, read %+v", c, read)
		}
	})
}
