package scheme

import (
	oauthv1 "github.com/openshift/api/oauth/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// defaultExpirationSeconds is the life of a token when the request names none: one hour.
const defaultExpirationSeconds = 60 * 60

// addDefaults registers the functions that fill in fields which a client left out. The codecs run them on each object that they
// decode, from a client or from etcd. They also make fields equal that exist under an old and a new name: there is no
// conversion that could do it.
func addDefaults(s *runtime.Scheme) {
	addDefault(s, setNamespaceDefaults)
	addDefault(s, setSecretDefaults)
	addDefault(s, setNodeDefaults)
	addDefault(s, setPodDefaults)
	addDefault(s, setTokenRequestDefaults)
	addDefault(s, setRoleBindingDefaults)
	addDefault(s, setClusterRoleBindingDefaults)
	addDefault(s, setOAuthAuthorizeTokenDefaults)
}

// addDefault registers set for objects of type T.
func addDefault[T any, P interface {
	*T
	runtime.Object
}](s *runtime.Scheme, set func(P)) {
	s.AddTypeDefaultingFunc(P(new(T)), func(obj any) { set(obj.(P)) })
}

// setNamespaceDefaults adds the label by which selectors find a namespace by name. An object with a generated name gets the
// label when it is stored.
func setNamespaceDefaults(ns *corev1.Namespace) {
	if ns.Name == "" {
		return
	}
	if ns.Labels == nil {
		ns.Labels = map[string]string{}
	}
	ns.Labels[corev1.LabelMetadataName] = ns.Name
}

// setSecretDefaults also moves stringData, which can only be written, into data.
func setSecretDefaults(secret *corev1.Secret) {
	if secret.Type == "" {
		secret.Type = corev1.SecretTypeOpaque
	}
	if len(secret.StringData) > 0 && secret.Data == nil {
		secret.Data = make(map[string][]byte, len(secret.StringData))
	}
	for key, value := range secret.StringData {
		secret.Data[key] = []byte(value)
	}
	secret.StringData = nil
}

func setNodeDefaults(node *corev1.Node) {
	// podCIDR is the first of podCIDRs; where they differ, the older field was written by a client that knows no other.
	if cidr := node.Spec.PodCIDR; cidr != "" && (len(node.Spec.PodCIDRs) == 0 || node.Spec.PodCIDRs[0] != cidr) {
		node.Spec.PodCIDRs = []string{cidr}
	}
	if len(node.Spec.PodCIDRs) > 0 {
		node.Spec.PodCIDR = node.Spec.PodCIDRs[0]
	}
	roundUp(node.Status.Capacity)
	roundUp(node.Status.Allocatable)
	if node.Status.Allocatable == nil {
		node.Status.Allocatable = node.Status.Capacity.DeepCopy()
	}
}

func setTokenRequestDefaults(request *authenticationv1.TokenRequest) {
	if request.Spec.ExpirationSeconds == nil {
		seconds := int64(defaultExpirationSeconds)
		request.Spec.ExpirationSeconds = &seconds
	}
}

func setRoleBindingDefaults(binding *rbacv1.RoleBinding) {
	setBindingDefaults(&binding.RoleRef, binding.Subjects)
}

func setClusterRoleBindingDefaults(binding *rbacv1.ClusterRoleBinding) {
	setBindingDefaults(&binding.RoleRef, binding.Subjects)
}

// setBindingDefaults adds the group of roles, users and groups. Service accounts are of the core group, which has no
// name.
func setBindingDefaults(role *rbacv1.RoleRef, subjects []rbacv1.Subject) {
	if role.APIGroup == "" {
		role.APIGroup = rbacv1.GroupName
	}
	for i := range subjects {
		s := &subjects[i]
		if s.APIGroup == "" && (s.Kind == rbacv1.UserKind || s.Kind == rbacv1.GroupKind) {
			s.APIGroup = rbacv1.GroupName
		}
	}
}

// setOAuthAuthorizeTokenDefaults sets the default method of a code challenge, plain (RFC 7636 section 4.3).
func setOAuthAuthorizeTokenDefaults(token *oauthv1.OAuthAuthorizeToken) {
	if token.CodeChallenge != "" && token.CodeChallengeMethod == "" {
		token.CodeChallengeMethod = "plain"
	}
}
