package v1alpha1

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MaxTokenReviews is how many tokens one TokenReviewList reviews at most.
const MaxTokenReviews = 1000

// TokenReviewList reviews many tokens in one request. It is answered to a create and not stored. Each result is that of a
// TokenReview of the same spec. The answer has the results and no spec, so it does not repeat the tokens.
//
// It is no list of objects in the sense of the API machinery: it has no items.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type TokenReviewList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is asked.
	// +optional
	Spec TokenReviewListSpec `json:"spec,omitzero"`
	// status is what the server found.
	// +optional
	Status TokenReviewListStatus `json:"status,omitzero"`
}

// TokenReviewListSpec is what is asked.
type TokenReviewListSpec struct {
	// reviews are the specs of 1 to 1 000 TokenReviews: a token each, and the audiences that are asked for. Without audiences,
	// a token has to be for the server itself.
	// +optional
	// +listType=atomic
	Reviews []authenticationv1.TokenReviewSpec `json:"reviews,omitempty"`
}

// TokenReviewListStatus is what the server found.
type TokenReviewListStatus struct {
	// results has one result for each review, in the order of spec.reviews.
	// +optional
	// +listType=atomic
	Results []TokenReviewResult `json:"results,omitempty"`
}

// TokenReviewResult is the result of one review: status or failure, and never both.
type TokenReviewResult struct {
	// status is the status of a TokenReview of the same spec.
	// +optional
	Status *authenticationv1.TokenReviewStatus `json:"status,omitempty"`
	// failure says why there is no verdict. A TokenReview of the same spec would be answered with this error. The token may be
	// good.
	// +optional
	Failure *TokenReviewFailure `json:"failure,omitempty"`
}

// TokenReviewFailure is the error with which a TokenReview would be answered, as in a Status.
type TokenReviewFailure struct {
	// code is the HTTP status: 400 for a review without a token, 503 or 500 if the server can't tell, 504 if the time of the
	// request was over before this token's turn.
	Code int32 `json:"code"`
	// reason is the reason of the Status.
	Reason metav1.StatusReason `json:"reason"`
	// message says why, for a person.
	Message string `json:"message"`
	// retryAfterSeconds is after how many seconds the review is worth another try, if the server knows.
	// +optional
	RetryAfterSeconds int32 `json:"retryAfterSeconds,omitempty"`
}
