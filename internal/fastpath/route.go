package fastpath

import (
	"net/http"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"
)

// route is an endpoint.
type route struct {
	resource schema.GroupVersionResource
	// subresource is empty for reviews.
	subresource string
	kind        schema.GroupVersionKind
	// reviewer decides reviews; nil for requests.
	reviewer Reviewer
	// lists decides the reviews of lists; nil for all else.
	lists  Lists
	series series
	// maxBody is the longest body that is read here, and maxAnswer the longest answer that is written. The generic chain compresses
	// longer ones.
	maxBody, maxAnswer int
}

// addReviews adds the endpoint for reviews of a group.
func (h *Handler) addReviews(gv schema.GroupVersion, reviewer Reviewer) {
	t := &route{resource: gv.WithResource("tokenreviews"), kind: authenticationv1.SchemeGroupVersion.WithKind("TokenReview"), reviewer: reviewer, maxBody: maxBody, maxAnswer: maxAnswer}
	t.series = h.metrics.of(t)
	h.reviews["/apis/"+gv.String()+"/tokenreviews"] = t
}

// addRequests adds the endpoint for requests.
func (h *Handler) addRequests() {
	h.requests = &route{
		resource:    corev1.SchemeGroupVersion.WithResource("serviceaccounts"),
		subresource: "token",
		kind:        authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"),
		maxBody:     maxBody,
		maxAnswer:   maxAnswer,
	}
	h.requests.series = h.metrics.of(h.requests)
}

// The parts of the path of a request around the account's namespace and name.
const (
	namespacesPath = "/api/v1/namespaces/"
	accountsPath   = "/serviceaccounts/"
	tokenPath      = "/token"
)

// match finds the route of a request, and the account that it names.
func (h *Handler) match(r *http.Request) (_ *route, namespace, name string) {
	// At -v=3 every request is logged, which the generic chain does.
	if r.Method != http.MethodPost || r.URL.RawPath != "" || klog.V(3).Enabled() {
		return nil, "", ""
	}
	if t := h.reviews[r.URL.Path]; t != nil {
		return t, "", ""
	}
	rest, _ := strings.CutPrefix(r.URL.Path, namespacesPath)
	rest, ok := strings.CutSuffix(rest, tokenPath)
	if !ok || len(rest) == len(r.URL.Path)-len(tokenPath) {
		return nil, "", ""
	}
	namespace, name, ok = strings.Cut(rest, accountsPath)
	if !ok || !plainName(namespace) || !plainName(name) {
		return nil, "", ""
	}
	return h.requests, namespace, name
}

// plainName reports whether a part of a path is written as names are.
func plainName(name string) bool {
	for i := range len(name) {
		switch b := name[i]; {
		case 'a' <= b && b <= 'z', '0' <= b && b <= '9', b == '-', b == '.' && i > 0:
		default:
			return false
		}
	}
	return name != ""
}

// negotiate finds out how the body and the answer are written. It reports false for a request with a header that has
// the generic chain do something else than it does with most.
func negotiate(header http.Header, proxyHeaders []string) (body, answer format, ok bool) {
	for name, values := range header {
		switch name {
		case "Accept", "Content-Type", "Authorization":
			if len(values) != 1 {
				return 0, 0, false
			}
		case "User-Agent":
			// The generic chain indents JSON for curl, Wget and browsers.
			if indented(values[0]) {
				return 0, 0, false
			}
		case "Origin", "Upgrade", "Sec-Websocket-Protocol":
			return 0, 0, false
		default:
			if strings.HasPrefix(name, "Impersonate-") || strings.HasPrefix(name, "X-Remote-") || slices.Contains(proxyHeaders, name) {
				return 0, 0, false
			}
		}
	}
	if body, ok = contentTypes[header.Get("Content-Type")]; !ok {
		return 0, 0, false
	}
	answer, ok = accepts[header.Get("Accept")]
	return body, answer, ok
}

func indented(userAgent string) bool {
	return strings.HasPrefix(userAgent, "curl") || strings.HasPrefix(userAgent, "Wget") || strings.HasPrefix(userAgent, "Mozilla/5.0")
}

// format is how an object is written.
type format int

const (
	inJSON format = iota
	inProtobuf
)

// The headers of the clients there are. With any other, the generic chain negotiates.
var (
	contentTypes = map[string]format{
		"":                                    inJSON,
		"application/json":                    inJSON,
		"application/vnd.kubernetes.protobuf": inProtobuf,
	}
	accepts = map[string]format{
		"":                                    inJSON,
		"*/*":                                 inJSON,
		"application/json":                    inJSON,
		"application/json, */*":               inJSON,
		"application/json;q=1.0,*/*;q=0.1":    inJSON,
		"application/vnd.kubernetes.protobuf": inProtobuf,
		"application/vnd.kubernetes.protobuf, */*":                   inProtobuf,
		"application/vnd.kubernetes.protobuf,application/json":       inProtobuf,
		"application/vnd.kubernetes.protobuf,application/json;q=0.9": inProtobuf,
	}
)
