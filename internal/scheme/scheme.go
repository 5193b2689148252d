package scheme

import (
	"slices"

	oauthv1 "github.com/openshift/api/oauth/v1"
	userv1 "github.com/openshift/api/user/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// Served lists the group versions with an API of their own, in the order in which discovery lists them. OpenShift's are
// served with --openshift-api only.
var Served = slices.Concat(kubernetes, mintmark, openShift)

var (
	kubernetes = []schema.GroupVersion{
		corev1.SchemeGroupVersion,
		authenticationv1.SchemeGroupVersion,
		authorizationv1.SchemeGroupVersion,
		certificatesv1.SchemeGroupVersion,
		coordinationv1.SchemeGroupVersion,
		eventsv1.SchemeGroupVersion,
		rbacv1.SchemeGroupVersion,
	}
	mintmark  = []schema.GroupVersion{mintmarkv1alpha1.SchemeGroupVersion}
	openShift = []schema.GroupVersion{oauthv1.GroupVersion, userv1.GroupVersion}
)

var (
	// Scheme knows every type that is served, in its published and its internal version.
	Scheme = newScheme(Served...)
	// Codecs reads and writes those types as JSON, YAML and protobuf.
	Codecs = serializer.NewCodecFactory(Scheme)
	// ParameterCodec reads query parameters into the options types.
	ParameterCodec = runtime.NewParameterCodec(Scheme)
)

// newScheme returns a scheme of the types of some group versions.
func newScheme(served ...schema.GroupVersion) *runtime.Scheme {
	s := runtime.NewScheme()
	metav1.AddToGroupVersion(s, metav1.Unversioned)
	utilruntime.Must(metav1.AddMetaToScheme(s))
	for _, gv := range served {
		utilruntime.Must(types[gv](s))
		addInternal(s, gv)
		utilruntime.Must(s.SetVersionPriority(gv))
	}
	addDefaults(s)
	addFieldLabels(s)
	return s
}

// types holds the function that registers the published types of each group version.
var types = map[schema.GroupVersion]func(*runtime.Scheme) error{
	corev1.SchemeGroupVersion:           corev1.AddToScheme,
	authenticationv1.SchemeGroupVersion: authenticationv1.AddToScheme,
	authorizationv1.SchemeGroupVersion:  authorizationv1.AddToScheme,
	certificatesv1.SchemeGroupVersion:   certificatesv1.AddToScheme,
	coordinationv1.SchemeGroupVersion:   coordinationv1.AddToScheme,
	eventsv1.SchemeGroupVersion:         eventsv1.AddToScheme,
	rbacv1.SchemeGroupVersion:           rbacv1.AddToScheme,
	oauthv1.GroupVersion:                oauthv1.Install,
	mintmarkv1alpha1.SchemeGroupVersion: mintmarkv1alpha1.AddToScheme,
	userv1.GroupVersion:                 userv1.Install,
}

// addInternal registers every kind of gv under the group's internal version as well. It leaves out options, watch events and
// other kinds of the library, which converts these itself.
func addInternal(s *runtime.Scheme, gv schema.GroupVersion) {
	if gv == eventsv1.SchemeGroupVersion {
		addEvents(s)
		return
	}
	internal := schema.GroupVersion{Group: gv.Group, Version: runtime.APIVersionInternal}
	library := runtime.NewScheme()
	metav1.AddToGroupVersion(library, gv)
	for kind := range s.KnownTypes(gv) {
		if library.Recognizes(gv.WithKind(kind)) {
			continue
		}
		obj, err := s.New(gv.WithKind(kind))
		utilruntime.Must(err)
		s.AddKnownTypeWithName(internal.WithKind(kind), obj)
	}
}
