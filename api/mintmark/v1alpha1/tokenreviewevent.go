package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TokenReviewEvent tells a client that caches verdicts of TokenReviews which of them no longer hold. It has object,
// revocation, issuer or everything, and names what ended, never a token. A client that meets an event in which it finds none
// of them drops all verdicts.
//
// Events are watched and not stored. A list has an event for each object that is going to end, and the resource version to
// watch from. The resource version of an event or a bookmark is one from which the watch can go on at any replica without
// missing an event; events may come twice, and not in the order in which they happened. A bookmark has proof.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type TokenReviewEvent struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// object is an object whose tokens end with it.
	// +optional
	Object *EndedObject `json:"object,omitempty"`
	// revocation is the spec of a TokenRevocation, without its reason.
	// +optional
	Revocation *TokenRevocationSpec `json:"revocation,omitempty"`
	// issuer is an issuer whose keys, rules or mappings have changed.
	// +optional
	Issuer string `json:"issuer,omitempty"`
	// everything says that any verdict may have ended.
	// +optional
	Everything bool `json:"everything,omitempty"`
	// proof says, in a bookmark, until when everything has been told.
	// +optional
	Proof *TokenReviewProof `json:"proof,omitempty"`
}

// EndedObject names an object whose tokens have ended, or end at a time that is known.
type EndedObject struct {
	// resource is the plural name of the object's resource, such as serviceaccounts, pods, secrets or nodes.
	Resource string `json:"resource"`
	// namespace of the object, empty for one that has none.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the object.
	Name string `json:"name"`
	// uid of the object, if it is known. Without it the event is about each object that had the name.
	// +optional
	UID types.UID `json:"uid,omitempty"`
	// endsAt is the time from which the object's tokens are refused, if it is being deleted and still there.
	// +optional
	EndsAt *metav1.Time `json:"endsAt,omitempty"`
}

// TokenReviewProof says until when everything has been told, and of what.
type TokenReviewProof struct {
	// time is an instant by the server's clock. All that had ended by then, at whichever replica, has been told.
	Time metav1.MicroTime `json:"time"`
	// configuration stands for what decides about tokens and is not stored: keys and configuration files. If it differs from
	// the last one, any verdict may have ended.
	Configuration string `json:"configuration"`
	// issuers are those whose tokens end by their claim exp or with an event here, and in no other way. Verdicts about
	// other tokens may end without an event. The first bookmark of a watch has them.
	// +optional
	// +listType=atomic
	Issuers []string `json:"issuers,omitempty"`
}

// TokenReviewEventList is a list of events.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type TokenReviewEventList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the events.
	Items []TokenReviewEvent `json:"items"`
}
