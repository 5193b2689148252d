// Package fastpath serves POST /apis/authentication.k8s.io/v1/tokenreviews, the same under oauth.openshift.io,
// POST /apis/mintmark.io/v1alpha1/tokenreviewlists, and POST /api/v1/namespaces/{namespace}/serviceaccounts/{name}/token, in the
// shape in which nearly all clients send them.
//
// The handler stands in front of the generic chain, the library's chain of handlers. It decides nothing: it asks the same
// authenticators, authorizer, admission plugins, reviewers and issuer as the generic chain. It answers with success, and with
// the refusals that a flood of requests consists of: of a caller whose token is refused (401), of one without the right (403), and of
// one who sends more than a fair share (429). A request that it doesn't fully understand, or that is to be refused for another
// reason, is handed over to the generic chain: unchanged, and with the result of authentication.
package fastpath

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/tokenrequest"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// Reviewer decides reviews. An error means that there is no verdict.
type Reviewer interface {
	Decide(ctx context.Context, spec *authenticationv1.TokenReviewSpec) (tokenreview.Verdict, error)
}

// Lists decides the reviews of a TokenReviewList. With an error it decides none.
type Lists interface {
	DecideAll(ctx context.Context, caller user.Info, specs []authenticationv1.TokenReviewSpec) ([]tokenreview.Result, error)
}

// Issuer fills a request with its token, if validate has no objection.
type Issuer interface {
	Issue(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest, validate tokenrequest.Validate) error
}

// Limit is how many requests are answered at a time. Begin reports whether one more may be; if so, End ends it.
type Limit interface {
	Begin() bool
	End()
}

// Turns says when requests may go on while there are more than the server can answer.
type Turns interface {
	// Known returns when a request of a known caller may go on. It reports false for one that is to be shed.
	Known(ctx context.Context, caller user.Info) bool
	// Unknown returns when a request may be refused whose caller is not known.
	Unknown(r *http.Request)
}

// InFlight counts the requests that a stopping server waits for. Add fails when no more may begin.
type InFlight interface {
	Add(delta int) error
	Done()
}

// Config holds the parts that the handler shares with the generic chain.
type Config struct {
	// Next is the generic chain.
	Next http.Handler
	// Stopping is closed when the server has begun to stop. From then on the generic chain answers everything.
	Stopping <-chan struct{}

	Authenticator authenticator.Request
	// APIAudiences are the audiences of which the caller's credential must be good for one.
	APIAudiences authenticator.Audiences
	Authorizer   authorizer.UnconditionalAuthorizer
	Admission    admission.Interface
	// Reviewers decide the reviews that come to a group.
	Reviewers map[schema.GroupVersion]Reviewer
	// Lists decides TokenReviewLists; nil leaves them to the generic chain.
	Lists  Lists
	Issuer Issuer

	Turns    Turns
	Limit    Limit
	InFlight InFlight
	// Forbidden and TooMany write the answers to a caller without the right, and to one whose request is shed.
	Forbidden func(a authorizer.Attributes, w http.ResponseWriter, r *http.Request, reason string)
	TooMany   func(w http.ResponseWriter, r *http.Request, info *genericapirequest.RequestInfo)
	// Timeout is how long a request may take that doesn't say so itself.
	Timeout time.Duration
	// Audit takes the records that AuditPolicy wants; nil if there are none.
	Audit       audit.Sink
	AuditPolicy audit.PolicyRuleEvaluator
	// Trace puts a handler into a span; nil if nothing is traced.
	Trace func(http.Handler) http.Handler
	// ProxyHeaders are the request headers that name the user. Requests with one of them are handed over.
	ProxyHeaders []string
}

// Handler is the fast path.
type Handler struct {
	Config
	traced   http.Handler // nil if nothing is traced
	metrics  *metrics
	reviews  map[string]*route // by path
	requests *route
}

// New returns the handler.
func New(cfg Config) *Handler {
	h := &Handler{Config: cfg, metrics: newMetrics(), reviews: map[string]*route{}}
	for gv, reviewer := range cfg.Reviewers {
		h.addReviews(gv, reviewer)
	}
	if cfg.Lists != nil {
		h.addLists()
	}
	h.addRequests()
	if cfg.Trace != nil {
		h.traced = cfg.Trace(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := r.Context().Value(callKey{}).(*call)
			c.request = r
			c.answer.complete = h.respond(w, c)
		}))
	}
	return h
}

// ServeHTTP answers a request, or has the generic chain answer it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := h.begin(r)
	if c == nil {
		h.Next.ServeHTTP(w, r)
		return
	}
	defer c.end()
	if h.serve(w, c) {
		h.metrics.answered.Inc()
		return
	}
	h.metrics.handedOver.Inc()
	h.Next.ServeHTTP(w, c.untouched(r))
}

// step is one step on the way to an answer. take reports false where the generic chain is to answer; no step before write
// has written anything.
type step struct {
	name string
	take func(*Handler, *call) bool
}

// steps lead from a known caller to an answer, in the order in which the generic chain takes them.
var steps = [...]step{
	{"authorize", (*Handler).authorize},
	{"read the body", (*Handler).readBody},
	{"decode", func(_ *Handler, c *call) bool { return c.decode() }},
	{"admit", (*Handler).admit},
	{"decide", (*Handler).decide},
	{"encode", func(_ *Handler, c *call) bool { return c.encode() }},
	{"audit the arrival", (*Handler).auditReceived},
	{"write", (*Handler).write},
	{"audit the answer", (*Handler).auditComplete},
	{"measure", (*Handler).measure},
}

// serve answers a request: it authenticates the caller and, within a span if there is tracing, takes the steps. It reports
// false, and has written nothing, where the generic chain is to answer.
func (h *Handler) serve(w http.ResponseWriter, c *call) (answered bool) {
	defer func() {
		if crash := recover(); crash != nil {
			// The value may be anything, a token for one, so only its type is logged. If the generic chain panics as well, it
			// answers that itself.
			klog.Background().Error(nil, "The fast path panicked", "step", c.step, "panic", fmt.Sprintf("%T", crash), "stack", string(debug.Stack()))
			answered = c.answer.written
		}
	}()
	if h.InFlight.Add(1) != nil {
		return false
	}
	defer h.InFlight.Done()
	c.writer, c.step = w, "authenticate"
	if !h.authenticate(c) {
		c.step = "refuse the caller"
		return h.refuseUnknown(c)
	}
	if h.traced == nil {
		return h.respond(w, c)
	}
	h.traced.ServeHTTP(w, h.traceable(c))
	return c.answer.complete
}

// respond takes a request from its caller to its answer, when it is its turn and while there is a place for it.
func (h *Handler) respond(w http.ResponseWriter, c *call) bool {
	h.identifyAudit(c)
	c.writer = w
	c.step = "take a turn"
	if !h.Turns.Known(c.request.Context(), c.decision.attributes.User) {
		return h.shed(c)
	}
	if !h.Limit.Begin() {
		return false
	}
	defer h.Limit.End()
	for i := range steps {
		c.step = steps[i].name
		if !steps[i].take(h, c) {
			return c.answer.complete // by a refusal
		}
	}
	return true
}

// authenticate finds out who calls. It reports false for a caller with wrong credentials, or with none.
func (h *Handler) authenticate(c *call) bool {
	h.beginAudit(c)
	from := &c.caller
	from.response, from.ok, from.err = h.Authenticator.AuthenticateRequest(c.request)
	from.at = time.Now()
	from.warnings = *c.warned
	if c.audit != nil {
		from.annotations = c.audit.GetEventAnnotations()
	}
	if from.err != nil || !from.ok || !h.acceptable(from.response.Audiences) || anonymous(from.response.User) || len(*c.warned) > 0 {
		return false
	}
	c.decision.attributes.User = from.response.User
	return true
}

// acceptable reports whether a credential for these audiences is one for this server.
func (h *Handler) acceptable(of authenticator.Audiences) bool {
	return len(h.APIAudiences) == 0 || len(of) == 0 || len(h.APIAudiences.Intersect(of)) > 0
}

func anonymous(u user.Info) bool {
	return u.GetName() == user.Anonymous || slices.Contains(u.GetGroups(), user.AllUnauthenticated)
}

// authorize asks whether the caller may do this. One who may not is told so.
func (h *Handler) authorize(c *call) bool {
	d := &c.decision
	decided, reason, err := h.Authorizer.Authorize(c.request.Context(), &d.attributes)
	d.reason, d.at = reason, time.Now()
	if decided == authorizer.DecisionAllow {
		return true
	}
	if err == nil {
		h.forbid(c, decided)
	}
	return false
}

// admit asks whether this may be done to this object.
func (h *Handler) admit(c *call) bool {
	mutation, ok := h.Admission.(admission.MutationInterface)
	return !ok || !mutation.Handles(admission.Create) || mutation.Admit(c.request.Context(), c.admission(), nil) == nil
}

// validate asks whether this may be done to this object, now that it is complete.
func (h *Handler) validate(ctx context.Context, c *call) error {
	validation, ok := h.Admission.(admission.ValidationInterface)
	if !ok || !validation.Handles(admission.Create) {
		return nil
	}
	return validation.Validate(ctx, c.admission(), nil)
}

// decide has the token reviewed or issued. A verdict that comes too late is none.
func (h *Handler) decide(c *call) bool {
	ctx := c.request.Context()
	var err error
	if c.route.lists != nil {
		if err = h.validate(ctx, c); err == nil {
			c.answer.results, err = c.route.lists.DecideAll(ctx, c.decision.attributes.User, c.payload.list.Spec.Reviews)
		}
		return err == nil && len(*c.warned) == 0 && ctx.Err() == nil
	}
	if reviewer := c.route.reviewer; reviewer != nil {
		if err = h.validate(ctx, c); err == nil {
			c.answer.verdict, err = reviewer.Decide(ctx, &c.payload.review.Spec)
		}
		return err == nil && len(*c.warned) == 0 && ctx.Err() == nil
	}
	err = h.Issuer.Issue(ctx, c.decision.attributes.Namespace, c.decision.attributes.Name, &c.payload.token,
		func(ctx context.Context, _ *authenticationv1.TokenRequest) error { return h.validate(ctx, c) })
	return err == nil && len(*c.warned) == 0 && ctx.Err() == nil
}

// write sends the answer.
func (h *Handler) write(c *call) bool {
	w := c.writer
	header := c.beginAnswer()
	header["Content-Type"] = contentType[c.arrival.accepted]
	w.WriteHeader(http.StatusCreated)
	if len(c.payload.body.out) > buffered {
		late := c.whenLate(func() { _ = http.NewResponseController(w).SetWriteDeadline(past) }) // an error means that there is no connection
		defer late()
	}
	_, _ = w.Write(c.payload.body.out) //nolint:gosec // JSON or protobuf, and marked as that; a client that is gone gets no answer
	return true
}

// beginAnswer sets the headers that all answers have, and returns them.
func (c *call) beginAnswer() http.Header {
	c.answer.at, c.answer.written = time.Now(), true
	header := c.writer.Header()
	header[auditHeader] = []string{c.arrival.auditID}
	header["Cache-Control"] = cacheControl
	return header
}

// Values of headers. They are the same for all answers and not changed.
var (
	cacheControl = []string{"no-cache, private"}
	contentType  = [...][]string{inJSON: {"application/json"}, inProtobuf: {"application/vnd.kubernetes.protobuf"}}
)
