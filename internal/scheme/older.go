package scheme

import (
	"encoding/json"

	authenticationv1 "k8s.io/api/authentication/v1"
	authenticationv1alpha1 "k8s.io/api/authentication/v1alpha1"
	authenticationv1beta1 "k8s.io/api/authentication/v1beta1"
	authorizationv1 "k8s.io/api/authorization/v1"
	authorizationv1beta1 "k8s.io/api/authorization/v1beta1"
	certificatesv1 "k8s.io/api/certificates/v1"
	certificatesv1alpha1 "k8s.io/api/certificates/v1alpha1"
	certificatesv1beta1 "k8s.io/api/certificates/v1beta1"
	coordinationv1 "k8s.io/api/coordination/v1"
	coordinationv1alpha2 "k8s.io/api/coordination/v1alpha2"
	coordinationv1beta1 "k8s.io/api/coordination/v1beta1"
	corev1 "k8s.io/api/core/v1"
	eventsv1beta1 "k8s.io/api/events/v1beta1"
	rbacv1 "k8s.io/api/rbac/v1"
	rbacv1alpha1 "k8s.io/api/rbac/v1alpha1"
	rbacv1beta1 "k8s.io/api/rbac/v1beta1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

// addOlderVersions registers the versions of the API groups that kube-apiserver knows and doesn't serve. A body in one of
// them is refused for its version, not for an unknown kind.
func addOlderVersions(s *runtime.Scheme) {
	for _, add := range []func(*runtime.Scheme) error{
		authenticationv1beta1.AddToScheme, authenticationv1alpha1.AddToScheme, authorizationv1beta1.AddToScheme,
		certificatesv1beta1.AddToScheme, certificatesv1alpha1.AddToScheme,
		coordinationv1beta1.AddToScheme, coordinationv1alpha2.AddToScheme, eventsv1beta1.AddToScheme, rbacv1beta1.AddToScheme, rbacv1alpha1.AddToScheme,
	} {
		utilruntime.Must(add(s))
	}
	addOlder[authenticationv1beta1.TokenReview, authenticationv1.TokenReview](s, nil)
	addOlder[authenticationv1beta1.SelfSubjectReview, authenticationv1.SelfSubjectReview](s, nil)
	addOlder[authenticationv1alpha1.SelfSubjectReview, authenticationv1.SelfSubjectReview](s, nil)

	addOlder(s, func(old *authorizationv1beta1.SubjectAccessReview, current *authorizationv1.SubjectAccessReview) {
		current.Spec.Groups = old.Spec.Groups
	})
	addOlder(s, func(old *authorizationv1beta1.LocalSubjectAccessReview, current *authorizationv1.LocalSubjectAccessReview) {
		current.Spec.Groups = old.Spec.Groups
	})
	addOlder[authorizationv1beta1.SelfSubjectAccessReview, authorizationv1.SelfSubjectAccessReview](s, nil)
	addOlder[authorizationv1beta1.SelfSubjectRulesReview, authorizationv1.SelfSubjectRulesReview](s, nil)

	addOlder[certificatesv1beta1.CertificateSigningRequest, certificatesv1.CertificateSigningRequest](s, nil)

	addOlder[coordinationv1beta1.Lease, coordinationv1.Lease](s, nil)

	addOlder(s, func(old *eventsv1beta1.Event, current *corev1.Event) {
		current.InvolvedObject, current.Message, current.ReportingController = old.Regarding, old.Note, old.ReportingController
		current.Source, current.Count = old.DeprecatedSource, old.DeprecatedCount
		current.FirstTimestamp, current.LastTimestamp = old.DeprecatedFirstTimestamp, old.DeprecatedLastTimestamp
	})

	addOlder[rbacv1beta1.Role, rbacv1.Role](s, nil)
	addOlder[rbacv1beta1.RoleBinding, rbacv1.RoleBinding](s, nil)
	addOlder[rbacv1beta1.ClusterRole, rbacv1.ClusterRole](s, nil)
	addOlder[rbacv1beta1.ClusterRoleBinding, rbacv1.ClusterRoleBinding](s, nil)
	addOlder[rbacv1alpha1.Role, rbacv1.Role](s, nil)
	addOlder[rbacv1alpha1.ClusterRole, rbacv1.ClusterRole](s, nil)
	// A subject of v1alpha1 has no group. It follows from its kind.
	addOlder(s, func(_ *rbacv1alpha1.RoleBinding, current *rbacv1.RoleBinding) { setRoleBindingDefaults(current) })
	addOlder(s, func(_ *rbacv1alpha1.ClusterRoleBinding, current *rbacv1.ClusterRoleBinding) {
		setClusterRoleBindingDefaults(current)
	})
}

// addOlder registers how an object of an older version becomes one of the current version: fields of the same name are
// copied, and finish, unless it is nil, sets those that were renamed.
func addOlder[Old, Current any](s *runtime.Scheme, finish func(*Old, *Current)) {
	utilruntime.Must(s.AddConversionFunc((*Old)(nil), (*Current)(nil), func(from, to any, _ conversion.Scope) error {
		text, err := json.Marshal(from)
		if err != nil {
			return err
		}
		old, current := from.(*Old), to.(*Current)
		if err := json.Unmarshal(text, current); err != nil {
			return err
		}
		if finish != nil {
			finish(old, current)
		}
		return nil
	}))
}
