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

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// call is one request on its way through the handler, with a part for each phase. Calls are pooled, so nothing keeps a
// pointer to one after end.
type call struct {
	route *route
	// request is the request with a context of the call's own.
	request *http.Request
	writer  http.ResponseWriter
	// step is the name of the step that runs, for the log of a panic.
	step string
	// warned records warnings. They become headers of the answer, which the generic chain writes.
	warned *warnings

	arrival  arrival
	caller   caller
	decision decision
	payload  payload
	answer   answer
	// audit holds the audit record; nil if nothing is audited.
	audit *audit.AuditContext
}

// arrival holds the time of the request, and the content of its first line and headers.
type arrival struct {
	at       time.Time
	body     format // how the body is written
	accepted format // how the answer is to be written
	// authorization is the value of the Authorization header, which authenticators delete.
	authorization []string
	deadline      *deadline
	auditID       string
}

// caller is the result of authentication: what the authenticator returned, its warnings and its audit annotations.
type caller struct {
	at          time.Time // zero before authentication
	response    *authenticator.Response
	ok          bool
	err         error
	warnings    warnings
	annotations map[string]string
}

// decision is the result of authorization.
type decision struct {
	at time.Time
	// attributes describe the caller and the request; reason is the authorizer's reason for allowing it.
	attributes authorizer.AttributesRecord
	reason     string
}

// payload is the body, and the object that was decoded from it.
type payload struct {
	body   body
	review authenticationv1.TokenReview
	token  authenticationv1.TokenRequest
	list   v1alpha1.TokenReviewList
	// object is the object as admission is asked about it.
	object admission.Attributes
}

// answer is the result of a review or of a list of them, and how far the answer has got.
type answer struct {
	at      time.Time
	verdict tokenreview.Verdict
	results []tokenreview.Result // of a list
	// complete says that all steps were taken, written that the answer has begun.
	complete, written bool
}

var calls = sync.Pool{New: func() any { return &call{payload: payload{body: newBody()}} }}

// callKey is the key of the call in the context of a traced request.
type callKey struct{}

// begin returns the call for a request, or nil for one that is not for the fast path.
func (h *Handler) begin(r *http.Request) *call {
	route, namespace, name := h.match(r)
	if route == nil || r.ContentLength > int64(route.maxBody) {
		return nil
	}
	body, answer, ok := negotiate(r.Header, h.ProxyHeaders)
	if !ok || route.lists != nil && (body != inJSON || answer != inJSON) {
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
	c.route = route
	c.arrive(r, limit)
	c.arrival.body, c.arrival.accepted = body, answer
	c.decision.attributes = authorizer.AttributesRecord{
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
	c.warned = &c.arrival.deadline.warned
	ctx := warning.WithWarningRecorder(c.arrival.deadline, c.warned)
	c.request = r.WithContext(authenticator.WithAudiences(ctx, h.APIAudiences))
	return c
}

// arrive notes when a request came, by when it has to be answered, and under which name it is audited.
func (c *call) arrive(r *http.Request, limit time.Duration) {
	a := &c.arrival
	a.at = time.Now()
	a.deadline = &deadline{Context: r.Context(), at: a.at.Add(limit)}
	a.authorization = r.Header["Authorization"]
	if given := r.Header[auditHeader]; len(given) > 0 && given[0] != "" {
		a.auditID = given[0]
	} else {
		a.auditID = newAuditID()
	}
}

// end returns the call to the pool.
func (c *call) end() {
	c.arrival.deadline.end()
	b := c.payload.body
	b.rest = nil
	b.clear()
	*c = call{payload: payload{body: b}}
	if b.small() {
		calls.Put(c)
	}
}

// untouched returns the request as it came, for the generic chain. It has no more time than it had here, and the generic
// chain takes the caller from it.
func (c *call) untouched(r *http.Request) *http.Request {
	if c.arrival.authorization != nil {
		r.Header["Authorization"] = c.arrival.authorization
	}
	if c.payload.body.rest != nil {
		r.Body = c.payload.body.unread()
	}
	return r.WithContext(c.handOver(c.arrival.deadline))
}

// admission returns the attributes that admission plugins get.
func (c *call) admission() admission.Attributes {
	if c.payload.object == nil {
		a := &c.decision.attributes
		var object runtime.Object = &c.payload.token
		switch {
		case c.route.lists != nil:
			object = &c.payload.list
		case c.route.reviewer != nil:
			object = &c.payload.review
		}
		c.payload.object = admission.NewAttributesRecord(object, nil, c.route.kind, a.Namespace, a.Name, c.route.resource, a.Subresource,
			admission.Create, &createOptions, false, a.User)
	}
	return c.payload.object
}

// createOptions are the options of every request on the fast path: the zero value.
var createOptions metav1.CreateOptions

// traceable returns the request with the caller and the request's attributes in its context, which the library puts into a
// span.
func (h *Handler) traceable(c *call) *http.Request {
	a := &c.decision.attributes
	prefix := "api"
	if a.APIGroup != "" {
		prefix = "apis"
	}
	ctx := context.WithValue(c.request.Context(), callKey{}, c)
	ctx = genericapirequest.WithUser(genericapirequest.WithReceivedTimestamp(ctx, c.arrival.at), a.User)
	ctx = genericapirequest.WithRequestInfo(ctx, &genericapirequest.RequestInfo{
		IsResourceRequest: true, Path: a.Path, Verb: a.Verb, APIPrefix: prefix, APIGroup: a.APIGroup, APIVersion: a.APIVersion,
		Namespace: a.Namespace, Resource: a.Resource, Subresource: a.Subresource, Name: a.Name,
	})
	if c.audit == nil {
		ctx = audit.WithAuditContext(ctx)
	}
	audit.WithAuditID(ctx, types.UID(c.arrival.auditID))
	return c.request.WithContext(ctx)
}
