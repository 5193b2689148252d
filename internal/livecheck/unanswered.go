package livecheck

import (
	"errors"
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/outbound"
	"github.com/mintmark/mintmark/internal/reason"
)

// Unanswered is the error of a live check without an answer: there is no verdict, since the token may be good. As an API error it is
// 503 with Retry-After, which clients don't cache. Its text names no host: reviewers need not know where a cluster is.
type Unanswered struct {
	issuer string
	code   reason.Code
	cause  error
}

func unanswered(issuer string, cause error) *Unanswered {
	code := reason.LiveCheckUnavailable
	if _, ok := errors.AsType[*setupError](cause); ok {
		code = reason.LiveCheckNotSetUp
	}
	return &Unanswered{issuer: issuer, code: code, cause: cause}
}

// Error says what could not be found out.
func (u *Unanswered) Error() string {
	if u.code == reason.LiveCheckNotSetUp {
		return fmt.Sprintf("the cluster of the trusted issuer %q can't be asked about the token, since its kubeconfig is missing or can't be used", u.issuer)
	}
	return fmt.Sprintf("the cluster of the trusted issuer %q does not answer whether the token still counts", u.issuer)
}

// detail says why, for those who may look into the object.
func (u *Unanswered) detail() string { return outbound.Shorten(u.cause.Error()) }

// Unwrap returns the cause.
func (u *Unanswered) Unwrap() error { return u.cause }

// Reason returns the reason code.
func (u *Unanswered) Reason() reason.Code { return u.code }

// Unavailable marks an error that is no refusal.
func (*Unanswered) Unavailable() {}

// Status is the error as the API has it.
func (u *Unanswered) Status() metav1.Status {
	return metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusServiceUnavailable,
		Reason:  metav1.StatusReasonServiceUnavailable,
		Message: u.Error(),
		Details: &metav1.StatusDetails{RetryAfterSeconds: 1},
	}
}

// setupError is the error of a secret that is missing or can't be used.
type setupError struct{ text string }

// Error says what to do.
func (s *setupError) Error() string { return s.text }
