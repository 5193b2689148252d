package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/forgery"
	"github.com/mintmark/mintmark/internal/scheme"
	"github.com/mintmark/mintmark/internal/testclock"
	"github.com/mintmark/mintmark/internal/tokenrequest"
)

// Paths that only an ephemeral server has. The administrator alone may use them, unless RBAC grants them.
const (
	// ForgePath makes bad tokens: POST a forgery.Request. GET lists the kinds.
	ForgePath = "/testing/tokens"
	// ClockPath tells the time of the server (GET), and moves it forward: POST {"advance": "1h"}.
	ClockPath = "/testing/clock"
)

// maxTestingBody is the longest body that is read there.
const maxTestingBody = 1 << 20

// installTesting serves the paths that are for tests.
func installTesting(server *genericapiserver.GenericAPIServer, c *testclock.Clock, issuer *tokenrequest.Issuer, keys *keys, handler http.Handler) error {
	client, err := newOwnGroupClient(handler)
	if err != nil {
		return err
	}
	forger := forgery.New(forgery.Config{
		Issue: func(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest) error {
			return issuer.Issue(ctx, namespace, name, request, func(context.Context, *authenticationv1.TokenRequest) error { return nil })
		},
		Sign: keys.ring.Sign,
		KeySet: func() ([]byte, error) {
			published, err := keys.ring.Published()
			if err != nil {
				return nil, err
			}
			return published.KeySet, nil
		},
		Revoke: func(ctx context.Context, token string) error { return revokeToken(ctx, client, token) },
	})
	server.Handler.NonGoRestfulMux.UnlistedHandle(ForgePath, testingHandler(
		func(context.Context) any { return ListForgedKinds() },
		func(ctx context.Context, asked *forgery.Request) (any, error) {
			token, err := forger.Forge(ctx, *asked)
			if errors.Is(err, forgery.ErrKind) {
				return nil, apierrors.NewBadRequest(err.Error())
			}
			return ForgedToken{Token: token}, err
		}))
	server.Handler.NonGoRestfulMux.UnlistedHandle(ClockPath, testingHandler(
		func(context.Context) any { return ClockTime{Now: c.Now()} },
		func(_ context.Context, asked *ClockAdvance) (any, error) {
			by, err := time.ParseDuration(asked.Advance)
			if err != nil || by < 0 {
				return nil, apierrors.NewBadRequest(`advance must be a duration that is not negative, such as "1h30m"`)
			}
			c.Advance(by)
			return ClockTime{Now: c.Now()}, nil
		}))
	return nil
}

func revokeToken(ctx context.Context, client rest.Interface, token string) error {
	revocation := &mintmarkv1alpha1.TokenRevocation{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "forged-"}, Spec: mintmarkv1alpha1.TokenRevocationSpec{Token: token},
	}
	return client.Post().Resource("tokenrevocations").Body(revocation).Do(controller.WithoutBodies(ctx)).Error()
}

// ForgedToken is the answer to a forgery.Request.
type ForgedToken struct {
	Token string `json:"token"`
}

// ForgedKinds is the list of the kinds of forged tokens.
type ForgedKinds struct {
	Kinds []ForgedKind `json:"kinds"`
}

// ForgedKind is a kind of forged tokens.
type ForgedKind struct {
	Kind    string `json:"kind"`
	Meaning string `json:"meaning"`
	// NeedsReview says that only a review by the server can tell that the token is bad.
	NeedsReview bool `json:"needsReview"`
}

// ClockTime is the time of the server.
type ClockTime struct {
	Now time.Time `json:"now"`
}

// ClockAdvance moves the time of the server.
type ClockAdvance struct {
	// Advance is a duration as Go writes it.
	Advance string `json:"advance"`
}

// ListForgedKinds returns all kinds of forged tokens.
func ListForgedKinds() ForgedKinds {
	var list ForgedKinds
	for _, kind := range forgery.Kinds() {
		list.Kinds = append(list.Kinds, ForgedKind{Kind: kind.Name, Meaning: kind.Meaning, NeedsReview: kind.Live})
	}
	return list
}

// testingHandler answers GET and POST in JSON.
func testingHandler[T any](get func(context.Context) any, post func(context.Context, *T) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var answer any
		var err error
		switch r.Method {
		case http.MethodGet:
			answer = get(r.Context())
		case http.MethodPost:
			asked := new(T)
			if err = readTesting(r, asked); err == nil {
				answer, err = post(r.Context(), asked)
			}
		default:
			err = apierrors.NewMethodNotSupported(mintmarkv1alpha1.Resource(strings.TrimPrefix(r.URL.Path, "/")), r.Method)
		}
		if err != nil {
			responsewriters.ErrorNegotiated(err, scheme.Codecs, mintmarkv1alpha1.SchemeGroupVersion, w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(answer) // a client that is gone can't be told
	})
}

func readTesting(r *http.Request, into any) error {
	decoder := json.NewDecoder(io.LimitReader(r.Body, maxTestingBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return apierrors.NewBadRequest("the body must be JSON of the form that docs/testing.md gives: " + err.Error())
	}
	return nil
}
