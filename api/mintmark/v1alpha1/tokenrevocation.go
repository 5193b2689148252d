package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TokenRevocation takes tokens back. Its spec names one token, or the tokens of an account, of a subject, of a key, or all,
// or the client certificates of a user, that were issued before an instant. It can't be changed but for its metadata, and is removed when no token that it covers
// can be alive.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type TokenRevocation struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which tokens are taken back.
	Spec TokenRevocationSpec `json:"spec"`
	// status says who took them back, and until when the entry is needed. The server sets it.
	// +optional
	Status TokenRevocationStatus `json:"status,omitempty"`
}

// TokenRevocationSpec says which tokens are taken back: exactly one of credentialID, token, tokenHash, serviceAccount,
// subject, keyID, clientCertificate, or none of them and issuedBefore alone, which covers all tokens.
type TokenRevocationSpec struct {
	// credentialID is the id of one token: its claim jti, with or without "JTI=" in front.
	// +optional
	CredentialID string `json:"credentialID,omitempty"`
	// issuer is the issuer whose credential id or key id is meant. Default for a credential id, and for the id of a key of this
	// server: this server's issuer. For another key id: every issuer.
	// +optional
	Issuer string `json:"issuer,omitempty"`
	// token is a token to take back. The server puts its credential id and issuer, or its hash, in its place.
	// +optional
	Token string `json:"token,omitempty"`
	// tokenHash is the SHA-256, in hexadecimal, of a token without a credential id; of a JWT, of its header and payload
	// with the dot between them.
	// +optional
	TokenHash string `json:"tokenHash,omitempty"`
	// serviceAccount is the account whose tokens are taken back.
	// +optional
	ServiceAccount *ServiceAccountReference `json:"serviceAccount,omitempty"`
	// subject is a subject of an issuer of OpenID Connect tokens.
	// +optional
	Subject *SubjectReference `json:"subject,omitempty"`
	// keyID is the kid of the key whose tokens are taken back. Issuers choose key ids by themselves, so two may have the same.
	// +optional
	KeyID string `json:"keyID,omitempty"`
	// clientCertificate says whose client certificates are taken back.
	// +optional
	ClientCertificate *ClientCertificateReference `json:"clientCertificate,omitempty"`
	// issuedBefore is the instant before which the tokens or certificates were issued. It goes with serviceAccount, subject,
	// keyID and clientCertificate, or stands alone, and is not in the future. Default, unless it stands alone: now.
	// +optional
	IssuedBefore *metav1.Time `json:"issuedBefore,omitempty"`
	// reason is for people.
	// +optional
	Reason string `json:"reason,omitempty"`
}

// ServiceAccountReference names a service account.
type ServiceAccountReference struct {
	// namespace of the account.
	Namespace string `json:"namespace"`
	// name of the account.
	Name string `json:"name"`
}

// SubjectReference names a subject of an issuer.
type SubjectReference struct {
	// issuer is the claim iss.
	Issuer string `json:"issuer"`
	// subject is the claim sub.
	Subject string `json:"subject"`
}

// ClientCertificateReference names the client certificates of a user.
type ClientCertificateReference struct {
	// username is the user: the common name (CN) of the certificates' subject.
	Username string `json:"username"`
}

// TokenRevocationStatus says who took the tokens back, and until when the entry is needed.
type TokenRevocationStatus struct {
	// revokedBy is the user who made the entry.
	// +optional
	RevokedBy string `json:"revokedBy,omitempty"`
	// revokedAt is when the entry was made.
	// +optional
	RevokedAt *metav1.Time `json:"revokedAt,omitempty"`
	// expires is when the last token that the entry covers has ended. The entry is removed then.
	// +optional
	Expires *metav1.Time `json:"expires,omitempty"`
}

// TokenRevocationList is a list of revocations.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type TokenRevocationList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the revocations.
	Items []TokenRevocation `json:"items"`
}
