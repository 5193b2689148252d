// Package v1alpha1 has the types of the API group mintmark.io, version v1alpha1: SigningKey, TokenRevocation,
// TokenExplanation, TokenReviewEvent, TokenReviewList and TrustedIssuer. They are Kubernetes objects, and client-go reads and
// writes them as such.
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=io.mintmark.v1alpha1
// +groupName=mintmark.io
package v1alpha1
