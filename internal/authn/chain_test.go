package authn

import (
	"context"
	"errors"
	"strings"
	"testing"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/reason"
	"k8s.io/apiserver/pkg/authentication/user"
)

// says is an authenticator with one answer.
func says(name string, err error) authenticator.TokenFunc {
	return func(context.Context, string) (*authenticator.Response, bool, error) {
		if err != nil || name == "" {
			return nil, false, err
		}
		return &authenticator.Response{User: &user.DefaultInfo{Name: name}}, true, nil
	}
}

// TestWhatReachesTheWebhook: a token that no authenticator here knows goes to the webhook, unless it can't be a credential.
func TestWhatReachesTheWebhook(t *testing.T) {
	for name, test := range map[string]struct {
		token   string
		failure error
		reaches bool
	}{
		"opaque":                         {token: "opaque", reaches: true},
		"JWS":                            {token: "e30.e30.c2ln", reaches: true},
		"JWE":                            {token: "a.b.c.d.e", reaches: true},
		"every letter":                   {token: "aZ09-._~+/==", reaches: true},
		"not known here, with a reason":  {token: "e30.e30.c2ln", failure: errors.New("token lookup failed"), reaches: true},
		"refused here":                   {token: "e30.e30.c2ln", failure: refusal{errors.New("no such account")}},
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
			_, ok, err := chain{here: []authenticator.Token{says("", test.failure)}, remote: remote}.AuthenticateToken(t.Context(), test.token)
			if ok || test.failure != nil && err.Error() != test.failure.Error() {
				t.Errorf("%v %v", ok, err)
			}
			if reached := remote.calls.Load() == 1; reached != test.reaches {
				t.Errorf("reached: %v, want %v", reached, test.reaches)
			}
		})
	}
}

// TestFinalRefusals: after a refusal that is final, neither another authenticator nor the webhook is asked, and clients
// are told the reasons up to there.
func TestFinalRefusals(t *testing.T) {
	gone, unsure := errors.New("gone"), errors.New("unsure")
	for name, test := range map[string]struct {
		first, second authenticator.Token
		user, reason  string
		code          reason.Code
	}{
		"first":              {first: says("", refusal{gone}), second: says("mallory", nil), reason: "gone"},
		"second":             {first: says("", unsure), second: says("", refusal{gone}), reason: "[unsure, gone]"},
		"without a reason":   {first: says("", silent(reason.Expired)), second: says("mallory", nil), reason: reason.InvalidText, code: reason.Expired},
		"only a later one":   {first: says("", unsure), second: says("", silent(reason.Expired)), reason: "unsure", code: reason.Expired},
		"several reasons":    {first: says("", refusal{utilerrors.NewAggregate([]error{gone, unsure})}), reason: "[gone, unsure]"},
		"a user of no name":  {first: says(" ", nil), second: says("mallory", nil), reason: errNameless.Error(), code: reason.NamelessUser},
		"not final":          {first: says("", unsure), second: says("ann", nil), user: "ann"},
		"not final, nowhere": {first: says("", unsure), second: says("", nil), user: "mallory"},
		"a code and a text":  {first: says("", refusal{reason.With(reason.PodGone, gone)}), second: says("mallory", nil), reason: "gone", code: reason.PodGone},
	} {
		t.Run(name, func(t *testing.T) {
			here := []authenticator.Token{test.first}
			if test.second != nil {
				here = append(here, test.second)
			}
			response, ok, err := chain{here: here, remote: says("mallory", nil)}.AuthenticateToken(t.Context(), "token")
			got := ""
			if ok {
				got = response.User.GetName()
			}
			told := ""
			if err != nil {
				told = err.Error()
			}
			if code := reason.Of(err); got != test.user || told != test.reason || code != test.code {
				t.Errorf("user %q, reason %q, code %q; want %q, %q, %q", got, told, code, test.user, test.reason, test.code)
			}
		})
	}
}

// TestJunkIsCheap: looking at junk takes no memory that grows with it.
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

// TestReasons: what an authenticator says about a token doesn't repeat the token, and is short.
func TestReasons(t *testing.T) {
	const token = "a-secret-of-some-length"
	long := strings.Repeat("é", 600)
	for name, test := range map[string]struct {
		reason error
		want   string
	}{
		"the token":              {errors.New("who is " + token + "?"), "who is [token]?"},
		"long":                   {errors.New(long), strings.Repeat("é", 512) + "… (1200 bytes in all)"},
		"cut within the token":   {errors.New(strings.Repeat("a", 1020) + token), strings.Repeat("a", 1020) + "[tok… (1027 bytes in all)"},
		"cut within a character": {errors.New("a" + long), "a" + strings.Repeat("é", 511) + "… (1201 bytes in all)"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, all := range []chain{{here: []authenticator.Token{says("", test.reason)}}, {remote: says("", test.reason)}, {here: []authenticator.Token{says("", refusal{test.reason})}}} {
				if _, _, err := all.AuthenticateToken(t.Context(), token); err.Error() != test.want {
					t.Error(err)
				}
			}
		})
	}
	if _, _, err := (chain{remote: says("", errors.New("who is is?"))}).AuthenticateToken(t.Context(), "is"); err.Error() != "who is is?" {
		t.Errorf("a word is taken for a secret: %v", err)
	}
}
