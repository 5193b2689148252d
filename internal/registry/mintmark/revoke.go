package mintmark

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/klog/v2"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/registry"
)

// RevokePath is the path of OAuth 2.0 token revocation (RFC 7009).
const RevokePath = "/oauth/revoke"

// maxForm is the longest body that is read there. A token may fill all headers of a request.
const maxForm = 1 << 20

// Revoke serves POST /oauth/revoke. Whoever sends a good token holds it, and so may take it back, with or without a further
// credential.
type Revoke struct{ revocations *tokenRevocations }

var _ http.Handler = (*Revoke)(nil)

// NewRevoke returns the handler for RevokePath, which stores in the API group.
func NewRevoke(group registry.Group) *Revoke {
	return &Revoke{group.Resources["tokenrevocations"].(*tokenRevocations)}
}

// refusal is an error of RFC 6749 section 5.2 with its status.
type refusal struct {
	status            int
	code, description string
}

var (
	errMethod      = &refusal{http.StatusMethodNotAllowed, "invalid_request", "use POST"}
	errQuery       = &refusal{http.StatusBadRequest, "invalid_request", "put the parameters into the body: addresses are logged"}
	errForm        = &refusal{http.StatusBadRequest, "invalid_request", "the body must be a form: application/x-www-form-urlencoded, of at most 1 MiB"}
	errToken       = &refusal{http.StatusBadRequest, "invalid_request", "the parameter token must stand in the body, once, and no other parameter twice"}
	errCredential  = &refusal{http.StatusUnauthorized, "invalid_client", "the credential of the request is not accepted; the token alone is enough"}
	errUnavailable = &refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "the token is not revoked, please try again"}
)

// ServeHTTP takes a token back.
func (h *Revoke) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	refused := h.serve(r)
	if refused == nil {
		w.WriteHeader(http.StatusOK)
		return
	}
	switch refused {
	case errMethod:
		header.Set("Allow", http.MethodPost)
	case errCredential:
		header.Set("Www-Authenticate", "Bearer")
	case errUnavailable:
		header.Set("Retry-After", "1")
	}
	header.Set("Content-Type", "application/json")
	w.WriteHeader(refused.status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": refused.code, "error_description": refused.description})
}

func (h *Revoke) serve(r *http.Request) *refusal {
	form, refused := readForm(r)
	if refused != nil {
		return refused
	}
	token := strings.TrimSpace(form.Get("token"))
	// A client that asks again presents what was taken back meanwhile.
	if CredentialRefused(r.Context()) && token != presented(r.Context()) || form.Get("client_secret") != "" {
		return errCredential
	}
	if strings.ContainsAny(token, " \t\r\n") {
		return nil // such a text is nobody's token
	}
	holder, err := h.revocations.holder(r.Context(), token)
	if err != nil {
		return errUnavailable
	}
	if holder == nil {
		return nil
	}
	return h.revoke(r.Context(), token, holder)
}

// revoke stores the revocation of a good token, for its holder if the request has no other credential.
func (h *Revoke) revoke(ctx context.Context, token string, holder user.Info) *refusal {
	if caller, ok := genericapirequest.UserFrom(ctx); !ok || slices.Contains(caller.GetGroups(), user.AllUnauthenticated) {
		ctx = genericapirequest.WithUser(ctx, holder)
	}
	ctx = genericapirequest.WithNamespace(ctx, metav1.NamespaceNone)
	entry := &mintmarkv1alpha1.TokenRevocation{Spec: mintmarkv1alpha1.TokenRevocationSpec{Token: token, Reason: "revoked at " + RevokePath}}
	_, err := h.revocations.Create(ctx, entry, nil, &metav1.CreateOptions{})
	if err == nil {
		return nil
	}
	// Another request may have been faster.
	if holder, unknown := h.revocations.holder(ctx, token); unknown == nil && holder == nil {
		return nil
	}
	klog.FromContext(ctx).Error(err, "A token can't be revoked")
	return errUnavailable
}

func readForm(r *http.Request) (url.Values, *refusal) {
	if r.Method != http.MethodPost {
		return nil, errMethod
	}
	if r.URL.RawQuery != "" {
		return nil, errQuery
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, errForm
	}
	r.Body = http.MaxBytesReader(nil, r.Body, maxForm)
	if r.ParseForm() != nil {
		return nil, errForm
	}
	for _, values := range r.PostForm {
		if len(values) != 1 {
			return nil, errToken
		}
	}
	if strings.TrimSpace(r.PostForm.Get("token")) == "" {
		return nil, errToken
	}
	return r.PostForm, nil
}
