package scheme

// Generates the OpenAPI definitions of the served types. The installer of API groups requires them.
//
//go:generate go tool -modfile=../../tools/go.mod openapi-gen --output-dir openapi --output-pkg github.com/mintmark/mintmark/internal/scheme/openapi --output-file zz_generated.openapi.go --go-header-file header.txt --report-filename /dev/null k8s.io/api/core/v1 k8s.io/api/authentication/v1 k8s.io/api/authorization/v1 k8s.io/api/rbac/v1 github.com/openshift/api/oauth/v1 github.com/openshift/api/user/v1 k8s.io/apimachinery/pkg/apis/meta/v1 k8s.io/apimachinery/pkg/runtime k8s.io/apimachinery/pkg/api/resource k8s.io/apimachinery/pkg/util/intstr k8s.io/apimachinery/pkg/version
