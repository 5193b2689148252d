package apiserver

import (
	"context"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/responsewriter"

	"github.com/mintmark/mintmark/internal/audittrail"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/scheme"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// unavailableKey is the key of a *noVerdict in the context of a request.
type unavailableKey struct{}

// noVerdict is why it could not be found out who makes a request; nil if it could.
type noVerdict struct{ err error }

// noteUnavailable wraps the authenticator of the library's chain, which answers every failure with 401. The audit record gets
// the reason code. A failure that is no refusal is noted for answerUnavailable.
func noteUnavailable(next authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		response, ok, err := next.AuthenticateRequest(r)
		if ok && err == nil {
			return response, true, nil
		}
		audit.AddAuditAnnotation(r.Context(), audittrail.Reason, callerReason(err).String())
		note, known := r.Context().Value(unavailableKey{}).(*noVerdict)
		if why := tokenreview.NoVerdict(err); known && why != nil {
			note.err = why
			audit.AddAuditAnnotation(r.Context(), audittrail.Unavailable, why.Error())
		}
		return response, ok, err
	})
}

// callerReason returns the reason code for a request whose caller is not known.
func callerReason(err error) reason.Code {
	if err == nil {
		return reason.NoCredential
	}
	return tokenreview.CodeOf(err)
}

// answerUnavailable answers 503, or whatever the failure is as an API error, where the library's chain answers 401 to a
// request whose caller could not be found out.
func answerUnavailable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note := &noVerdict{}
		r = r.WithContext(context.WithValue(r.Context(), unavailableKey{}, note))
		instead := func(status int) error {
			if status == http.StatusUnauthorized {
				return note.err
			}
			return nil
		}
		next.ServeHTTP(responsewriter.WrapForHTTP1Or2(&undecided{ResponseWriter: w, request: r, instead: instead}), r)
	})
}

// undecided is the response to a request about which there may be no verdict: a refusal is then replaced.
type undecided struct {
	http.ResponseWriter
	request *http.Request
	// instead returns what is answered in place of a status; nil leaves the answer as it is.
	instead  func(status int) error
	replaced bool
}

// Unwrap returns the writer behind this one.
func (u *undecided) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// WriteHeader sends the header, or the whole answer that replaces a refusal.
func (u *undecided) WriteHeader(status int) {
	err := u.instead(status)
	if err == nil {
		u.ResponseWriter.WriteHeader(status)
		return
	}
	u.replaced = true
	for _, name := range []string{"Content-Length", "Content-Encoding", "Www-Authenticate"} {
		u.Header().Del(name)
	}
	writeUndecided(u.ResponseWriter, u.request, err)
}

// Write sends a part of the body, unless the answer is replaced.
func (u *undecided) Write(part []byte) (int, error) {
	if u.replaced {
		return len(part), nil
	}
	return u.ResponseWriter.Write(part)
}

// writeUndecided answers with an error.
func writeUndecided(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Cache-Control", "no-cache, private")
	responsewriters.ErrorNegotiated(err, scheme.Codecs, schema.GroupVersion{Version: "v1"}, w, r)
}
