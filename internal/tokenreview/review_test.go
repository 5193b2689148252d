package tokenreview_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/tokenreview"
)

// knows is an authenticator that knows one token, and notes what it was asked.
type knows struct {
	token    string
	response *authenticator.Response
	err      error
	// as it was asked
	presented string
	asked     authenticator.Audiences
	calls     int
}

func (k *knows) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	k.calls++
	k.presented = token
	k.asked, _ = authenticator.AudiencesFrom(ctx)
	audit.AddAuditAnnotation(ctx, "of-the-token", "x")
	if k.err != nil || token != k.token {
		return nil, false, k.err
	}
	return k.response, true, nil
}

func newReviewer(k *knows) *tokenreview.Reviewer {
	if k.response == nil {
		k.response = &authenticator.Response{
			Audiences: authenticator.Audiences{"api"},
			User: &user.DefaultInfo{
				Name: "jane", UID: "7", Groups: []string{"staff"}, Extra: map[string][]string{"room": {"2", "3"}},
			},
		}
	}
	return tokenreview.New(tokenreview.Config{Authenticator: k, APIAudiences: authenticator.Audiences{"api", "other"}})
}

func TestReview(t *testing.T) {
	k := &knows{token: "good"}
	got, err := newReviewer(k).Review(t.Context(), &authenticationv1.TokenReviewSpec{Token: "good"})
	want := authenticationv1.TokenReviewStatus{
		Authenticated: true,
		User: authenticationv1.UserInfo{
			Username: "jane", UID: "7", Groups: []string{"staff"},
			Extra: map[string]authenticationv1.ExtraValue{"room": {"2", "3"}},
		},
		Audiences: []string{"api"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff(authenticator.Audiences{"api", "other"}, k.asked); diff != "" {
		t.Errorf("audiences that the authenticator was asked for (-want +got):\n%s", diff)
	}
}

func TestReviewOfNoToken(t *testing.T) {
	k := &knows{}
	got, err := newReviewer(k).Review(t.Context(), &authenticationv1.TokenReviewSpec{})
	if !apierrors.IsBadRequest(err) || err.Error() != "token is required for TokenReview in authentication" || k.calls > 0 {
		t.Errorf("error %v after %d calls", err, k.calls)
	}
	if got.Authenticated {
		t.Error("authenticated")
	}
}

// TestWhiteSpaceIsNoCredential: a text that carries no token is refused before any authenticator sees it.
func TestWhiteSpaceIsNoCredential(t *testing.T) {
	for _, token := range []string{" ", "  ", "\t", "\n", "\r\n", " \t\n", "\u00a0", " good", "  good", "\u2003"} {
		k := &knows{token: ""}
		got, err := newReviewer(k).Review(t.Context(), &authenticationv1.TokenReviewSpec{Token: token})
		if diff := cmp.Diff(authenticationv1.TokenReviewStatus{Error: "invalid bearer token"}, got); err != nil || diff != "" {
			t.Errorf("%q: error %v (-want +got):\n%s", token, err, diff)
		}
		if k.calls > 0 {
			t.Errorf("%q: an authenticator was asked", token)
		}
	}
}

// TestFirstWord: a token is read as it would be read from an Authorization header.
func TestFirstWord(t *testing.T) {
	for token, want := range map[string]string{
		"good": "good", "good ": "good", "good\n": "good", "good \t\r\n": "good", "good x": "good", "good  x y": "good",
		"good\tx": "good\tx", "\tgood": "\tgood", "Bearer good": "Bearer",
	} {
		k := &knows{token: "good"}
		got, err := newReviewer(k).Review(t.Context(), &authenticationv1.TokenReviewSpec{Token: token})
		if err != nil || k.presented != want || got.Authenticated != (want == "good") {
			t.Errorf("%q was read as %q: authenticated %t, error %v", token, k.presented, got.Authenticated, err)
		}
	}
}

// TestRefusal: the reason stands behind the text that all refusals have, and nothing stands beside it.
func TestRefusal(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"unknown":     {nil, "invalid bearer token"},
		"one reason":  {errors.New("too old"), "[invalid bearer token, too old]"},
		"two reasons": {utilerrors.NewAggregate([]error{errors.New("a"), errors.New("b")}), "[invalid bearer token, a, b]"},
		"two of one":  {utilerrors.NewAggregate([]error{utilerrors.NewAggregate([]error{errors.New("a"), errors.New("b")})}), "[invalid bearer token, a, b]"},
		"twice":       {utilerrors.NewAggregate([]error{errors.New("a"), errors.New("a")}), "[invalid bearer token, a]"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newReviewer(&knows{token: "good", err: test.err}).Review(t.Context(), &authenticationv1.TokenReviewSpec{Token: "bad"})
			if diff := cmp.Diff(authenticationv1.TokenReviewStatus{Error: test.want}, got); err != nil || diff != "" {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestReasonAlone: OpenShift's refusals are the reason and nothing before it, and of a text that is no credential nothing
// is said at all.
func TestReasonAlone(t *testing.T) {
	for name, test := range map[string]struct {
		token string
		err   error
		want  string
	}{
		"unknown":     {"bad", nil, "invalid bearer token"},
		"one reason":  {"bad", errors.New("too old"), "too old"},
		"two reasons": {"bad", utilerrors.NewAggregate([]error{errors.New("a"), errors.New("b")}), "[a, b]"},
		"blank":       {"  ", nil, ""},
		"after blank": {" good", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			reviewer := newReviewer(&knows{token: "good", err: test.err})
			reviewer.ReasonAlone = true
			got, err := reviewer.Review(t.Context(), &authenticationv1.TokenReviewSpec{Token: test.token})
			if diff := cmp.Diff(authenticationv1.TokenReviewStatus{Error: test.want}, got); err != nil || diff != "" {
				t.Errorf("error %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

type silence struct{}

func (silence) Error() string { return "nobody answers" }
func (silence) Unavailable()  {}

// TestUndecided: whether a token is good could not be found out, so it is not called bad.
func TestUndecided(t *testing.T) {
	for name, err := range map[string]error{
		"alone":             silence{},
		"among others":      utilerrors.NewAggregate([]error{errors.New("a"), silence{}}),
		"deep among others": utilerrors.NewAggregate([]error{errors.New("a"), utilerrors.NewAggregate([]error{fmt.Errorf("b: %w", silence{})})}),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newReviewer(&knows{token: "good", err: err}).Review(t.Context(), &authenticationv1.TokenReviewSpec{Token: "good"})
			if !apierrors.IsInternalError(err) || err.Error() != "Internal error occurred: nobody answers" {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(authenticationv1.TokenReviewStatus{}, got); diff != "" {
				t.Errorf("a verdict (-want +got):\n%s", diff)
			}
		})
	}
}

// TestErrorIsNoVerdictForIt: an authenticator that names somebody and yet gives an error has not accepted the token.
func TestErrorIsNoVerdictForIt(t *testing.T) {
	contradictory := authenticator.TokenFunc(func(context.Context, string) (*authenticator.Response, bool, error) {
		return &authenticator.Response{User: &user.DefaultInfo{Name: "jane"}}, true, errors.New("too old")
	})
	got, err := tokenreview.New(tokenreview.Config{Authenticator: contradictory}).Review(t.Context(), &authenticationv1.TokenReviewSpec{Token: "x"})
	if diff := cmp.Diff(authenticationv1.TokenReviewStatus{Error: "[invalid bearer token, too old]"}, got); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}

// TestAskedAudiences: what is asked for reaches the authenticator as it is, and an answer for none of it is no verdict.
func TestAskedAudiences(t *testing.T) {
	k := &knows{token: "good"}
	_, err := newReviewer(k).Review(t.Context(), &authenticationv1.TokenReviewSpec{Token: "good", Audiences: []string{"vault", "api"}})
	if diff := cmp.Diff(authenticator.Audiences{"vault", "api"}, k.asked); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	got, err := newReviewer(k).Review(t.Context(), &authenticationv1.TokenReviewSpec{Token: "good", Audiences: []string{"vault"}})
	if !apierrors.IsInternalError(err) || got.Authenticated {
		t.Errorf("for an audience that the authenticator did not confirm: authenticated %t, error %v", got.Authenticated, err)
	}
}

// TestNotesStayWithTheToken: what a reviewed token would leave in an audit record is not left in that of the reviewer.
func TestNotesStayWithTheToken(t *testing.T) {
	ctx := audit.WithAuditContext(t.Context())
	if _, err := newReviewer(&knows{token: "good"}).Review(ctx, &authenticationv1.TokenReviewSpec{Token: "good"}); err != nil {
		t.Fatal(err)
	}
	if notes := audit.AuditContextFrom(ctx).GetEventAnnotations(); len(notes) > 0 {
		t.Errorf("annotations %v", notes)
	}
}
