package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TrustedIssuer is an issuer of JSON Web Tokens whose tokens are accepted: another cluster, or any issuer that publishes
// its keys. Tokens are routed to the object by their claim iss, and checked here with the issuer's keys.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type TrustedIssuer struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which tokens are accepted, and as whom.
	Spec TrustedIssuerSpec `json:"spec"`
	// status is what a server noted about the issuer.
	// +optional
	Status TrustedIssuerStatus `json:"status,omitempty"`
}

// TrustedIssuerSpec says which tokens are accepted, and as whom. The keys come from discovery at url or discoveryURL, from
// jwksURI, or from jwks. The user comes from claimMappings or from kubernetes, of which one is required.
type TrustedIssuerSpec struct {
	// url is the claim iss of the tokens: https://host or https://host/path. It can't be changed, and no other issuer of
	// this server has it.
	URL string `json:"url"`
	// discoveryURL is where the discovery document is read. Default: {url}/.well-known/openid-configuration.
	// +optional
	DiscoveryURL string `json:"discoveryURL,omitempty"`
	// certificateAuthority has the PEM certificates that vouch for the addresses of discovery and keys. Default: those of
	// the system.
	// +optional
	CertificateAuthority string `json:"certificateAuthority,omitempty"`
	// jwksURI is where the JSON Web Key Set (RFC 7517) is read, without discovery.
	// +optional
	JWKSURI string `json:"jwksURI,omitempty"`
	// jwks is the JSON Web Key Set itself, of public keys, for an issuer that can't be reached.
	// +optional
	JWKS string `json:"jwks,omitempty"`
	// audiences are those for which tokens are accepted: the claim aud has at least one of them.
	// +optional
	// +listType=set
	Audiences []string `json:"audiences,omitempty"`
	// audienceMatchPolicy says how audiences is compared with the claim aud. MatchAny is the only policy, and required with
	// several audiences.
	// +optional
	AudienceMatchPolicy AudienceMatchPolicyType `json:"audienceMatchPolicy,omitempty"`
	// claimValidationRules are the rules that the claims satisfy, all of them.
	// +optional
	// +listType=atomic
	ClaimValidationRules []ClaimValidationRule `json:"claimValidationRules,omitempty"`
	// claimMappings makes the user from the claims. It does not go with kubernetes.
	// +optional
	ClaimMappings *ClaimMappings `json:"claimMappings,omitempty"`
	// userValidationRules are the rules that the user satisfies, all of them.
	// +optional
	// +listType=atomic
	UserValidationRules []UserValidationRule `json:"userValidationRules,omitempty"`
	// kubernetes says that the tokens are service account tokens of a cluster: the user is made as a TokenReview of that
	// cluster makes it.
	// +optional
	Kubernetes *KubernetesTokens `json:"kubernetes,omitempty"`
	// algorithms are the JWS algorithms (RFC 7518, RFC 8037) of which a token has one. Default: all asymmetric ones.
	// +optional
	// +listType=set
	Algorithms []string `json:"algorithms,omitempty"`
	// tenant hides the issuer's tokens from reviews that don't ask for one of the tenant's audiences.
	// +optional
	Tenant *IssuerTenant `json:"tenant,omitempty"`
	// liveCheck has the issuer's cluster asked about a token after the token was verified here.
	// +optional
	LiveCheck *LiveCheck `json:"liveCheck,omitempty"`
}

// KubernetesTokens says how the service account tokens of a cluster become users.
type KubernetesTokens struct {
	// prefix is put in front of the user name and of the groups of the account, such as "east:".
	// +optional
	Prefix string `json:"prefix,omitempty"`
}

// IssuerTenant is the tenant to whom an issuer belongs.
type IssuerTenant struct {
	// audiences are those of which a review asks for one, to see a token of the issuer.
	// +listType=set
	Audiences []string `json:"audiences"`
}

// LiveCheck says how the issuer's cluster is asked about a token.
type LiveCheck struct {
	// kubeconfigSecret is the secret whose key kubeconfig has the address of the cluster and a credential that may create
	// TokenReviews there.
	KubeconfigSecret SecretReference `json:"kubeconfigSecret"`
	// maxStaleness is how long an answer of the cluster counts. Default: 10s.
	// +optional
	MaxStaleness *metav1.Duration `json:"maxStaleness,omitempty"`
	// onFailure says what happens to a token while the cluster does not answer. Default: Refuse.
	// +optional
	OnFailure LiveCheckFailurePolicy `json:"onFailure,omitempty"`
}

// SecretReference names a secret.
type SecretReference struct {
	// namespace of the secret.
	Namespace string `json:"namespace"`
	// name of the secret.
	Name string `json:"name"`
}

// LiveCheckFailurePolicy says what happens to a token while its cluster does not answer.
// +enum
type LiveCheckFailurePolicy string

const (
	// LiveCheckRefuse has the token refused.
	LiveCheckRefuse LiveCheckFailurePolicy = "Refuse"
	// LiveCheckAccept has the token accepted as it was verified here.
	LiveCheckAccept LiveCheckFailurePolicy = "Accept"
)

// IssuerKey is the key in a user's extra under which the issuer of a cluster's token is. A relying party that asks for access reviews
// sends it with the user.
const IssuerKey = "authentication.mintmark.io/issuer"

// The types of the conditions of a TrustedIssuer.
const (
	// TrustedIssuerReady says whether tokens of the issuer are accepted.
	TrustedIssuerReady = "Ready"
	// TrustedIssuerKeysRead says whether the last attempt to read the keys succeeded.
	TrustedIssuerKeysRead = "KeysRead"
	// TrustedIssuerLiveCheckAvailable says whether the issuer's cluster answers the live check.
	TrustedIssuerLiveCheckAvailable = "LiveCheckAvailable"
	// TrustedIssuerConflict says whether another issuer has the same url and is used instead.
	TrustedIssuerConflict = "Conflict"
)

// TrustedIssuerStatus is what a server noted about an issuer. Servers decide by spec and by the keys that they read, not
// by it.
type TrustedIssuerStatus struct {
	// observedGeneration is the generation of the object that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions say in words whether the issuer works.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
	// keyIDs are the ids of the issuer's keys.
	// +optional
	// +listType=atomic
	KeyIDs []string `json:"keyIDs,omitempty"`
	// keysReadTime is when the keys were read and had last changed.
	// +optional
	KeysReadTime *metav1.Time `json:"keysReadTime,omitempty"`
}

// TrustedIssuerList is a list of trusted issuers.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type TrustedIssuerList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the issuers.
	Items []TrustedIssuer `json:"items"`
}
