package tokenreview_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	auditapi "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/tokenreview"
	"github.com/mintmark/mintmark/internal/view"
)

// by is an authenticator that does with a token what is said here.
type by func(ctx context.Context, token string) error

func (b by) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	if err := b(ctx, token); err != nil {
		return nil, false, err
	}
	asked, _ := authenticator.AudiencesFrom(ctx)
	return &authenticator.Response{User: &user.DefaultInfo{Name: token}, Audiences: asked}, true, nil
}

func specs(n int, token func(int) string) []authenticationv1.TokenReviewSpec {
	all := make([]authenticationv1.TokenReviewSpec, n)
	for i := range all {
		all[i].Token = token(i)
	}
	return all
}

// TestDecideAll: each result of a batch is what a review of the same spec has, at the same place.
func TestDecideAll(t *testing.T) {
	reviewer := tokenreview.New(tokenreview.Config{APIAudiences: authenticator.Audiences{"api"}, Authenticator: by(func(_ context.Context, token string) error {
		switch token {
		case "old":
			return errors.New("too old")
		case "unknown":
			return silence{}
		}
		return nil
	})})
	var all []authenticationv1.TokenReviewSpec
	for i, token := range []string{"a", "old", "", " ", "unknown", "b c", "\td", "a", "e\n"} {
		all = append(all, authenticationv1.TokenReviewSpec{Token: token}, authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{"vault", strconv.Itoa(i / 2)}})
	}
	results := reviewer.DecideAll(t.Context(), all)
	for i := range all {
		verdict, err := reviewer.Decide(t.Context(), &all[i])
		if diff := cmp.Diff(verdict, results[i].Verdict); diff != "" || fmt.Sprint(err) != fmt.Sprint(results[i].Err) {
			t.Errorf("%+v: %v, want %v (-single +batch)\n%s", all[i], results[i].Err, err, diff)
		}
	}
}

// TestOneWaits: a review that waits for others holds up no other review, and reviews in memory are decided one after the other.
func TestOneWaits(t *testing.T) {
	for name, test := range map[string]struct {
		slow func(token string) bool
		peak int // of reviews at a time
		want time.Duration
	}{
		"none":    {func(string) bool { return false }, 1, 0},
		"first":   {func(token string) bool { return token == "0" }, 2, time.Second},
		"all":     {func(string) bool { return true }, 32, 4 * time.Second},
		"a third": {func(token string) bool { return len(token) == 1 }, 11, time.Second + 50*time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var now, peak int
				reviewer := tokenreview.New(tokenreview.Config{Authenticator: by(func(_ context.Context, token string) error {
					mu.Lock()
					now++
					peak = max(peak, now)
					mu.Unlock()
					if test.slow(token) {
						time.Sleep(time.Second)
					}
					mu.Lock()
					now--
					mu.Unlock()
					return nil
				})})
				began := time.Now()
				results := reviewer.DecideAll(t.Context(), specs(100, strconv.Itoa))
				for i := range results {
					if results[i].Verdict.User == nil || results[i].Verdict.User.GetName() != strconv.Itoa(i) {
						t.Errorf("%d: %+v", i, results[i])
					}
				}
				if took := time.Since(began); took > test.want+100*time.Millisecond || peak > test.peak {
					t.Errorf("took %v, %d at a time", took, peak)
				}
			})
		})
	}
}

// TestTimeIsOver: a review whose turn has not come by the end of the request has no verdict, and the others have theirs. There is time
// left for the answer.
func TestTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(audit.WithAuditContext(t.Context()), 10*time.Second)
		defer cancel()
		audited := audit.AuditContextFrom(ctx)
		if err := audited.Init(audit.RequestAuditConfig{Level: auditapi.LevelMetadata}, nil); err != nil {
			t.Fatal(err)
		}
		reviewer := tokenreview.New(tokenreview.Config{Audited: true, Authenticator: by(func(ctx context.Context, token string) error {
			if token == "hangs" {
				<-ctx.Done()
			}
			if token == "bad" {
				return errors.New("too old")
			}
			return nil
		})})
		began := time.Now()
		results := reviewer.DecideAll(ctx, []authenticationv1.TokenReviewSpec{{Token: "a"}, {Token: "hangs"}, {Token: "bad"}, {}, {Token: "b"}})
		if took := time.Since(began); took != 9*time.Second {
			t.Errorf("took %v", took)
		}
		for i, want := range []reason.Code{reason.Accepted, reason.Undecided, reason.AuthenticatorFailed, reason.None, reason.Accepted} {
			if got := results[i].Verdict.Reason; got != want {
				t.Errorf("%d: %v, want %v", i, got, want)
			}
		}
		if err := results[1].Err; !apierrors.IsTimeout(err) {
			t.Error(err)
		}
		const prefix = "authentication.mintmark.io/reviews"
		want := map[string]string{prefix: "5", prefix + "-authenticated": "2", prefix + "-refused": "1", prefix + "-undecided": "2"}
		if diff := cmp.Diff(want, audited.GetEventAnnotations()); diff != "" {
			t.Error(diff)
		}
		synctest.Wait()
	})
}

// aging are views that prove themselves for each stamp, until somebody says that they are old.
type aging struct{ fresh atomic.Bool }

func (a *aging) Stamp() view.Stamp {
	a.fresh.Store(true)
	return view.Stamp{}
}

func (a *aging) Current(view.Stamp) bool { return a.fresh.Swap(false) }

// TestOldVerdicts: a verdict of a list that got too old while another one was waited for is made anew.
func TestOldVerdicts(t *testing.T) {
	views := &aging{}
	gone := errors.New("gone")
	var deleted, slow atomic.Bool
	reviewer := tokenreview.New(tokenreview.Config{Views: views, Authenticator: by(func(_ context.Context, token string) error {
		switch {
		case token == "slow" && !slow.Swap(true):
			deleted.Store(true)
			views.fresh.Store(false)
		case token == "deleted" && deleted.Load():
			return gone
		}
		return nil
	})})
	results := reviewer.DecideAll(t.Context(), []authenticationv1.TokenReviewSpec{{Token: "kept"}, {Token: "deleted"}, {Token: "slow"}})
	for i, accepted := range []bool{true, false, true} {
		if got := results[i].Verdict.User != nil; got != accepted || results[i].Err != nil {
			t.Errorf("%d: %+v", i, results[i])
		}
	}
}

// TestOnePanics: a panic while one token is reviewed leaves that token without a verdict, and tells nothing of it.
func TestOnePanics(t *testing.T) {
	reviewer := tokenreview.New(tokenreview.Config{Authenticator: by(func(_ context.Context, token string) error {
		if token == "1" {
			panic("secret " + token)
		}
		return nil
	})})
	results := reviewer.DecideAll(t.Context(), specs(3, strconv.Itoa))
	if err := results[1].Err; !apierrors.IsInternalError(err) || err.Error() != "Internal error occurred: authentication failed unexpectedly" {
		t.Error(err)
	}
	if results[0].Verdict.User == nil || results[2].Verdict.User == nil {
		t.Errorf("%+v", results)
	}
}

// TestResultsOfTheAPI: a result has a status, or a failure with what the Status of a TokenReview would have.
func TestResultsOfTheAPI(t *testing.T) {
	late := apierrors.NewTimeoutError("too late", 7)
	for name, test := range map[string]struct {
		result tokenreview.Result
		want   string
	}{
		"accepted":  {tokenreview.Result{Verdict: tokenreview.Verdict{User: &user.DefaultInfo{Name: "ann"}, Audiences: authenticator.Audiences{"a"}}}, "true ann [a] "},
		"refused":   {tokenreview.Result{Verdict: tokenreview.Verdict{Error: "too old"}}, "false  [] too old"},
		"undecided": {tokenreview.Result{Err: late}, "504 Timeout Timeout: too late 7"},
		"other":     {tokenreview.Result{Err: errors.New("oh")}, "500  oh 0"},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			switch api := test.result.API(); {
			case api.Status != nil && api.Failure == nil:
				got = fmt.Sprintf("%t %s %v %s", api.Status.Authenticated, api.Status.User.Username, api.Status.Audiences, api.Status.Error)
			case api.Failure != nil && api.Status == nil:
				got = fmt.Sprintf("%d %s %s %d", api.Failure.Code, api.Failure.Reason, api.Failure.Message, api.Failure.RetryAfterSeconds)
			}
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
