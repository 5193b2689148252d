package apiserver

import (
	"net/http"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	"k8s.io/apiserver/pkg/endpoints/handlers/negotiation"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/scheme"
)

// aggregate puts three answers in front of the API that kube-apiserver's aggregator gives: the list of groups, the index of
// the OpenAPI documents, and the list of custom resources, which is empty.
func aggregate(apis http.Handler, served []registry.Group, c *genericapiserver.Config) http.Handler {
	groups := aggregated.WrapAggregatedDiscoveryToHandler(listGroups(served), c.AggregatedDiscoveryGroupManager, nil)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet && r.URL.Path == "/apis":
			groups.ServeHTTP(w, r)
		case r.URL.Path == "/openapi/v3":
			apis.ServeHTTP(plainText{w}, r)
		case r.Method == http.MethodGet && r.URL.Path == customResourcesPath:
			listCustomResources(w)
		default:
			apis.ServeHTTP(w, r)
		}
	})
}

// customResourcesPath is where kubectl asks for custom resources before it validates a kind that can't be patched, such
// as a TokenReview. Without an answer it would refuse to create one.
const customResourcesPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

// listCustomResources answers that there are no custom resources.
func listCustomResources(w http.ResponseWriter) {
	responsewriters.WriteRawJSON(http.StatusOK, metav1.PartialObjectMetadataList{
		TypeMeta: metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinitionList"},
		Items:    []metav1.PartialObjectMetadata{},
	}, w)
}

// listGroups answers /apis with a list that names its version.
func listGroups(served []registry.Group) http.Handler {
	list := &metav1.APIGroupList{}
	for _, group := range served {
		if group.Version.Group == corev1.GroupName {
			continue
		}
		version := metav1.GroupVersionForDiscovery{GroupVersion: group.Version.String(), Version: group.Version.Version}
		list.Groups = append(list.Groups, metav1.APIGroup{
			Name: group.Version.Group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version,
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		responsewriters.WriteObjectNegotiated(scheme.Codecs, negotiation.DefaultEndpointRestrictions, schema.GroupVersion{}, w, r,
			http.StatusOK, list.DeepCopy(), false)
	})
}

// plainText is the answer with the index of the OpenAPI documents, which kube-apiserver doesn't mark as JSON.
type plainText struct{ http.ResponseWriter }

// WriteHeader sends the header.
func (p plainText) WriteHeader(status int) {
	if status == http.StatusOK {
		p.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	p.ResponseWriter.WriteHeader(status)
}

// Unwrap returns the writer behind this one.
func (p plainText) Unwrap() http.ResponseWriter { return p.ResponseWriter }
