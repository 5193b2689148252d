package tokenrequest_test

import (
	"encoding/json"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mintmark/mintmark/internal/scheme"
)

// FuzzTokenRequest decodes requests in every media type that is served, strictly and not, and has tokens issued for
// what decodes: nothing may panic, and no token may say more than its request was allowed to.
func FuzzTokenRequest(f *testing.F) {
	issuer := newIssuer(f, nil)
	version := authenticationv1.SchemeGroupVersion
	kind := version.WithKind("TokenRequest")
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, mediaType := range scheme.Codecs.SupportedMediaTypes() {
			serializers := []runtime.Serializer{mediaType.Serializer, mediaType.StrictSerializer}
			for _, serializer := range serializers {
				into := &authenticationv1.TokenRequest{}
				obj, _, err := scheme.Serializer.DecoderToVersion(serializer, version).Decode(body, &kind, into)
				if err != nil && !runtime.IsStrictDecodingError(err) {
					continue
				}
				request, ok := obj.(*authenticationv1.TokenRequest)
				if !ok {
					continue
				}
				if err := issuer.Issue(t.Context(), "ns", "app", request, allow); err == nil {
					checkIssued(t, request)
				}
			}
		}
	})
}

// checkIssued reads a token back.
func checkIssued(t *testing.T, request *authenticationv1.TokenRequest) {
	t.Helper()
	var claims struct {
		Audiences  []string `json:"aud"`
		Expiry     int64    `json:"exp"`
		Issuer     string   `json:"iss"`
		Subject    string   `json:"sub"`
		Kubernetes struct {
			Namespace      string
			ServiceAccount struct{ Name, UID string }
			Pod            *struct{ Name, UID string }
		} `json:"kubernetes.io"`
	}
	if err := json.Unmarshal([]byte(request.Status.Token), &claims); err != nil {
		t.Fatalf("the claims are no JSON: %v", err)
	}
	life := claims.Expiry - now.Unix()
	if life < 600 || life > 1<<32 || life != *request.Spec.ExpirationSeconds {
		t.Errorf("the token lives for %d seconds, the answer says %d", life, *request.Spec.ExpirationSeconds)
	}
	k := claims.Kubernetes
	if claims.Issuer != "https://issuer.example" || claims.Subject != "system:serviceaccount:ns:app" ||
		k.Namespace != "ns" || k.ServiceAccount.Name != "app" || k.ServiceAccount.UID != "u1" {
		t.Errorf("the token is of %+v", claims)
	}
	if len(claims.Audiences) == 0 || len(claims.Audiences) != len(request.Spec.Audiences) {
		t.Errorf("%d audiences, the answer says %d", len(claims.Audiences), len(request.Spec.Audiences))
	}
	if ref := request.Spec.BoundObjectRef; (ref != nil) != (k.Pod != nil) || k.Pod != nil && (k.Pod.Name != "p" || k.Pod.UID != "u2") {
		t.Errorf("bound to %+v, the answer says %v", k.Pod, ref)
	}
}
