package fastpath

import (
	"context"
	"net/http"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"

	"github.com/mintmark/mintmark/internal/tokenreview"
)

// call is one request on its way through the handler. Calls are used again, so nobody keeps one.
type call struct {
	route    *route
	format   format // of the body
	accepted format // of the answer
	// request is the request with the context of its own.
	request *http.Request
	// credential is what was in the Authorization header.
	credential []string
	deadline   *deadline
	auditID    string

	received, authenticated, authorized, decided time.Time

	// attributes say who wants to do what; reason is why that is allowed.
	attributes authorizer.AttributesRecord
	reason     string
	// audit is the record of the request, nil if there is none, and annotations are those it had when it was known who
	// asks.
	audit       *audit.AuditContext
	annotations map[string]string

	body   body
	review authenticationv1.TokenReview
	// verdict is that about the review.
	verdict tokenreview.Verdict
	token   authenticationv1.TokenRequest
	object  admission.Attributes
	// warned says that the client is to be warned of something. Warnings are headers, which the generic chain writes.
	warned *warnings
	// answered and written say how far it has come.
	answered, written bool
}

var calls = sync.Pool{New: func() any { return &call{body: newBody()} }}

// callKey is the key of the call in the context of a traced request.
type callKey struct{}

// begin returns the call for a request, or nil for one that is not for the fast path.
func (h *Handler) begin(r *http.Request) *call {
	route, namespace, name := h.match(r)
	if route == nil || r.ContentLength > maxBody {
		return nil
	}
	body, answer, ok := negotiate(r.Header, h.ProxyHeaders)
	if !ok {
		return nil
	}
	limit, ok := timeout(r.URL.RawQuery, h.Timeout)
	if !ok {
		return nil
	}
	select {
	case <-h.Stopping:
		return nil
	default:
	}
	c := calls.Get().(*call)
	c.route, c.format, c.accepted = route, body, answer
	c.credential = r.Header["Authorization"]
	c.received = time.Now()
	c.attributes = authorizer.AttributesRecord{
		Verb:            "create",
		Namespace:       namespace,
		APIGroup:        route.resource.Group,
		APIVersion:      route.resource.Version,
		Resource:        route.resource.Resource,
		Subresource:     route.subresource,
		Name:            name,
		ResourceRequest: true,
		Path:            r.URL.Path,
	}
	c.deadline = &deadline{Context: r.Context(), at: c.received.Add(limit)}
	c.warned = new(warnings)
	ctx := warning.WithWarningRecorder(c.deadline, c.warned)
	c.request = r.WithContext(authenticator.WithAudiences(ctx, h.APIAudiences))
	if given := r.Header[auditHeader]; len(given) > 0 && given[0] != "" {
		c.auditID = given[0]
	} else {
		c.auditID = newAuditID()
	}
	return c
}

// end gives back what the call holds.
func (c *call) end() {
	c.deadline.end()
	b := c.body
	b.rest = nil
	b.clear()
	*c = call{body: b}
	if b.small() {
		calls.Put(c)
	}
}

// untouched returns the request as it came, for the generic chain. It has no more time than it had here.
func (c *call) untouched(r *http.Request) *http.Request {
	if c.credential != nil {
		r.Header["Authorization"] = c.credential
	}
	if c.body.rest != nil {
		r.Body = c.body.unread()
	}
	return r.WithContext(c.deadline)
}

// admission is what admission is asked about.
func (c *call) admission() admission.Attributes {
	if c.object == nil {
		a := &c.attributes
		var object runtime.Object = &c.review
		if c.route.reviewer == nil {
			object = &c.token
		}
		c.object = admission.NewAttributesRecord(object, nil, c.route.kind, a.Namespace, a.Name, c.route.resource, a.Subresource,
			admission.Create, &createOptions, false, a.User)
	}
	return c.object
}

// createOptions are those of every request here.
var createOptions metav1.CreateOptions

// traceable returns the request with what the library puts into a span.
func (h *Handler) traceable(c *call) *http.Request {
	a := &c.attributes
	prefix := "api"
	if a.APIGroup != "" {
		prefix = "apis"
	}
	ctx := context.WithValue(c.request.Context(), callKey{}, c)
	ctx = genericapirequest.WithUser(genericapirequest.WithReceivedTimestamp(ctx, c.received), a.User)
	ctx = genericapirequest.WithRequestInfo(ctx, &genericapirequest.RequestInfo{
		IsResourceRequest: true, Path: a.Path, Verb: a.Verb, APIPrefix: prefix, APIGroup: a.APIGroup, APIVersion: a.APIVersion,
		Namespace: a.Namespace, Resource: a.Resource, Subresource: a.Subresource, Name: a.Name,
	})
	if c.audit == nil {
		ctx = audit.WithAuditContext(ctx)
	}
	audit.WithAuditID(ctx, types.UID(c.auditID))
	return c.request.WithContext(ctx)
}
