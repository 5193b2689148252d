package authentication_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authenticationv1beta1 "k8s.io/api/authentication/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	clientscheme "k8s.io/client-go/kubernetes/scheme"

	"github.com/mintmark/mintmark/internal/registry/authentication"
	"github.com/mintmark/mintmark/internal/scheme"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

const fuzzToken = "the-one-good-token"

var reviewTypes = []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"}

// FuzzTokenReviewBody sends bodies of TokenReviews in every encoding: to the path for webhooks, and through the decoder
// of the API. Nothing crashes, every answer can be read, and nobody but the one good token gets in.
func FuzzTokenReviewBody(f *testing.F) {
	for _, body := range []string{
		`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"` + fuzzToken + `"}}`,
		`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1beta1","spec":{"token":"` + fuzzToken + `","audiences":["a","b"]}}`,
		`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"other"},"status":{"authenticated":true,"user":{"username":"me"}}}`,
		`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":" "}}`,
		`{"spec":{"token":"x"}}`, `{"spec":{"token":"x","token":"y"}}`, `[]`, `null`, "",
		"kind: TokenReview\napiVersion: authentication.k8s.io/v1\nspec:\n  token: " + fuzzToken + "\n",
		"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
		strings.Repeat("[", 1000),
	} {
		for kind := range reviewTypes {
			f.Add(uint8(kind), []byte(body))
		}
	}
	encoder := protobuf.NewSerializer(clientscheme.Scheme, clientscheme.Scheme)
	for _, review := range []runtime.Object{
		&authenticationv1.TokenReview{TypeMeta: metav1.TypeMeta{Kind: "TokenReview", APIVersion: "authentication.k8s.io/v1"}, Spec: authenticationv1.TokenReviewSpec{Token: fuzzToken}},
		&authenticationv1beta1.TokenReview{
			TypeMeta: metav1.TypeMeta{Kind: "TokenReview", APIVersion: "authentication.k8s.io/v1beta1"},
			Spec:     authenticationv1beta1.TokenReviewSpec{Token: "x", Audiences: []string{"a"}},
		},
	} {
		body, err := runtime.Encode(encoder, review)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(2), body)
	}
	reviewer := tokenreview.New(tokenreview.Config{
		APIAudiences: authenticator.Audiences{"api"},
		Authenticator: authenticator.TokenFunc(func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
			asked, _ := authenticator.AudiencesFrom(ctx)
			if token != fuzzToken {
				return nil, false, nil
			}
			return &authenticator.Response{User: &user.DefaultInfo{Name: "good"}, Audiences: asked}, true, nil
		}),
	})
	handler := authentication.NewWebhook(reviewer)
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		contentType := reviewTypes[int(kind)%len(reviewTypes)]
		toWebhook(t, handler, contentType, body)
		toAPI(t, reviewer, contentType, body)
	})
}

func toWebhook(t *testing.T, handler http.Handler, contentType string, body []byte) {
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, authentication.WebhookPath, bytes.NewReader(body))
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Accept", "application/json")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	var review authenticationv1.TokenReview
	switch answer.Code {
	case http.StatusCreated:
		if err := json.Unmarshal(answer.Body.Bytes(), &review); err != nil {
			t.Fatalf("%v: %s", err, answer.Body)
		}
		checkVerdict(t, body, review.Status)
	default:
		var status metav1.Status
		if err := json.Unmarshal(answer.Body.Bytes(), &status); err != nil || int(status.Code) != answer.Code || answer.Code >= http.StatusInternalServerError {
			t.Fatalf("%d %s", answer.Code, answer.Body)
		}
	}
}

func toAPI(t *testing.T, reviewer *tokenreview.Reviewer, contentType string, body []byte) {
	info, ok := runtime.SerializerInfoForMediaType(scheme.Serializer.SupportedMediaTypes(), contentType)
	if !ok {
		t.Fatal(contentType)
	}
	decoder := scheme.Serializer.DecoderToVersion(info.StrictSerializer, authenticationv1.SchemeGroupVersion)
	defaults := authenticationv1.SchemeGroupVersion.WithKind("TokenReview")
	sent := bytes.Clone(body)
	obj, _, err := decoder.Decode(bytes.Clone(body), &defaults, &authenticationv1.TokenReview{})
	if err != nil {
		return
	}
	review, ok := obj.(*authenticationv1.TokenReview)
	if !ok {
		t.Fatalf("%T", obj)
	}
	status, err := reviewer.Review(t.Context(), &review.Spec)
	if err == nil {
		checkVerdict(t, sent, status)
	}
}

// checkVerdict checks that what gets in is in the body, and that a refusal has a reason and no user.
func checkVerdict(t *testing.T, body []byte, status authenticationv1.TokenReviewStatus) {
	if status.Authenticated {
		if status.User.Username != "good" || status.Error != "" {
			t.Fatalf("%+v", status)
		}
		return
	}
	if status.Error == "" || status.User.Username != "" {
		t.Fatalf("%+v for %q", status, body)
	}
}
