package oauth_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	oauthv1 "github.com/openshift/api/oauth/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/tokenreview"
)

func TestWhoseTokenItIs(t *testing.T) {
	r := newReplica(t, newShelf(), 0)
	r.put(ada("u-ada-1"), group("ops", "ada"), group("builders", "ada", "bob"), group("others", "bob"), client(nil),
		adasToken(n1, time.Now(), func(token *oauthv1.OAuthAccessToken) { token.Scopes = []string{"user:info", "role:view:team-a"} }))
	response, ok, err := r.AuthenticateToken(t.Context(), t1)
	want := &authenticator.Response{
		Audiences: authenticator.Audiences{api},
		User: &user.DefaultInfo{
			Name: "ada", UID: "u-ada-1", Groups: []string{"builders", "ops", "system:authenticated:oauth"},
			Extra: map[string][]string{"scopes.authorization.openshift.io": {"user:info", "role:view:team-a"}},
		},
	}
	if diff := cmp.Diff(want, plain(response)); !ok || err != nil || diff != "" {
		t.Errorf("%t, %v (-want +got):\n%s", ok, err, diff)
	}
}

// TestRefusals: which of several reasons is told is part of the contract.
func TestRefusals(t *testing.T) {
	made := time.Unix(1_800_000_000, 0)
	deleted := func(token *oauthv1.OAuthAccessToken) { token.DeletionTimestamp = &metav1.Time{Time: made} }
	named := func(name string) func(*oauthv1.OAuthAccessToken) {
		return func(token *oauthv1.OAuthAccessToken) { token.UserName = name }
	}
	const noAda, other = `users.user.openshift.io "ada" not found`, "user.UID (u-ada-2) does not match token.userUID (u-ada-1)"
	for name, test := range map[string]struct {
		token string
		at    time.Duration
		put   *oauthv1.OAuthAccessToken
		user  string // uid of ada; empty if she is gone
		want  string
	}{
		"good":                         {t1, 0, adasToken(n1, made), "u-ada-1", ""},
		"unknown":                      {"sha256~nope", 0, adasToken(n1, made), "u-ada-1", "token lookup failed"},
		"the name of the object":       {n1, 0, adasToken(n1, made), "u-ada-1", "token lookup failed"},
		"no prefix":                    {"plain-old-token", 0, adasToken(n1, made), "u-ada-1", "token lookup failed"},
		"no prefix, and an object":     {"plain-old-token", 0, adasToken("plain-old-token", made), "u-ada-1", "old and insecure token format"},
		"a JSON Web Token":             {"eyJhbGciOiJub25lIn0.e30.", 0, adasToken(n1, made), "u-ada-1", "token lookup failed"},
		"the prefix alone":             {"sha256~", 0, adasToken(n1, made), "u-ada-1", "token lookup failed"},
		"in its last moment":           {t1, 86400 * time.Second, adasToken(n1, made), "u-ada-1", ""},
		"a nanosecond later":           {t1, 86400*time.Second + 1, adasToken(n1, made), "u-ada-1", "token is expired"},
		"a second later":               {t1, 86401 * time.Second, adasToken(n1, made), "u-ada-1", "token is expired"},
		"never expires":                {t1, 1e6 * time.Hour, adasToken(n1, made, expiresIn(0)), "u-ada-1", ""},
		"ends beyond all time":         {t1, 1e6 * time.Hour, adasToken(n1, made, expiresIn(1<<63-1)), "u-ada-1", ""},
		"being deleted":                {t1, 0, adasToken(n1, made, deleted), "u-ada-1", "token is expired"},
		"in the last moment idle":      {t1, 600 * time.Second, adasToken(n1, made, idleAfter(600)), "u-ada-1", ""},
		"idle too long":                {t1, 601 * time.Second, adasToken(n1, made, idleAfter(600)), "u-ada-1", "token timed out"},
		"no user":                      {t1, 0, adasToken(n1, made), "", noAda},
		"no user, and expired":         {t1, 90000 * time.Second, adasToken(n1, made), "", noAda},
		"another user":                 {t1, 0, adasToken(n1, made), "u-ada-2", other},
		"another user, and expired":    {t1, 90000 * time.Second, adasToken(n1, made), "u-ada-2", "token is expired"},
		"another user, and idle":       {t1, 601 * time.Second, adasToken(n1, made, idleAfter(600)), "u-ada-2", other},
		"expired and idle":             {t1, 90000 * time.Second, adasToken(n1, made, idleAfter(600)), "u-ada-1", "token is expired"},
		"no user's name":               {t1, 0, adasToken(n1, made, named("")), "u-ada-1", "resource name may not be empty"},
		"a name that no user can have": {t1, 0, adasToken(n1, made, named("~")), "u-ada-1", `users.user.openshift.io "~" not found`},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplica(t, newShelf(), 0)
			r.Now = func() time.Time { return made.Add(test.at) }
			r.put(test.put, client(nil))
			if test.user != "" {
				r.put(ada(types.UID(test.user)))
			}
			if got := r.refused(test.token); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// TestGoneIsGone: what this replica has removed is not found a moment later.
func TestGoneIsGone(t *testing.T) {
	r := newReplica(t, newShelf(), 0)
	r.put(ada("u-ada-1"), client(nil), adasToken(n1, time.Now()), adasToken(n2, time.Now()), group("ops", "ada"))
	if why := r.refused(t1) + r.refused(t2); why != "" {
		t.Fatal(why)
	}
	r.remove(client(nil))
	if why := r.refused(t1); why != "" {
		t.Errorf("a token ended with its client: %s", why)
	}
	r.remove(adasToken(n1, time.Now()))
	if why := r.refused(t1); why != "token lookup failed" {
		t.Errorf("without the token: %q", why)
	}
	r.remove(ada("u-ada-1"))
	if why := r.refused(t2); why != `users.user.openshift.io "ada" not found` {
		t.Errorf("without the user: %q", why)
	}
	r.put(ada("u-ada-2"))
	if why := r.refused(t2); why != "user.UID (u-ada-2) does not match token.userUID (u-ada-1)" {
		t.Errorf("with another user: %q", why)
	}
}

// TestElsewhere: what another replica has done, and this one's views don't know yet, makes no good token a bad one.
func TestElsewhere(t *testing.T) {
	s := newShelf()
	here, there := newReplica(t, s, 0), newReplica(t, s, 0)
	made := time.Now().Add(-700 * time.Second)
	here.put(ada("u-ada-0"), adasToken(n2, made, idleAfter(600)))
	there.put(ada("u-ada-1"), adasToken(n1, made), adasToken(n2, made, idleAfter(900)))
	if why := here.refused(t1); why != "" {
		t.Errorf("a new token of a user who was made anew: %s", why)
	}
	if why := here.refused(t2); why != "" {
		t.Errorf("a token that was used elsewhere: %s", why)
	}
}

func TestAudiences(t *testing.T) {
	for name, test := range map[string]struct {
		own, asked, want []string
		err              string
	}{
		"none asked":         {[]string{"a", "b"}, nil, []string{"a", "b"}, ""},
		"one of ours":        {[]string{"a", "b"}, []string{"x", "b"}, []string{"b"}, ""},
		"in the asked order": {[]string{"a", "b"}, []string{"b", "a", "b"}, []string{"b", "a", "b"}, ""},
		"none of ours":       {[]string{"a", "b"}, []string{"x", "y"}, nil, `token audiences ["a" "b"] is invalid for the target audiences ["x" "y"]`},
		"we have none":       {nil, []string{"x"}, []string{}, ""},
		"nobody has any":     {nil, nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplica(t, newShelf(), 0)
			r.APIAudiences = test.own
			r.put(ada("u-ada-1"), adasToken(n1, time.Now()))
			ctx := t.Context()
			if test.asked != nil {
				ctx = authenticator.WithAudiences(ctx, test.asked)
			}
			response, ok, err := r.AuthenticateToken(ctx, t1)
			if test.err != "" {
				if ok || err == nil || err.Error() != test.err {
					t.Errorf("%t, %v, want %s", ok, err, test.err)
				}
				return
			}
			if !ok || err != nil || !slices.Equal(response.Audiences, test.want) {
				t.Errorf("%t, %v, %v", ok, err, response)
			}
		})
	}
}

// TestAmongOthers: as one of several authenticators it says nothing of what others may know.
func TestAmongOthers(t *testing.T) {
	r := newReplica(t, newShelf(), 0)
	r.put(ada("u-ada-1"), adasToken(n1, time.Now()), adasToken(n2, time.Now().Add(-48*time.Hour)))
	for name, test := range map[string]struct {
		token  string
		asked  authenticator.Audiences
		ok     bool
		reason string
		final  bool
	}{
		"good":                       {token: t1, asked: authenticator.Audiences{"x", api}, ok: true},
		"unknown":                    {token: "sha256~nope", asked: authenticator.Audiences{api}, reason: "token lookup failed"},
		"good, but for others":       {token: t1, asked: authenticator.Audiences{"x"}, final: true},
		"ended":                      {token: t2, asked: authenticator.Audiences{api}, reason: "token is expired", final: true},
		"ended, and for others":      {token: t2, asked: authenticator.Audiences{"x"}, final: true},
		"unknown, and for others":    {token: "sha256~nope", asked: authenticator.Audiences{"x"}},
		"of a form that isn't ours":  {token: "eyJhbGciOiJub25lIn0.e30.", asked: authenticator.Audiences{api}},
		"of no form in particular":   {token: "plain", asked: authenticator.Audiences{api}},
		"the name of the object, as": {token: n1, asked: authenticator.Audiences{api}, reason: "token lookup failed"},
	} {
		t.Run(name, func(t *testing.T) {
			response, ok, err := r.InUnion().AuthenticateToken(authenticator.WithAudiences(t.Context(), test.asked), test.token)
			refusal, final := errors.AsType[interface {
				error
				Final() error
			}](err)
			if final {
				err = refusal.Final()
			}
			if ok != test.ok || final != test.final || (err != nil || test.reason != "") && (err == nil || err.Error() != test.reason) {
				t.Errorf("%t, final %t, %v", ok, final, err)
			}
			if ok && !slices.Equal(response.Audiences, authenticator.Audiences{api}) {
				t.Errorf("audiences %q", response.Audiences)
			}
		})
	}
}

// TestSilentStore: a store that does not answer is no reason to refuse a token, nor to let anybody wait. Memory goes on
// to answer for what is in it.
func TestSilentStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReplica(t, newShelf(), 0)
		r.put(ada("u-ada-1"), adasToken(n1, time.Now()), adasToken(n2, time.Now(), func(token *oauthv1.OAuthAccessToken) { token.UserName = "bob" }))
		r.shelf.setDown(true)
		if why := r.refused(t1); why != "" {
			t.Errorf("what is in memory: %s", why)
		}
		for name, test := range map[string]struct{ token, want string }{
			"an unknown token": {"sha256~nope", "the stored oauthaccesstokens could not be read"},
			"an unknown user":  {t2, "the stored users could not be read"},
		} {
			start := time.Now()
			_, ok, err := r.AuthenticateToken(t.Context(), test.token)
			var undecided tokenreview.Unavailable
			if ok || !errors.As(err, &undecided) || err.Error() != test.want {
				t.Errorf("%s: %t, %v", name, ok, err)
			}
			if waited := time.Since(start); waited > 5*time.Second {
				t.Errorf("%s: after %s", name, waited)
			}
		}
	})
}
