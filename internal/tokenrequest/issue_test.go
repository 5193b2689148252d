package tokenrequest_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/teststore"
	"github.com/mintmark/mintmark/internal/tokenrequest"
)

// TestMain keeps the log of the store out of the results.
func TestMain(m *testing.M) {
	klog.SetLogger(klog.Logger{})
	m.Run()
}

var now = time.Date(2026, 5, 4, 3, 2, 1, 700e6, time.UTC)

// plain is a signer that doesn't: a token is its claims.
type plain struct{ err error }

func (p plain) Sign(_ context.Context, _ string, claims []byte, _ time.Time) (string, error) {
	return string(claims), p.err
}

// newIssuer returns an issuer over a store with the account ns/app of UID u1, and the pod p of it.
func newIssuer(t testing.TB, change func(*tokenrequest.Config)) *tokenrequest.Issuer {
	t.Helper()
	store := teststore.New(t)
	pod, foreign := &corev1.Pod{}, &corev1.Pod{}
	pod.Namespace, pod.Name, pod.UID, pod.Spec.ServiceAccountName = "ns", "p", "u2", "app"
	foreign.Namespace, foreign.Name, foreign.UID, foreign.Spec.ServiceAccountName = "ns", "foreign", "u3", "other"
	store.Put(teststore.Account("ns", "app", "u1"), pod, foreign)
	cfg := tokenrequest.Config{
		Issuer:       "https://issuer.example",
		APIAudiences: authenticator.Audiences{"api", "other"},
		Index:        store.Index,
		Signer:       plain{},
		Now:          func() time.Time { return now },
	}
	if change != nil {
		change(&cfg)
	}
	return tokenrequest.New(cfg)
}

func allow(context.Context, *authenticationv1.TokenRequest) error { return nil }

// asking is a request with some seconds, bound to the pod of that name if there is one.
func asking(seconds int64, pod string, audiences ...string) *authenticationv1.TokenRequest {
	r := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: &seconds}}
	if pod != "" {
		r.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod}
	}
	return r
}

// TestIssue fills a request that says nothing.
func TestIssue(t *testing.T) {
	ctx := audit.WithAuditContext(t.Context())
	request := &authenticationv1.TokenRequest{}
	request.Status.Token = "sent by the client"
	if err := newIssuer(t, nil).Issue(ctx, "ns", "app", request, allow); err != nil {
		t.Fatal(err)
	}
	if request.Namespace != "ns" || request.Name != "app" || request.UID != "u1" || !request.CreationTimestamp.Time.Equal(now) {
		t.Errorf("metadata %v", request.ObjectMeta)
	}
	if got := *request.Spec.ExpirationSeconds; got != 3600 {
		t.Errorf("%d seconds", got)
	}
	if diff := cmp.Diff([]string{"api", "other"}, request.Spec.Audiences); diff != "" {
		t.Errorf("audiences (-want +got):\n%s", diff)
	}
	claims := read(t, request)
	id, _ := claims["jti"].(string)
	if _, err := uuid.Parse(id); err != nil {
		t.Errorf("jti: %v", err)
	}
	want := map[string]any{
		"aud": []any{"api", "other"}, "exp": float64(now.Unix() + 3600), "iat": float64(now.Unix()), "nbf": float64(now.Unix()),
		"iss": "https://issuer.example", "jti": id, "sub": "system:serviceaccount:ns:app",
		"kubernetes.io": map[string]any{"namespace": "ns", "serviceaccount": map[string]any{"name": "app", "uid": "u1"}},
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if got := request.Status.ExpirationTimestamp.Time; got.After(time.Unix(now.Unix()+3600, 0).Add(time.Second)) || !got.Equal(now.Add(time.Hour)) {
		t.Errorf("the end is told to be %v", got)
	}
	notes := audit.AuditContextFrom(ctx).GetEventAnnotations()
	wantNotes := map[string]string{
		"authentication.kubernetes.io/issued-credential-id": "JTI=" + id,
		"authentication.mintmark.io/service-account":        "ns/app",
		"authentication.mintmark.io/service-account-uid":    "u1",
		"authentication.mintmark.io/audiences":              `["api","other"]`,
		"authentication.mintmark.io/expires":                time.Unix(now.Unix()+3600, 0).UTC().Format(time.RFC3339),
	}
	if diff := cmp.Diff(wantNotes, notes); diff != "" {
		t.Errorf("audit annotations (-want +got):\n%s", diff)
	}
}

// read returns the claims of the token in a request.
func read(t *testing.T, request *authenticationv1.TokenRequest) map[string]any {
	t.Helper()
	var claims map[string]any
	if err := json.Unmarshal([]byte(request.Status.Token), &claims); err != nil {
		t.Fatalf("the claims are no JSON: %v", err)
	}
	return claims
}

// TestRefusals: codes, texts and order of the checks are kube-apiserver's.
func TestRefusals(t *testing.T) {
	issuer := newIssuer(t, nil)
	invalid := func(name, reason string) string {
		return `TokenRequest.authentication.k8s.io "` + name + `" is invalid: ` + reason
	}
	const short, long = "may not specify a duration less than 10 minutes", "may not specify a duration larger than 2^32 seconds"
	named := func(r *authenticationv1.TokenRequest, change func(*authenticationv1.TokenRequest)) *authenticationv1.TokenRequest {
		change(r)
		return r
	}
	attested := func(r *authenticationv1.TokenRequest) {
		r.Spec.Attestations = map[string]authenticationv1.AttestationValue{"x": {"y"}}
	}
	for _, test := range []struct {
		name, account string
		request       *authenticationv1.TokenRequest
		code          int32
		want          string
	}{
		{name: "good", account: "app", request: asking(600, "p")},
		{name: "the longest", account: "app", request: asking(1<<32, "")},
		{
			name:    "a name that fits",
			account: "app",
			request: named(asking(600, ""), func(r *authenticationv1.TokenRequest) { r.Name, r.Namespace, r.UID = "app", "ns", "u1" }),
		},
		{
			name:    "another name",
			account: "app",
			request: named(asking(600, ""), func(r *authenticationv1.TokenRequest) { r.Name = "x" }),
			code:    422,
			want:    invalid("app", `metadata.name: Invalid value: "x": must match the service account name if specified`),
		},
		{
			name:    "another namespace",
			account: "app",
			request: named(asking(600, ""), func(r *authenticationv1.TokenRequest) { r.Namespace = "x" }),
			code:    422,
			want:    invalid("app", `metadata.namespace: Invalid value: "x": must match the service account namespace if specified`),
		},
		{
			name:    "another name, of no account",
			account: "gone",
			request: named(asking(600, ""), func(r *authenticationv1.TokenRequest) { r.Name = "x" }),
			code:    422,
			want:    invalid("gone", `metadata.name: Invalid value: "x": must match the service account name if specified`),
		},
		{name: "no account", account: "gone", request: asking(1, "gone"), code: 404, want: `serviceaccounts "gone" not found`},
		{
			name:    "another UID",
			account: "app",
			request: named(asking(1, ""), func(r *authenticationv1.TokenRequest) { r.UID = "u9" }),
			code:    409,
			want:    `Operation cannot be fulfilled on TokenRequest.authentication.k8s.io "app": the UID in the token request (u9) does not match the UID of the service account (u1)`,
		},
		{name: "0 seconds", account: "app", request: asking(0, ""), code: 422, want: invalid("", "spec.expirationSeconds: Invalid value: 0: "+short)},
		{name: "negative seconds", account: "app", request: asking(-1, ""), code: 422, want: invalid("", "spec.expirationSeconds: Invalid value: -1: "+short)},
		{name: "too short", account: "app", request: asking(599, "gone"), code: 422, want: invalid("", "spec.expirationSeconds: Invalid value: 599: "+short)},
		{name: "too long", account: "app", request: asking(1<<32+1, ""), code: 422, want: invalid("", "spec.expirationSeconds: Invalid value: 4294967297: "+long)},
		{name: "far too long", account: "app", request: asking(1<<62, ""), code: 422, want: invalid("", "spec.expirationSeconds: Invalid value: 4611686018427387904: "+long)},
		{name: "no pod", account: "app", request: asking(600, "gone"), code: 404, want: `pods "gone" not found`},
		{
			name:    "a pod of another account",
			account: "app",
			request: asking(600, "foreign"),
			code:    400,
			want:    `cannot bind token for serviceaccount "app" to pod running with different serviceaccount name.`,
		},
		{
			name:    "attestations",
			account: "app",
			request: named(asking(1, ""), attested),
			code:    422,
			want:    invalid("", `spec.attestations: Invalid value: {"x":["y"]}: attestations may only be specified with a webhook bound object reference`),
		},
		{
			name:    "attestations of a pod",
			account: "app",
			request: named(asking(600, "p"), attested),
			code:    422,
			want:    invalid("", `spec.attestations: Invalid value: {"x":["y"]}: attestations may only be specified with a webhook bound object reference`),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := issuer.Issue(t.Context(), "ns", test.account, test.request, allow)
			if test.want == "" {
				if err != nil || test.request.Status.Token == "" {
					t.Errorf("error %v", err)
				}
				return
			}
			checkRefusal(t, err, test.code, test.want)
			if test.request.Status.Token != "" {
				t.Error("there is a token nevertheless")
			}
		})
	}
}

func checkRefusal(t *testing.T, err error, code int32, text string) {
	t.Helper()
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Code != code || err.Error() != text {
		t.Errorf("got %v, want %d %s", err, code, text)
	}
}

// TestWebhookBindingIsRefused: what KEP-6060 would bind tokens to is refused by name.
func TestWebhookBindingIsRefused(t *testing.T) {
	issuer := newIssuer(t, nil)
	for _, kind := range []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
		for _, attestations := range []map[string]authenticationv1.AttestationValue{nil, {"admissionReviewAPIGroups": {"*"}}} {
			request := asking(600, "x")
			request.Spec.BoundObjectRef.APIVersion, request.Spec.BoundObjectRef.Kind = "admissionregistration.k8s.io/v1", kind
			request.Spec.Attestations = attestations
			checkRefusal(t, issuer.Issue(t.Context(), "ns", "app", request, allow), 400,
				"cannot bind token to object of type admissionregistration.k8s.io/v1, Kind="+kind+" (feature gate APIServerWebhookAuthenticationToken is disabled)")
		}
	}
	other := asking(600, "x")
	other.Spec.BoundObjectRef.APIVersion, other.Spec.BoundObjectRef.Kind = "admissionregistration.k8s.io/v1beta1", "MutatingWebhookConfiguration"
	other.Spec.Attestations = map[string]authenticationv1.AttestationValue{"x": nil}
	if err := issuer.Issue(t.Context(), "ns", "app", other, allow); !apierrors.IsInvalid(err) {
		t.Errorf("attestations with another version: %v", err)
	}
}

// TestValidateSeesDefaults: further checks come after the defaults and before anything is bound.
func TestValidateSeesDefaults(t *testing.T) {
	issuer := newIssuer(t, nil)
	request := &authenticationv1.TokenRequest{}
	request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{Kind: "Pod", Name: "gone"}
	request.Status.Token = "sent by the client"
	refusal := errors.New("not today")
	err := issuer.Issue(t.Context(), "ns", "app", request, func(_ context.Context, r *authenticationv1.TokenRequest) error {
		if r.Name != "app" || r.Namespace != "ns" || r.UID != "u1" || len(r.Spec.Audiences) != 2 || *r.Spec.ExpirationSeconds != 3600 || r.Status.Token != "" {
			t.Errorf("it saw %v", r)
		}
		return refusal
	})
	if !errors.Is(err, refusal) {
		t.Errorf("got %v", err)
	}
	err = issuer.Issue(t.Context(), "ns", "app", asking(1, ""), func(context.Context, *authenticationv1.TokenRequest) error {
		t.Error("it saw a request that had been refused")
		return nil
	})
	if !apierrors.IsInvalid(err) {
		t.Errorf("got %v", err)
	}
}

// warnings collects them.
type warnings []string

func (w *warnings) AddWarning(_, text string) { *w = append(*w, text) }

// TestLife: how long a token lives, what the answer says of it, and what warning goes with it.
func TestLife(t *testing.T) {
	const year = 365 * 24 * 3600
	extend := func(c *tokenrequest.Config) { c.Extend = true }
	limit := func(d time.Duration) func(*tokenrequest.Config) {
		return func(c *tokenrequest.Config) { c.Extend, c.MaxExpiration = true, d }
	}
	for _, test := range []struct {
		name      string
		config    func(*tokenrequest.Config)
		request   *authenticationv1.TokenRequest
		told, exp int64 // seconds from now
		extended  bool
		warning   string
	}{
		{name: "as asked", request: asking(1200, ""), told: 1200, exp: 1200},
		{name: "mounted, not extended", request: asking(3607, "p"), told: 3607, exp: 3607},
		{name: "mounted", config: extend, request: asking(3607, "p"), told: 3607, exp: year, extended: true},
		{name: "mounted, for one of our audiences", config: extend, request: asking(3607, "p", "other"), told: 3607, exp: year, extended: true},
		{name: "mounted, for a foreign audience", config: extend, request: asking(3607, "p", "vault"), told: 3607, exp: 3607},
		{name: "mounted, for ours and a foreign one", config: extend, request: asking(3607, "p", "api", "vault"), told: 3607, exp: 3607},
		{name: "of that life, without a pod", config: extend, request: asking(3607, ""), told: 3607, exp: 3607},
		{name: "a second more", config: extend, request: asking(3608, "p"), told: 3608, exp: 3608},
		{name: "a second less", config: extend, request: asking(3606, "p"), told: 3606, exp: 3606},
		{name: "at the limit", config: limit(time.Hour), request: asking(3600, ""), told: 3600, exp: 3600},
		{
			name:    "beyond the limit",
			config:  limit(time.Hour),
			request: asking(3601, ""),
			told:    3600,
			exp:     3600,
			warning: "requested expiration of 3601 seconds shortened to 3600 seconds",
		},
		{
			name:    "mounted, beyond the limit",
			config:  limit(time.Hour),
			request: asking(3607, "p"),
			told:    3600,
			exp:     3600,
			warning: "requested expiration of 3607 seconds shortened to 3600 seconds",
		},
		{name: "mounted, the limit being higher", config: limit(2 * time.Hour), request: asking(3607, "p"), told: 3607, exp: year, extended: true},
		{
			name:     "shortened to that life",
			config:   limit(3607 * time.Second),
			request:  asking(7200, "p"),
			told:     3607,
			exp:      year,
			extended: true,
			warning:  "requested expiration of 7200 seconds shortened to 3607 seconds",
		},
		{name: "no limit", config: limit(0), request: asking(1<<32, ""), told: 1 << 32, exp: 1 << 32},
	} {
		t.Run(test.name, func(t *testing.T) {
			var warned warnings
			if err := newIssuer(t, test.config).Issue(warning.WithWarningRecorder(t.Context(), &warned), "ns", "app", test.request, allow); err != nil {
				t.Fatal(err)
			}
			claims := read(t, test.request)
			if got := claims["exp"]; got != float64(now.Unix()+test.exp) {
				t.Errorf("exp %v, want %d", got, now.Unix()+test.exp)
			}
			if got := *test.request.Spec.ExpirationSeconds; got != test.told {
				t.Errorf("the answer says %d seconds, want %d", got, test.told)
			}
			if got := test.request.Status.ExpirationTimestamp.Time; !got.Equal(now.Add(time.Duration(test.told) * time.Second)) {
				t.Errorf("the answer says it ends at %v", got)
			}
			after, extended := claims["kubernetes.io"].(map[string]any)["warnafter"]
			if extended != test.extended || extended && after != float64(now.Unix()+3607) {
				t.Errorf("warnafter is %v", after)
			}
			if want := []string{test.warning}; !slices.Equal(warned, want) && (test.warning != "" || len(warned) > 0) {
				t.Errorf("warnings %q, want %q", warned, want)
			}
		})
	}
}

// TestSignerFails: a signer's failure is the server's, and there is no token.
func TestSignerFails(t *testing.T) {
	issuer := newIssuer(t, func(c *tokenrequest.Config) { c.Signer = plain{errors.New("out of ink")} })
	request := asking(600, "")
	checkRefusal(t, issuer.Issue(t.Context(), "ns", "app", request, allow), 500, "Internal error occurred: failed to generate token: out of ink")
	if request.Status.Token != "" || strings.Contains(request.String(), "iss") {
		t.Error("there is a token nevertheless")
	}
}
