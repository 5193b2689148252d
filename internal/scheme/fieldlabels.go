package scheme

import (
	"fmt"
	"slices"

	oauthv1 "github.com/openshift/api/oauth/v1"
	userv1 "github.com/openshift/api/user/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

// addFieldLabels registers the field selectors that each kind supports. Kinds that aren't named here can be selected
// by name and namespace, which the library provides.
func addFieldLabels(s *runtime.Scheme) {
	addLabels(s, corev1.SchemeGroupVersion.WithKind("Namespace"), map[string]string{"name": "metadata.name"},
		"metadata.name", "status.phase")
	addLabels(s, corev1.SchemeGroupVersion.WithKind("Node"), nil,
		"metadata.name", "spec.unschedulable")
	addLabels(s, corev1.SchemeGroupVersion.WithKind("Pod"), map[string]string{"spec.host": "spec.nodeName"},
		"metadata.name", "metadata.namespace",
		"spec.hostNetwork", "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
		"status.nominatedNodeName", "status.phase", "status.podIP", "status.podIPs")
	addLabels(s, corev1.SchemeGroupVersion.WithKind("Secret"), nil,
		"metadata.name", "metadata.namespace", "type")
	addLabels(s, certificatesv1.SchemeGroupVersion.WithKind("CertificateSigningRequest"), nil,
		"metadata.name", "spec.signerName")

	addLabels(s, corev1.SchemeGroupVersion.WithKind("Event"), nil,
		"metadata.name", "metadata.namespace",
		"involvedObject.apiVersion", "involvedObject.fieldPath", "involvedObject.kind", "involvedObject.name", "involvedObject.namespace",
		"involvedObject.resourceVersion", "involvedObject.uid", "reason", "reportingComponent", "source", "type")
	// In events.k8s.io the fields have other names.
	addLabels(s, eventsv1.SchemeGroupVersion.WithKind("Event"), map[string]string{
		"regarding.apiVersion": "involvedObject.apiVersion", "regarding.fieldPath": "involvedObject.fieldPath",
		"regarding.kind": "involvedObject.kind", "regarding.name": "involvedObject.name",
		"regarding.namespace": "involvedObject.namespace", "regarding.resourceVersion": "involvedObject.resourceVersion",
		"regarding.uid": "involvedObject.uid", "reportingController": "reportingComponent",
	}, "metadata.name", "metadata.namespace", "reason", "type")

	addFurtherLabels(s, oauthv1.GroupVersion.WithKind("OAuthAccessToken"), "clientName", "userName", "userUID", "authorizeToken")
	addFurtherLabels(s, oauthv1.GroupVersion.WithKind("OAuthAuthorizeToken"), "clientName", "userName", "userUID")
	addFurtherLabels(s, oauthv1.GroupVersion.WithKind("OAuthClientAuthorization"), "clientName", "userName", "userUID")
	addFurtherLabels(s, oauthv1.GroupVersion.WithKind("UserOAuthAccessToken"), "clientName")
	addFurtherLabels(s, userv1.GroupVersion.WithKind("Identity"), "providerName", "providerUserName", "user.name", "user.uid")
}

// addLabels lets objects of a kind be selected by the given labels alone, and by the keys of old, names from earlier
// releases or of another group.
func addLabels(s *runtime.Scheme, kind schema.GroupVersionKind, old map[string]string, labels ...string) {
	utilruntime.Must(s.AddFieldLabelConversionFunc(kind,
		func(label, value string) (string, string, error) {
			if current, ok := old[label]; ok {
				return current, value, nil
			}
			if slices.Contains(labels, label) {
				return label, value, nil
			}
			return "", "", fmt.Errorf("field label not supported: %s", label)
		}))
}

// addFurtherLabels lets objects of a kind be selected by the given labels besides those that the library provides. The error
// about an unknown label is the library's and names only the library's labels.
func addFurtherLabels(s *runtime.Scheme, kind schema.GroupVersionKind, labels ...string) {
	utilruntime.Must(s.AddFieldLabelConversionFunc(kind, func(label, value string) (string, string, error) {
		if slices.Contains(labels, label) {
			return label, value, nil
		}
		return runtime.DefaultMetaV1FieldSelectorConversion(label, value)
	}))
}
