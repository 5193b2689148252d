package v1alpha1

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TokenExplanation says why a token is accepted or refused. It is answered to a create and not stored.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type TokenExplanation struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is that of a TokenReview.
	Spec authenticationv1.TokenReviewSpec `json:"spec"`
	// status is what the server found.
	// +optional
	Status TokenExplanationStatus `json:"status,omitempty"`
}

// Verdict is the result of a review.
// +enum
type Verdict string

const (
	// VerdictAuthenticated says that the token is good, for one of the audiences that were asked for.
	VerdictAuthenticated Verdict = "Authenticated"
	// VerdictRefused says that the token is no good.
	VerdictRefused Verdict = "Refused"
	// VerdictUndecided says that the server can't tell, since a store or an issuer does not answer.
	VerdictUndecided Verdict = "Undecided"
)

// TokenExplanationStatus is what the server found about a token. It never has the token or its signature.
type TokenExplanationStatus struct {
	// verdict is that of a TokenReview of the same token for the same audiences.
	Verdict Verdict `json:"verdict"`
	// reason is one of the documented reason codes.
	Reason string `json:"reason"`
	// message says the same in a sentence for a person.
	Message string `json:"message"`
	// error is the error that a TokenReview has.
	// +optional
	Error string `json:"error,omitempty"`
	// authenticator is the one that decided.
	// +optional
	Authenticator string `json:"authenticator,omitempty"`
	// user is whom the token stands for, if it is good.
	// +optional
	User *authenticationv1.UserInfo `json:"user,omitempty"`
	// audiences are those, of the audiences asked for, that the token is good for.
	// +optional
	// +listType=atomic
	Audiences []string `json:"audiences,omitempty"`
	// serverTime is the clock of the server that decided.
	ServerTime metav1.MicroTime `json:"serverTime"`
	// checks are the checks of the review, in the order in which they are made.
	// +optional
	// +listType=atomic
	Checks []TokenCheck `json:"checks,omitempty"`
}

// TokenCheckResult is the result of one check.
// +enum
type TokenCheckResult string

const (
	// CheckPassed says that the check found nothing wrong.
	CheckPassed TokenCheckResult = "Passed"
	// CheckFailed says that the check refused the token.
	CheckFailed TokenCheckResult = "Failed"
	// CheckNotReached says that an earlier check decided.
	CheckNotReached TokenCheckResult = "NotReached"
)

// TokenCheck is one check of a review.
type TokenCheck struct {
	// name of the check.
	Name string `json:"name"`
	// result of the check.
	Result TokenCheckResult `json:"result"`
	// expected is what the check wants.
	// +optional
	Expected string `json:"expected,omitempty"`
	// found is what the token has, or what is stored.
	// +optional
	Found string `json:"found,omitempty"`
}
