package tokenreview

import (
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// API is the result as the API has it.
func (r *Result) API() v1alpha1.TokenReviewResult {
	if r.Err != nil {
		failure := FailureOf(r.Err)
		return v1alpha1.TokenReviewResult{Failure: &failure}
	}
	status := r.Verdict.Status()
	return v1alpha1.TokenReviewResult{Status: &status}
}

// FailureOf returns the parts of the Status with which a TokenReview would be answered that failed like this.
func FailureOf(err error) v1alpha1.TokenReviewFailure {
	var known apierrors.APIStatus
	if !errors.As(err, &known) {
		return v1alpha1.TokenReviewFailure{Code: http.StatusInternalServerError, Reason: metav1.StatusReasonUnknown, Message: err.Error()}
	}
	status := known.Status()
	failure := v1alpha1.TokenReviewFailure{Code: status.Code, Reason: status.Reason, Message: status.Message}
	if status.Details != nil {
		failure.RetryAfterSeconds = status.Details.RetryAfterSeconds
	}
	return failure
}
