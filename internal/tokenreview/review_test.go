package tokenreview_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/tokenreview"
)

// known knows one token, and says of others what its error says.
type known struct {
	token     string
	audiences authenticator.Audiences
	err       error
}

func (k known) AuthenticateToken(_ context.Context, token string) (*authenticator.Response, bool, error) {
	if token != k.token {
		return nil, false, k.err
	}
	return &authenticator.Response{Audiences: k.audiences, User: &user.DefaultInfo{Name: "jane"}}, true, nil
}

func reviewer(k known) *tokenreview.Reviewer {
	return tokenreview.New(tokenreview.Config{Authenticator: k, APIAudiences: authenticator.Audiences{"api"}})
}

func TestWhiteSpaceIsNoCredential(t *testing.T) {
	for _, token := range []string{" ", "  ", "\n", " good", "\t"} {
		// Even an authenticator that takes anything for a token is not asked.
		for _, k := range []known{{token: "good", audiences: authenticator.Audiences{"api"}}, {token: "", audiences: authenticator.Audiences{"api"}}} {
			status, err := reviewer(k).Review(t.Context(), &authenticationv1.TokenReviewSpec{Token: token})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(authenticationv1.TokenReviewStatus{Error: "invalid bearer token"}, status); diff != "" {
				t.Errorf("%q:\n%s", token, diff)
			}
		}
	}
}

func TestFirstWordIsTheToken(t *testing.T) {
	for _, token := range []string{"good", "good\n", "good ", "good trailing words"} {
		status, err := reviewer(known{token: "good", audiences: authenticator.Audiences{"api"}}).Review(t.Context(), &authenticationv1.TokenReviewSpec{Token: token})
		if err != nil {
			t.Fatal(err)
		}
		if !status.Authenticated || status.User.Username != "jane" {
			t.Errorf("%q is refused: %s", token, status.Error)
		}
	}
}

func TestReasonsOfARefusal(t *testing.T) {
	for name, row := range map[string]struct {
		err  error
		want string
	}{
		"nobody knows it": {nil, "invalid bearer token"},
		"a reason":        {errors.New("service account token has expired"), "[invalid bearer token, service account token has expired]"},
		"the same reason": {errors.New("invalid bearer token"), "invalid bearer token"},
	} {
		status, err := reviewer(known{token: "good", err: row.err}).Review(t.Context(), &authenticationv1.TokenReviewSpec{Token: "bad"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(authenticationv1.TokenReviewStatus{Error: row.want}, status); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestNoVerdict(t *testing.T) {
	if _, err := reviewer(known{}).Review(t.Context(), &authenticationv1.TokenReviewSpec{}); !apierrors.IsBadRequest(err) {
		t.Errorf("without a token: %v, want BadRequest", err)
	}
	// An authenticator that forgets the audiences must not turn "for somebody" into "for you".
	_, err := reviewer(known{token: "good"}).Review(t.Context(), &authenticationv1.TokenReviewSpec{Token: "good", Audiences: []string{"vault"}})
	if !apierrors.IsInternalError(err) {
		t.Errorf("without audiences in the answer: %v, want InternalError", err)
	}
}

// TestNothingLeaksOutOfAReview has the authenticator write audit annotations: those of the reviewed token are not those
// of the request to review it.
func TestNothingLeaksOutOfAReview(t *testing.T) {
	ctx := audit.WithAuditContext(t.Context())
	var seen context.Context
	r := tokenreview.New(tokenreview.Config{Authenticator: authenticator.TokenFunc(
		func(ctx context.Context, _ string) (*authenticator.Response, bool, error) {
			seen = ctx
			return nil, false, nil
		})})
	if _, err := r.Review(ctx, &authenticationv1.TokenReviewSpec{Token: "x"}); err != nil {
		t.Fatal(err)
	}
	if audit.AuditContextFrom(ctx) == nil || audit.AuditContextFrom(seen) != nil {
		t.Error("the review writes into the audit record of the request")
	}
}
