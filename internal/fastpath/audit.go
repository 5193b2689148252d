package fastpath

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/types"
	auditapi "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
)

// auditHeader names the request in its answer, and in its own header if the client has a name for it.
const auditHeader = "Audit-Id"

// newAuditID returns an id for a request. It has to be unique and is no secret.
func newAuditID() string {
	var id uuid.UUID
	for i := range 2 {
		n := rand.Uint64() //nolint:gosec // an id may be guessed
		for j := range 8 {
			id[8*i+j] = byte(n >> (8 * j))
		}
	}
	id[6] = id[6]&0x0f | 0x40 // version 4 and its variant (RFC 9562)
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

// The annotations of the generic chain's authorization.
const (
	decisionAnnotation = "authorization.k8s.io/decision"
	reasonAnnotation   = "authorization.k8s.io/reason"
)

// beginAudit has annotations kept from now on.
func (h *Handler) beginAudit(c *call) {
	if h.Audit == nil || h.AuditPolicy == nil {
		return
	}
	c.request = c.request.WithContext(audit.WithAuditContext(c.request.Context()))
	c.audit = audit.AuditContextFrom(c.request.Context())
}

// identifyAudit begins the record of a request whose caller is known. The record is not sent before the answer is certain to
// come from here: for a request that is handed over, the generic chain sends its own.
func (h *Handler) identifyAudit(c *call) {
	if c.audit == nil {
		return
	}
	h.describe(c.request.Context(), c)
}

// describe puts caller and request into the record of a context.
func (h *Handler) describe(ctx context.Context, c *call) {
	audit.WithAuditID(ctx, types.UID(c.arrival.auditID))
	// The record is a new one, so this can't fail.
	_ = audit.AuditContextFrom(ctx).Init(h.AuditPolicy.EvaluatePolicyRule(&c.decision.attributes), h.Audit)
	audit.LogRequestMetadata(ctx, c.request, c.arrival.at, &c.decision.attributes)
}

// auditReceived sends the record that the request has come, as it was then. It reports false if that can't be recorded.
func (h *Handler) auditReceived(c *call) bool {
	if c.audit == nil {
		return true
	}
	audit.ObservePolicyLevel(c.request.Context(), c.audit.GetEventLevel())
	if !c.audit.Enabled() {
		return true
	}
	received := audit.WithAuditContext(context.Background())
	audit.AddAuditAnnotationsMap(received, c.caller.annotations)
	h.describe(received, c)
	return audit.AuditContextFrom(received).ProcessEventStage(received, auditapi.StageRequestReceived)
}

// auditComplete sends the record that the request has been answered.
func (h *Handler) auditComplete(c *call) bool {
	if !c.audit.Enabled() {
		return true
	}
	c.annotateDecision("allow")
	h.recordAnswer(c, http.StatusCreated)
	return true
}

func (c *call) annotateDecision(decision string) {
	audit.AddAuditAnnotations(c.request.Context(), decisionAnnotation, decision, reasonAnnotation, c.decision.reason)
}

// recordAnswer sends the record of an answer with that status.
func (h *Handler) recordAnswer(c *call, status int32) {
	ctx := c.request.Context()
	c.audit.SetEventResponseStatusCode(status)
	if total := time.Since(c.arrival.at); total > slow {
		audit.AddAuditAnnotationsMap(ctx, c.latencies(total))
	}
	c.audit.ProcessEventStage(ctx, auditapi.StageResponseComplete)
}

// slow is how long a request takes before its record says where the time went.
const slow = 500 * time.Millisecond

// latencies are the annotations of a slow request. How an answer is made and written is not told apart.
func (c *call) latencies(total time.Duration) map[string]string {
	const prefix = "apiserver.latency.k8s.io/"
	answering := time.Since(c.answer.at).String()
	return map[string]string{
		prefix + "total":                     total.String(),
		prefix + "authentication":            c.caller.at.Sub(c.arrival.at).String(),
		prefix + "authorization":             c.decision.at.Sub(c.caller.at).String(),
		prefix + "transform-response-object": answering,
		prefix + "serialize-response-object": answering,
		prefix + "response-write":            answering,
	}
}
