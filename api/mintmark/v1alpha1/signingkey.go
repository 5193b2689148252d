package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SigningKey is a key that signs service account tokens, or has signed them. The API has its public half only.
//
// The life of a key follows from its object and the time: it is prepared (published, not signing), then active, then
// retired (its tokens are accepted, it signs no new ones), then gone.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type SigningKey struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec describes the key and the plan of its life.
	Spec SigningKeySpec `json:"spec"`
	// status is what the servers note about the key.
	// +optional
	Status SigningKeyStatus `json:"status,omitempty"`
}

// SigningKeySpec describes a key and the plan of its life.
type SigningKeySpec struct {
	// algorithm is the JWS algorithm (RFC 7518, RFC 8037) with which the key signs: ES256, ES384, ES512, RS256 or EdDSA.
	// +optional
	Algorithm string `json:"algorithm,omitempty"`
	// keyID is the kid in the header of the key's tokens. The server derives it from the public key.
	// +optional
	KeyID string `json:"keyID,omitempty"`
	// publicKey is the public half, as PEM. The server sets it, unless a key that only checks tokens is imported.
	// +optional
	PublicKey string `json:"publicKey,omitempty"`
	// privateKey is a private key to import, as PEM. It is taken by a create and never returned. Without it, and without
	// publicKey, the server makes the key.
	// +optional
	PrivateKey string `json:"privateKey,omitempty"`
	// leadTime is how long the key is published before it signs. Default: --signing-key-lead-time.
	// +optional
	LeadTime *metav1.Duration `json:"leadTime,omitempty"`
	// acceptShortLead allows a lead time that is shorter than the time for which relying parties were told to keep the
	// key set.
	// +optional
	AcceptShortLead bool `json:"acceptShortLead,omitempty"`
	// publishedFrom is when the key was published. The server sets it.
	// +optional
	PublishedFrom *metav1.Time `json:"publishedFrom,omitempty"`
	// signsFrom is when the key takes over from the one that signs with the same algorithm. The server sets it, from
	// leadTime. Without it the key never signs.
	// +optional
	SignsFrom *metav1.Time `json:"signsFrom,omitempty"`
	// retiredFrom is when the key stops signing, though no other takes over.
	// +optional
	RetiredFrom *metav1.Time `json:"retiredFrom,omitempty"`
	// hidden keeps the key out of the published key set. Its tokens are accepted here only.
	// +optional
	Hidden bool `json:"hidden,omitempty"`
}

// SigningKeyState is where a key is in its life.
// +enum
type SigningKeyState string

const (
	// SigningKeyPrepared is the state of a key that is published and does not sign yet.
	SigningKeyPrepared SigningKeyState = "Prepared"
	// SigningKeyActive is the state of the key that signs with its algorithm.
	SigningKeyActive SigningKeyState = "Active"
	// SigningKeyRetired is the state of a key that signs no more, while tokens that it signed may live.
	SigningKeyRetired SigningKeyState = "Retired"
	// SigningKeyGone is the state of a key none of whose tokens can live. It is not published, and accepted nowhere.
	SigningKeyGone SigningKeyState = "Gone"
)

// SigningKeyStatus is what the servers note about a key.
type SigningKeyStatus struct {
	// state is the last state that a server noted. Servers decide by spec and time, not by it.
	// +optional
	State SigningKeyState `json:"state,omitempty"`
	// signingSince is when the key began to sign, or will.
	// +optional
	SigningSince *metav1.Time `json:"signingSince,omitempty"`
	// retiredSince is when the key stopped signing, or will.
	// +optional
	RetiredSince *metav1.Time `json:"retiredSince,omitempty"`
	// tokensUntil is the latest end of a token that the key may have signed. It is written before such a token is.
	// +optional
	TokensUntil *metav1.Time `json:"tokensUntil,omitempty"`
	// legacyTokens says that a secret may hold a token of the key. Such a token has no end: the key stays until a new
	// token is in the secret.
	// +optional
	LegacyTokens bool `json:"legacyTokens,omitempty"`
}

// SigningKeyList is a list of keys.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type SigningKeyList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the keys.
	Items []SigningKey `json:"items"`
}
