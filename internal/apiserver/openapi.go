package apiserver

import (
	"net/http"
	"sync"

	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	openapibuilder "k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"
	openapihandler "k8s.io/kube-openapi/pkg/handler"
)

// The paths of the OpenAPI documents: that of version 2, and that of the index of version 3, which the documents are below.
const openAPIV2Path, openAPIV3Path = "/openapi/v2", "/openapi/v3"

// installOpenAPI serves the OpenAPI documents of everything that is installed. The library would make them before the server
// starts. They take as much memory as all else that a fresh server holds, and few servers are asked for them, so they are made
// for the first request.
func installOpenAPI(server *genericapiserver.GenericAPIServer, config *genericapiserver.Config) {
	container := server.Handler.GoRestfulContainer
	v2, v3 := config.OpenAPIConfig, config.OpenAPIV3Config
	// The definitions of all types were needed to install the API. They are made anew for the documents.
	v2.Definitions, v3.Definitions = nil, nil
	second := lateDocuments(func() (http.Handler, error) {
		spec, err := openapibuilder.BuildOpenAPISpecFromRoutes(restfuladapter.AdaptWebServices(container.RegisteredWebServices()), v2)
		if err != nil {
			return nil, err
		}
		spec.Definitions = openapihandler.PruneDefaults(spec.Definitions)
		paths := mux.NewPathRecorderMux("openapi-v2")
		openapihandler.NewOpenAPIService(spec).RegisterOpenAPIVersionedService(openAPIV2Path, paths)
		return paths, nil
	})
	third := lateDocuments(func() (http.Handler, error) {
		paths := mux.NewPathRecorderMux("openapi-v3")
		routes.OpenAPI{V3Config: v3}.InstallV3(container, paths)
		return paths, nil
	})
	paths := server.Handler.NonGoRestfulMux
	paths.Handle(openAPIV2Path, second)
	paths.Handle(openAPIV3Path, third)
	paths.HandlePrefix(openAPIV3Path+"/", third)
}

// lateDocuments returns a handler that is made for its first request.
func lateDocuments(makeHandler func() (http.Handler, error)) http.Handler {
	made := sync.OnceValues(makeHandler)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		documents, err := made()
		if err != nil {
			responsewriters.InternalError(w, r, err)
			return
		}
		documents.ServeHTTP(w, r)
	})
}
