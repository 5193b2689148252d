package fastpath_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/mintmark/mintmark/internal/fastpath"
	"github.com/mintmark/mintmark/internal/scheme"
	"github.com/mintmark/mintmark/internal/tokenrequest"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// doors are what a handler works with: they note what they are asked, and answer with what they are told to.
type doors struct {
	spec    *authenticationv1.TokenReviewSpec
	asked   *authenticationv1.TokenRequestSpec
	verdict tokenreview.Verdict
	// issued is what a request becomes.
	issued func(*authenticationv1.TokenRequest)
	// passed is the body of a request that the generic chain gets, nil if it gets none.
	passed        []byte
	authorization string
	// crowded says that no request has a turn.
	crowded bool
}

func (d *doors) Decide(_ context.Context, spec *authenticationv1.TokenReviewSpec) (tokenreview.Verdict, error) {
	d.spec = spec.DeepCopy()
	return d.verdict, nil
}

func (d *doors) Issue(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest, validate tokenrequest.Validate) error {
	d.asked = request.Spec.DeepCopy()
	request.Name, request.Namespace = name, namespace
	d.issued(request)
	return validate(ctx, request)
}

func (*doors) AuthenticateRequest(*http.Request) (*authenticator.Response, bool, error) {
	return &authenticator.Response{User: &user.DefaultInfo{Name: "ann"}}, true, nil
}

func (*doors) Authorize(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	return authorizer.DecisionAllow, "", nil
}

func (d *doors) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	d.passed, _ = io.ReadAll(r.Body) // it can't fail
	d.authorization = r.Header.Get("Authorization")
}

func (d *doors) Known(context.Context, user.Info) bool { return !d.crowded }

func (*doors) Unknown(*http.Request) {}

func (*doors) Begin() bool   { return true }
func (*doors) End()          {}
func (*doors) Add(int) error { return nil }
func (*doors) Done()         {}

func (d *doors) config() fastpath.Config {
	return fastpath.Config{
		Next: d, Authenticator: d, Authorizer: d, Reviewers: map[schema.GroupVersion]fastpath.Reviewer{authenticationv1.SchemeGroupVersion: d}, Issuer: d, Turns: d, Limit: d,
		TooMany: tooMany, InFlight: d, Timeout: time.Minute,
	}
}

func (d *doors) post(t *testing.T, path string, body []byte, media string) *httptest.ResponseRecorder {
	t.Helper()
	return post(t, d.config(), path, body, media)
}

func tooMany(w http.ResponseWriter, _ *http.Request, info *genericapirequest.RequestInfo) {
	http.Error(w, "too many "+info.Resource, http.StatusTooManyRequests)
}

// post sends a request to a handler of its own.
func post(t *testing.T, cfg fastpath.Config, path string, body []byte, media string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader(body))
	request.Header.Set("Content-Type", media)
	request.Header.Set("Authorization", "Bearer mine")
	answer := httptest.NewRecorder()
	fastpath.New(cfg).ServeHTTP(answer, request)
	return answer
}

var bodies = []string{
	`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"x","audiences":["a","b"]}}`,
	`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","metadata":{"creationTimestamp":null},"spec":{"token":"x"},"status":{"user":{}}}`,
	`{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{"creationTimestamp":null},"spec":{"audiences":["a"],"expirationSeconds":3600,"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"web","uid":"u"}},"status":{"token":"","expirationTimestamp":null}}`,
	`{"spec":{"audiences":null,"expirationSeconds":null,"boundObjectRef":null}}`, `{"spec":{"token":"x","token":"y"}}`, `{"spec":{"Token":"x"}}`,
	`{"spec":{"token":"x","unknown":1}}`, `{"spec":{"token":"\u0078"}}`, `{"spec":{"token":"ü"}}`, `{"spec":{"token":null}}`, `{"spec":{"token":1}}`,
	`{"spec":{"expirationSeconds":600.0}}`, `{"spec":{"expirationSeconds":6e2}}`, `{"spec":{"expirationSeconds":-1}}`, `{"spec":{"expirationSeconds":0600}}`,
	`{"spec":{"expirationSeconds":"600"}}`, `{"spec":{"audiences":[]}}`, `{"spec":{"audiences":[null]}}`, `{"spec":{"audiences":["a",]}}`, `{"spec":{},}`,
	`{"spec":{"token":"x"}} {}`, "\ufeff" + `{"spec":{"token":"x"}}`, ` {"spec":{"token":"x"}}` + "\r\n\t ", `{"spec":{"token":"x"}}` + "\x00", `{"spec":{"token":"x"}`,
	`{}`, `[]`, `null`, ``, `{"metadata":{"name":"n"},"spec":{"token":"x"}}`, `{"kind":"","spec":{"token":"x"}}`, `{"kind":"Pod","apiVersion":"v1"}`,
	`{"spec":{"token":"x"},"status":{"authenticated":true}}`, `{"spec":{"boundObjectRef":{}}}`, `{"metadata":null,"spec":{"token":"x"}}`, `{"spec":{"a":` + strings.Repeat("[", 50) + `}}`,
}

// FuzzBodies sends bodies that may be anything: what the fast path answers, the library reads as the same object, strictly
// and without a warning; what it doesn't answer gets to the library as it came.
func FuzzBodies(f *testing.F) {
	for _, body := range bodies {
		f.Add(true, false, []byte(body))
		f.Add(false, false, []byte(body))
	}
	for _, object := range []runtime.Object{
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "x", Audiences: []string{"a"}}},
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"a"}, BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod"}}},
	} {
		body := encoded(f, "application/vnd.kubernetes.protobuf", object)
		f.Add(true, true, body)
		f.Add(false, true, body)
		f.Add(true, true, append(body, "\xfa\x01\x01x"...))
	}
	f.Fuzz(func(t *testing.T, reviews, protobuf bool, body []byte) {
		path, media, kind := requestPath, "application/json", authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
		if reviews {
			path, kind.Kind = reviewsPath, "TokenReview"
		}
		if protobuf {
			media = "application/vnd.kubernetes.protobuf"
		}
		d := &doors{issued: func(r *authenticationv1.TokenRequest) {
			seconds := int64(600)
			r.Spec.ExpirationSeconds = &seconds
		}}
		sent := bytes.Clone(body)
		answer := d.post(t, path, body, media)
		if answer.Code != http.StatusCreated {
			if !bytes.Equal(d.passed, sent) || d.authorization != "Bearer mine" {
				t.Fatalf("the library gets %q", d.passed)
			}
			return
		}
		info, _ := runtime.SerializerInfoForMediaType(scheme.Serializer.SupportedMediaTypes(), media)
		decoder := scheme.Serializer.DecoderToVersion(info.StrictSerializer, authenticationv1.SchemeGroupVersion)
		object, _, err := decoder.Decode(bytes.Clone(sent), &kind, nil)
		if err != nil {
			t.Fatalf("the library takes it not: %v", err)
		}
		switch object := object.(type) {
		case *authenticationv1.TokenReview:
			if diff := cmp.Diff(&object.Spec, d.spec); diff != "" || cmp.Diff(metav1.ObjectMeta{}, object.ObjectMeta) != "" {
				t.Fatal(diff, object.ObjectMeta)
			}
		case *authenticationv1.TokenRequest:
			// The issuer has the defaults, too.
			asked := &authenticationv1.TokenRequest{Spec: *d.asked}
			scheme.Scheme.Default(asked)
			if diff := cmp.Diff(object.Spec, asked.Spec); diff != "" || cmp.Diff(metav1.ObjectMeta{}, object.ObjectMeta) != "" {
				t.Fatal(diff, object.ObjectMeta)
			}
		default:
			t.Fatalf("%T", object)
		}
	})
}

func encoded(t testing.TB, media string, object runtime.Object) []byte {
	t.Helper()
	info, ok := runtime.SerializerInfoForMediaType(scheme.Serializer.SupportedMediaTypes(), media)
	if !ok {
		t.Fatal(media)
	}
	text, err := runtime.Encode(scheme.Serializer.EncoderForVersion(info.Serializer, authenticationv1.SchemeGroupVersion), object)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// FuzzAnswers answers with texts that may be anything: they are written byte for byte as the library writes them.
func FuzzAnswers(f *testing.F) {
	f.Add(true, "ann", "uid", "g", "key", "reason", int64(600))
	f.Add(false, "", "", "", "", "", int64(0))
	f.Add(true, "<ann> & \u2028 ü", "\x00\x1f\x7f", "\xff\xfe", "\"\\", "\n\t\r\b\f", int64(-1))
	f.Fuzz(func(t *testing.T, yes bool, name, uid, group, key, reason string, number int64) {
		d := &doors{verdict: tokenreview.Verdict{Error: reason}}
		if yes {
			who := &user.DefaultInfo{Name: name, UID: uid}
			if group != "" {
				who.Groups = []string{group, name}
				who.Extra = map[string][]string{key: {group}, "nothing": {}, "null": nil}
			}
			d.verdict = tokenreview.Verdict{User: who, Audiences: authenticator.Audiences{uid}}
		}
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "x", Audiences: []string{"a"}}, Status: d.verdict.Status()}
		sent := `{"spec":{"token":"x","audiences":["a"]}}`
		if got, want := d.post(t, reviewsPath, []byte(sent), "application/json"), encoded(t, "application/json", review); !bytes.Equal(got.Body.Bytes(), want) {
			t.Fatalf("%q, want %q", got.Body, want)
		}
		at := metav1.NewTime(time.Unix(number%(1<<33), 0))
		request := &authenticationv1.TokenRequest{
			ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "default", UID: types.UID(uid), CreationTimestamp: at},
			Spec:       authenticationv1.TokenRequestSpec{Audiences: []string{name, group}, ExpirationSeconds: &number},
			Status:     authenticationv1.TokenRequestStatus{Token: reason, ExpirationTimestamp: at},
		}
		if yes {
			request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{Kind: key, APIVersion: group, Name: name, UID: types.UID(uid)}
		}
		d.issued = func(r *authenticationv1.TokenRequest) { request.DeepCopyInto(r) }
		if got, want := d.post(t, requestPath, []byte(`{"spec":{}}`), "application/json"), encoded(t, "application/json", request); !bytes.Equal(got.Body.Bytes(), want) {
			t.Fatalf("%q, want %q", got.Body, want)
		}
	})
}
