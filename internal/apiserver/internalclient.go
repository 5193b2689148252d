package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	oauthv1 "github.com/openshift/api/oauth/v1"
	"golang.org/x/sync/singleflight"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/scheme"
)

// internalKey marks the context of a request that the server makes of itself. No request from outside can carry it.
type internalKey struct{}

// internalUser authenticates the internal requests as the server itself.
type internalUser struct{}

// isInternal reports whether the server makes the request of itself.
func isInternal(request *http.Request) bool { return request.Context().Value(internalKey{}) != nil }

// AuthenticateRequest knows the requests of the server's own components.
func (internalUser) AuthenticateRequest(request *http.Request) (*authenticator.Response, bool, error) {
	if !isInternal(request) {
		return nil, false, nil
	}
	return &authenticator.Response{User: &user.DefaultInfo{
		Name:   user.APIServerUser,
		Groups: []string{user.AllAuthenticated, user.SystemPrivilegedGroup},
	}}, true, nil
}

// newInternalClients returns the clients of the server's own components: of Kubernetes' API, of oauth.openshift.io, and of
// the metadata of any object. Their requests pass the whole chain of the server, audit included, and no network.
func newInternalClients(handler http.Handler) (kubernetes.Interface, rest.Interface, metadata.Interface, error) {
	config := internalConfig(handler)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, nil, err
	}
	objects, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, nil, nil, err
	}
	config.APIPath, config.GroupVersion, config.NegotiatedSerializer = "/apis", &oauthv1.GroupVersion, scheme.Codecs.WithoutConversion()
	oauth, err := rest.RESTClientFor(config)
	return client, oauth, objects, err
}

// newOwnGroupClient returns the client of the server's own components for mintmark.io, which is JSON.
func newOwnGroupClient(handler http.Handler) (rest.Interface, error) {
	config := internalConfig(handler)
	config.ContentType = runtime.ContentTypeJSON
	config.APIPath, config.GroupVersion, config.NegotiatedSerializer = "/apis", &mintmarkv1alpha1.SchemeGroupVersion, scheme.Codecs.WithoutConversion()
	return rest.RESTClientFor(config)
}

// internalConfig is the connection of a component to the server that it is part of.
func internalConfig(handler http.Handler) *rest.Config {
	return &rest.Config{
		Host:          "https://mintmark.internal",
		Transport:     inProcess{handler},
		QPS:           -1,
		UserAgent:     "mintmark",
		ContentConfig: rest.ContentConfig{ContentType: runtime.ContentTypeProtobuf},
	}
}

// inProcess carries requests to a handler in the same process. It waits for the whole answer, so it is not for watches.
type inProcess struct{ handler http.Handler }

// internalContext is the context of an internal request: it ends with another context and carries nothing of it but the mark.
// An internal request that is made while one from outside is answered has its own audit record, log line and user.
type internalContext struct{ context.Context }

// Value knows the mark alone.
func (internalContext) Value(key any) any {
	if key == (internalKey{}) {
		return true
	}
	return nil
}

// RoundTrip answers a request, unless it comes from a controller that runs on another replica by now.
func (t inProcess) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := controller.Leading(request.Context()); err != nil {
		return nil, err
	}
	inner := request.Clone(internalContext{request.Context()})
	inner.RequestURI, inner.RemoteAddr = request.URL.RequestURI(), "127.0.0.1:0"
	if inner.Body == nil {
		inner.Body = http.NoBody
	}
	recorded := &recordedResponse{header: http.Header{}}
	t.handler.ServeHTTP(recorded, inner)
	recorded.WriteHeader(http.StatusOK)
	return &http.Response{
		Status:        http.StatusText(recorded.status),
		StatusCode:    recorded.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        recorded.header,
		Body:          io.NopCloser(&recorded.body),
		ContentLength: int64(recorded.body.Len()),
		Request:       request,
	}, nil
}

// recordedResponse keeps what a handler writes.
type recordedResponse struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is the header of the answer.
func (r *recordedResponse) Header() http.Header { return r.header }

// WriteHeader keeps the first status.
func (r *recordedResponse) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

// Write keeps a part of the body.
func (r *recordedResponse) Write(part []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(part)
}

// Flush does nothing: the answer is kept whole.
func (r *recordedResponse) Flush() {}

// lateHandler is a handler that is set after its clients have been built.
type lateHandler struct{ http.Handler }

// Times of a note on a secret: how long the verdict about its token waits for the note, and how long the note may take. At
// most maxNotes are written at a time.
const (
	noteWait    = 100 * time.Millisecond
	noteTimeout = 5 * time.Second
	maxNotes    = 16
)

// markUsed returns the function that notes on a secret the day on which its token was last used. The uid makes sure that
// it is that secret. The note is written in the background, one at a time for each secret: a verdict waits for it for a
// moment, so that who looks at the secret next sees it, but not for a store that hangs.
func markUsed(client kubernetes.Interface) func(ctx context.Context, namespace, name, uid, day string) error {
	var flight singleflight.Group
	places := make(chan struct{}, maxNotes)
	return func(ctx context.Context, namespace, name, uid, day string) error {
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
			"uid":    uid,
			"labels": map[string]string{boundobject.LastUsedLabel: day},
		}})
		if err != nil {
			return err
		}
		done := flight.DoChan(namespace+"/"+name, func() (any, error) {
			select {
			case places <- struct{}{}:
				defer func() { <-places }()
			default:
				return nil, nil // a later use is noted
			}
			// The answer is the secret, with the token in it.
			ctx, cancel := context.WithTimeout(controller.WithoutBodies(context.WithoutCancel(ctx)), noteTimeout)
			defer cancel()
			_, err := client.CoreV1().Secrets(namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
			return nil, err
		})
		timer := time.NewTimer(noteWait)
		defer timer.Stop()
		select {
		case result := <-done:
			return result.Err
		case <-timer.C:
			return nil // a failure shows at the next use
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
