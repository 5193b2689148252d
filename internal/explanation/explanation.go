// Package explanation provides TokenExplanation (mintmark.io/v1alpha1): the verdict of a review, why it is so, and the checks
// that were made.
//
// It decides nothing. It asks the reviewer that answers TokenReviews, and has it note its checks.
package explanation

import (
	"context"
	"fmt"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// Reviewer decides reviews and notes the checks that it makes. An error with the reason Undecided means that there is no
// verdict; any other error, that nothing was reviewed.
type Reviewer interface {
	Explain(ctx context.Context, spec *authenticationv1.TokenReviewSpec, notes *reason.Checks) (tokenreview.Verdict, error)
}

// Explainer explains verdicts. It is safe for concurrent use.
type Explainer struct {
	Reviewer Reviewer
	// Now is the clock that explanations show; nil means time.Now.
	Now func() time.Time
}

// Explain reviews a token and says why the verdict is what it is. Where a TokenReview has no verdict, the explanation has the
// verdict Undecided. An error means that there was nothing to review.
func (e *Explainer) Explain(ctx context.Context, spec *authenticationv1.TokenReviewSpec) (v1alpha1.TokenExplanationStatus, error) {
	now := time.Now
	if e.Now != nil {
		now = e.Now
	}
	at := now()
	notes := &reason.Checks{}
	verdict, err := e.Reviewer.Explain(ctx, spec, notes)
	if verdict.Reason == reason.None {
		return v1alpha1.TokenExplanationStatus{}, err
	}
	review := verdict.Status()
	status := v1alpha1.TokenExplanationStatus{
		Verdict:       verdict.Reason.Verdict(),
		Reason:        verdict.Reason.String(),
		Error:         review.Error,
		Authenticator: notes.Authenticator,
		Audiences:     review.Audiences,
		ServerTime:    metav1.NewMicroTime(at),
		Checks:        checks(notes),
	}
	if review.Authenticated {
		status.User = &review.User
	}
	if err != nil {
		status.Error = err.Error()
	}
	status.Message = message(verdict.Reason, status.Checks)
	return status, nil
}

var results = map[reason.Result]v1alpha1.TokenCheckResult{
	reason.NotReached: v1alpha1.CheckNotReached,
	reason.Passed:     v1alpha1.CheckPassed,
	reason.Failed:     v1alpha1.CheckFailed,
}

func checks(notes *reason.Checks) []v1alpha1.TokenCheck {
	var list []v1alpha1.TokenCheck
	for _, check := range notes.List() {
		list = append(list, v1alpha1.TokenCheck{Name: check.Name, Result: results[check.Result], Expected: check.Expected, Found: check.Found})
	}
	return list
}

// message says why the verdict is what it is: what the code means, and which checks failed.
func message(code reason.Code, checks []v1alpha1.TokenCheck) string {
	text := []string{code.Meaning()}
	if code == reason.Accepted {
		return text[0]
	}
	for _, check := range checks {
		if check.Result == v1alpha1.CheckFailed && check.Found != "" && check.Expected != "" {
			text = append(text, fmt.Sprintf("The check %s expects %s, and finds %s.", check.Name, check.Expected, check.Found))
		}
	}
	return strings.Join(text, " ")
}
