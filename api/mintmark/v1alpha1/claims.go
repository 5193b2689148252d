package v1alpha1

// The types here are those of a JWT authenticator in kube-apiserver's AuthenticationConfiguration
// (apiserver.config.k8s.io/v1), field by field, so that a configuration can be moved into a TrustedIssuer as it is.

// AudienceMatchPolicyType says how audiences are compared with the claim aud.
// +enum
type AudienceMatchPolicyType string

// AudienceMatchPolicyMatchAny says that the claim aud has at least one of the audiences.
const AudienceMatchPolicyMatchAny AudienceMatchPolicyType = "MatchAny"

// ClaimValidationRule is a rule about the claims of a token: a claim and its value, or an expression.
type ClaimValidationRule struct {
	// claim is the name of a claim that the token has.
	// +optional
	Claim string `json:"claim,omitempty"`
	// requiredValue is the value of the claim, a string.
	// +optional
	RequiredValue string `json:"requiredValue,omitempty"`
	// expression is a CEL expression over the variable claims that is true for a good token.
	// +optional
	Expression string `json:"expression,omitempty"`
	// message is the error when expression is false.
	// +optional
	Message string `json:"message,omitempty"`
}

// ClaimMappings makes a user from the claims of a token.
type ClaimMappings struct {
	// username is the name of the user.
	Username PrefixedClaimOrExpression `json:"username"`
	// groups are the groups of the user.
	// +optional
	Groups PrefixedClaimOrExpression `json:"groups,omitzero"`
	// uid is the uid of the user.
	// +optional
	UID ClaimOrExpression `json:"uid,omitzero"`
	// extra are more attributes of the user.
	// +optional
	// +listType=map
	// +listMapKey=key
	Extra []ExtraMapping `json:"extra,omitempty"`
}

// PrefixedClaimOrExpression takes a value from a claim, with a prefix, or from an expression.
type PrefixedClaimOrExpression struct {
	// claim is the name of the claim. It does not go with expression.
	// +optional
	Claim string `json:"claim,omitempty"`
	// prefix is put in front of the claim's value. It is required with claim, and may be empty.
	// +optional
	Prefix *string `json:"prefix,omitempty"`
	// expression is a CEL expression over the variable claims.
	// +optional
	Expression string `json:"expression,omitempty"`
}

// ClaimOrExpression takes a value from a claim or from an expression.
type ClaimOrExpression struct {
	// claim is the name of the claim. It does not go with expression.
	// +optional
	Claim string `json:"claim,omitempty"`
	// expression is a CEL expression over the variable claims.
	// +optional
	Expression string `json:"expression,omitempty"`
}

// ExtraMapping makes one attribute of the user's extra.
type ExtraMapping struct {
	// key is the key in extra: a domain, a slash and a path, in lower case, such as example.org/department.
	Key string `json:"key"`
	// valueExpression is a CEL expression over the variable claims that gives a string or a list of strings.
	ValueExpression string `json:"valueExpression"`
}

// UserValidationRule is a rule about the user that a token stands for.
type UserValidationRule struct {
	// expression is a CEL expression over the variable user (UserInfo of authentication.k8s.io/v1) that is true for a good
	// user.
	Expression string `json:"expression"`
	// message is the error when expression is false.
	// +optional
	Message string `json:"message,omitempty"`
}
