package view

import (
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Unavailable is the error of a read that the storage did not answer, or answered with an object that can't be decrypted or
// decoded. Whether the object exists, and what it says, is not known, so no decision can rest on this error.
//
// Its text names the resource and no object: names of objects may be hashes of tokens. As an API error it is 503 with
// Retry-After.
type Unavailable struct {
	resource schema.GroupResource
	cause    error
}

// retryAfter is for how many seconds a client is asked to wait.
const retryAfter = 1

// Error says what could not be read.
func (u *Unavailable) Error() string {
	return "the stored " + u.resource.Resource + " could not be read"
}

// Unwrap returns the cause, which may name the object.
func (u *Unavailable) Unwrap() error { return u.cause }

// Unavailable marks an error that is not a refusal.
func (*Unavailable) Unavailable() {}

// Status is the error as the API has it.
func (u *Unavailable) Status() metav1.Status {
	return metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusServiceUnavailable,
		Reason:  metav1.StatusReasonServiceUnavailable,
		Message: u.Error(),
		Details: &metav1.StatusDetails{RetryAfterSeconds: retryAfter},
	}
}
