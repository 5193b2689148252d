package authentication

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	authenticationv1beta1 "k8s.io/api/authentication/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/endpoints/handlers/negotiation"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/mintmark/mintmark/internal/tokenreview"
)

// WebhookPath is the path that a kube-apiserver's token webhook is configured with. It takes v1 and v1beta1; the API itself has
// only v1, as a kube-apiserver's.
const WebhookPath = "/authenticate"

// maxReview is the longest body that is read. The limit is that of all objects of the API.
const maxReview = 3 << 20

// Webhook answers the webhook calls of a kube-apiserver: TokenReview in v1 or v1beta1, answered in the version received.
type Webhook struct {
	reviewer *tokenreview.Reviewer
	codecs   serializer.CodecFactory
}

var _ http.Handler = (*Webhook)(nil)

// NewWebhook returns the handler for WebhookPath.
func NewWebhook(reviewer *tokenreview.Reviewer) *Webhook {
	s := runtime.NewScheme()
	utilruntime.Must(authenticationv1.AddToScheme(s))
	utilruntime.Must(authenticationv1beta1.AddToScheme(s))
	// Errors are a Status of the core group.
	metav1.AddToGroupVersion(s, metav1.Unversioned)
	return &Webhook{reviewer: reviewer, codecs: serializer.NewCodecFactory(s)}
}

// ServeHTTP reviews a token.
func (h *Webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, gv, err := h.review(w, r)
	if err != nil {
		responsewriters.ErrorNegotiated(err, h.codecs, authenticationv1.SchemeGroupVersion, w, r)
		return
	}
	responsewriters.WriteObjectNegotiated(h.codecs, negotiation.DefaultEndpointRestrictions, gv, w, r, http.StatusCreated, answer, false)
}

func (h *Webhook) review(w http.ResponseWriter, r *http.Request) (runtime.Object, schema.GroupVersion, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, schema.GroupVersion{}, apierrors.NewMethodNotSupported(authenticationv1.Resource("tokenreviews"), r.Method)
	}
	obj, err := h.read(r)
	if err != nil {
		return nil, schema.GroupVersion{}, err
	}
	switch asked := obj.(type) {
	case *authenticationv1.TokenReview:
		status, err := h.verdict(r, &asked.Spec)
		return &authenticationv1.TokenReview{Status: status}, authenticationv1.SchemeGroupVersion, err
	case *authenticationv1beta1.TokenReview:
		status, err := h.verdict(r, &authenticationv1.TokenReviewSpec{Token: asked.Spec.Token, Audiences: asked.Spec.Audiences})
		return &authenticationv1beta1.TokenReview{Status: older(status)}, authenticationv1beta1.SchemeGroupVersion, err
	}
	return nil, schema.GroupVersion{}, apierrors.NewBadRequest(fmt.Sprintf("not a TokenReview: %T", obj))
}

// read reads the object in the body. Errors don't repeat the body, which holds a token.
func (h *Webhook) read(r *http.Request) (runtime.Object, error) {
	info, err := negotiation.NegotiateInputSerializer(r, false, h.codecs)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxReview))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", maxReview))
	case err != nil:
		return nil, apierrors.NewBadRequest("the body can't be read")
	}
	obj, _, err := info.Serializer.Decode(body, nil, nil)
	switch {
	case err == nil:
		return obj, nil
	case runtime.IsMissingKind(err):
		return nil, apierrors.NewBadRequest("Object 'Kind' is missing")
	case runtime.IsMissingVersion(err):
		return nil, apierrors.NewBadRequest("Object 'apiVersion' is missing")
	}
	return nil, apierrors.NewBadRequest(err.Error())
}

// verdict reviews a token. A refusal names the audiences that were asked for: the webhook client compares audiences first and
// drops the reason of a refusal without them.
func (h *Webhook) verdict(r *http.Request, spec *authenticationv1.TokenReviewSpec) (authenticationv1.TokenReviewStatus, error) {
	status, err := h.reviewer.Review(r.Context(), spec)
	if err == nil && !status.Authenticated {
		status.Audiences = spec.Audiences
	}
	return status, err
}

// older returns a status in v1beta1.
func older(status authenticationv1.TokenReviewStatus) authenticationv1beta1.TokenReviewStatus {
	out := authenticationv1beta1.TokenReviewStatus{
		Authenticated: status.Authenticated,
		Audiences:     status.Audiences,
		Error:         status.Error,
		User: authenticationv1beta1.UserInfo{
			Username: status.User.Username,
			UID:      status.User.UID,
			Groups:   status.User.Groups,
		},
	}
	for key, values := range status.User.Extra {
		if out.User.Extra == nil {
			out.User.Extra = map[string]authenticationv1beta1.ExtraValue{}
		}
		out.User.Extra[key] = authenticationv1beta1.ExtraValue(values)
	}
	return out
}

// WebhookRequests makes requests to WebhookPath count as create of tokenreviews.authentication.k8s.io, so that they are
// authorized, audited and limited as reviews of tokens.
type WebhookRequests struct {
	genericapirequest.RequestInfoResolver
}

// NewRequestInfo returns the resource and the verb of a request.
func (w WebhookRequests) NewRequestInfo(r *http.Request) (*genericapirequest.RequestInfo, error) {
	if r.Method != http.MethodPost || r.URL.Path != WebhookPath {
		return w.RequestInfoResolver.NewRequestInfo(r)
	}
	return &genericapirequest.RequestInfo{
		IsResourceRequest: true,
		Path:              r.URL.Path,
		Verb:              "create",
		APIPrefix:         "apis",
		APIGroup:          authenticationv1.GroupName,
		APIVersion:        authenticationv1.SchemeGroupVersion.Version,
		Resource:          "tokenreviews",
		Parts:             []string{"tokenreviews"},
	}, nil
}
