package authn

import (
	"context"
	"errors"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authentication/authenticator"
)

type noSuchKey struct{ error }

func (noSuchKey) UnknownKey() {}

// What nobody here knows goes to the webhook; what can't be anybody's credential doesn't.
func TestWhatReachesTheWebhook(t *testing.T) {
	for name, test := range map[string]struct {
		token   string
		refusal error
		reaches bool
	}{
		"opaque":                         {token: "opaque", reaches: true},
		"JWS":                            {token: "e30.e30.c2ln", reaches: true},
		"JWE":                            {token: "a.b.c.d.e", reaches: true},
		"every letter":                   {token: "aZ09-._~+/==", reaches: true},
		"refused here":                   {token: "e30.e30.c2ln", refusal: errors.New("no such account"), reaches: true},
		"our issuer, somebody's key":     {token: "e30.e30.c2ln", refusal: noSuchKey{errors.New("no keys found")}},
		"a dot too many":                 {token: "a.b.c.d.e.f"},
		"nothing but dots":               {token: strings.Repeat(".", 1<<20)},
		"long":                           {token: strings.Repeat("a", maxRemote), reaches: true},
		"too long":                       {token: strings.Repeat("a", maxRemote+1)},
		"control characters":             {token: "a\x00b"},
		"a line break":                   {token: "a\nb"},
		"quotes":                         {token: `a"b`},
		"padding alone":                  {token: "=="},
		"padding in the middle":          {token: "a=b"},
		"letters of other languages":     {token: "tök"},
		"a comma, as between challenges": {token: "a,b"},
	} {
		t.Run(name, func(t *testing.T) {
			remote := &counted{say: sayNothing}
			here := authenticator.TokenFunc(func(context.Context, string) (*authenticator.Response, bool, error) {
				return nil, false, test.refusal
			})
			_, ok, err := chain{here: []authenticator.Token{here}, remote: remote}.AuthenticateToken(t.Context(), test.token)
			if ok || test.refusal != nil && err.Error() != test.refusal.Error() {
				t.Errorf("%v %v", ok, err)
			}
			if reached := remote.calls.Load() == 1; reached != test.reaches {
				t.Errorf("reached: %v, want %v", reached, test.reaches)
			}
		})
	}
}

// Looking at junk takes no memory that grows with it.
func TestJunkIsCheap(t *testing.T) {
	known := &generation{byIssuer: map[string]issuer{"https://a.example": {}}}
	all := chain{here: []authenticator.Token{known}, remote: &counted{say: sayNothing}}
	for name, token := range map[string]string{
		"dots":          strings.Repeat(".", 1<<20),
		"no dots":       strings.Repeat("a", 1<<20),
		"a long header": strings.Repeat("a", 1<<20) + ".e30.c2ln",
		"five parts":    strings.Repeat("a", 1<<20) + ".b.c.d.e",
	} {
		ctx := t.Context()
		if n := testing.AllocsPerRun(10, func() { _, _, _ = all.AuthenticateToken(ctx, token) }); n > 2 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestReasonsDontRepeatTokens(t *testing.T) {
	const token = "a-secret-of-some-length"
	echo := authenticator.TokenFunc(func(_ context.Context, token string) (*authenticator.Response, bool, error) {
		return nil, false, errors.New("who is " + token + "?")
	})
	if _, _, err := withoutToken(echo).AuthenticateToken(t.Context(), token); err.Error() != "who is [token]?" {
		t.Error(err)
	}
	if _, _, err := withoutToken(echo).AuthenticateToken(t.Context(), "is"); err.Error() != "who is is?" {
		t.Errorf("a word is taken for a secret: %v", err)
	}
}

func TestPeek(t *testing.T) {
	for token, want := range map[string]string{
		"e30.eyJpc3MiOiJhIn0.c2ln":                         "a",
		"e30.eyJpc3MiOiJhY2NvdW50cy5nb29nbGUuY29tIn0.c2ln": "https://accounts.google.com",
		"e30.e30.c2ln": "",
	} {
		if got, ok := peek(token); !ok || got.Issuer != want {
			t.Errorf("%s: %q %v", token, got.Issuer, ok)
		}
	}
	for _, token := range []string{"", ".", "..", "a.b", "a.b.c.d", "e30.!.c2ln", "e30.W10.c2ln", strings.Repeat("a", 2<<20) + ".e30.c"} {
		if got, ok := peek(token); ok {
			t.Errorf("%.20s: %v", token, got)
		}
	}
}
