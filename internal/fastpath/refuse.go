package fastpath

import (
	"net/http"

	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/plainjson"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// forbid answers a caller who may not do this, unless the answer can't be recorded: then the generic chain does. The answer costs
// less than a review.
func (h *Handler) forbid(c *call, decided authorizer.Decision) {
	if !h.auditReceived(c) {
		return
	}
	c.beginAnswer()
	if c.audit.Enabled() {
		c.annotateDecision("forbid")
	}
	if c.audit.Enabled() || c.arrival.accepted != inJSON {
		h.Forbidden(&c.decision.attributes, c.writer, c.request, c.decision.reason)
	} else {
		c.writeForbidden()
	}
	h.completeRefusal(c, http.StatusForbidden)
	h.metrics.countRefused(c, decided)
}

// writeForbidden writes what the library would, without its encoders, which cost more than a review.
func (c *call) writeForbidden() {
	status := responsewriters.ForbiddenStatusError(&c.decision.attributes, c.decision.reason).Status()
	w := plainjson.Writer(c.payload.body.out)
	w.Raw(`{"kind":"Status","apiVersion":"v1","metadata":{}`)
	w.Member("status", status.Status)
	w.Member("message", status.Message)
	w.Member("reason", string(status.Reason))
	w.Raw(`,"details":{`)
	w.Member("name", status.Details.Name)
	w.Member("group", status.Details.Group)
	w.Member("kind", status.Details.Kind)
	w.Raw(`},"code":`)
	w.Int(int64(status.Code))
	w.Raw("}\n")
	c.payload.body.out = w
	c.writer.Header()["X-Content-Type-Options"] = noSniff
	c.writeRefusal(http.StatusForbidden)
}

// writeRefusal sends an answer in JSON.
func (c *call) writeRefusal(status int) {
	c.writer.Header()["Content-Type"] = contentType[inJSON]
	c.writer.WriteHeader(status)
	_, _ = c.writer.Write(c.payload.body.out) //nolint:gosec // JSON, and marked as that; a client that is gone gets no answer
}

var noSniff = []string{"nosniff"}

// refuseUnknown answers a caller whose token is refused. It reports false where the generic chain is to answer: if requests are
// recorded or traced, if a token got no verdict, and over HTTP/2, where the connection ends with the answer.
func (h *Handler) refuseUnknown(c *call) bool {
	err := c.caller.err
	if err == nil || len(*c.warned) > 0 || c.audit != nil || h.traced != nil || c.arrival.accepted != inJSON || c.request.ProtoMajor != 1 ||
		tokenreview.NoVerdict(err) != nil || c.request.Context().Err() != nil {
		return false
	}
	klog.FromContext(c.request.Context()).Error(err, "Unable to authenticate the request")
	h.Turns.Unknown(c.request)
	c.beginAnswer()
	c.payload.body.out = append(c.payload.body.out, unauthorized...)
	c.writeRefusal(http.StatusUnauthorized)
	h.metrics.countUnknown(c)
	return true
}

// unauthorized is what the library writes to a caller who is not known.
const unauthorized = `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}` + "\n"

// shed answers a request that had no turn, before its body is read. It reports false where the generic chain is to.
func (h *Handler) shed(c *call) bool {
	if !h.auditReceived(c) {
		return false
	}
	c.beginAnswer()
	a := &c.decision.attributes
	h.TooMany(c.writer, c.request, &genericapirequest.RequestInfo{
		IsResourceRequest: true, Path: a.Path, Verb: a.Verb, APIGroup: a.APIGroup, APIVersion: a.APIVersion,
		Namespace: a.Namespace, Resource: a.Resource, Subresource: a.Subresource, Name: a.Name,
	})
	h.completeRefusal(c, http.StatusTooManyRequests)
	h.metrics.countCaller(c)
	return true
}

func (h *Handler) completeRefusal(c *call, status int32) {
	c.answer.complete = true
	if c.audit.Enabled() {
		h.recordAnswer(c, status)
	}
}
