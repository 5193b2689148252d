package authn

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/foreigntoken"
)

func TestNameless(t *testing.T) {
	for name, want := range map[string]bool{
		"": true, " ": true, "\t\r\n": true, "\u00a0": true, "\u2003\u3000": true, "\u200b": true, "\x00": true,
		"ann": false, " ann": false, "é": false, "-": false, "\xff": false,
	} {
		if got := foreigntoken.Nameless(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// TestRequestsGiveNames: a certificate without a common name is nobody's, as upstream, and one whose common name is white
// space is refused; so are headers of a proxy.
func TestRequestsGiveNames(t *testing.T) {
	root := sign(t, "root authority", time.Hour, nil)
	ca := &bundle{}
	ca.trust(root)
	certificates := named(newCertificates(ca, nil, Signer{}))
	for commonName, want := range map[string]struct {
		ok  bool
		err error
	}{"ann": {ok: true}, "": {}, " ": {err: errNameless}, "\u00a0": {err: errNameless}} {
		request := &http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{sign(t, commonName, time.Hour, root).Certificate}}}
		for range 2 { // the second time from memory
			if _, ok, err := certificates.AuthenticateRequest(request); ok != want.ok || err != want.err { //nolint:errorlint // it is not wrapped
				t.Errorf("common name %q: %v %v", commonName, ok, err)
			}
		}
	}
	proxy := named(authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		return &authenticator.Response{User: &user.DefaultInfo{Name: r.Header.Get("X-Remote-User")}}, true, nil
	}))
	for header, want := range map[string]error{"ann": nil, "": errNameless, "  ": errNameless} {
		_, ok, err := proxy.AuthenticateRequest(&http.Request{Header: http.Header{"X-Remote-User": {header}}})
		if ok != (want == nil) || err != want { //nolint:errorlint // it is not wrapped
			t.Errorf("header %q: %v %v", header, ok, err)
		}
	}
}

// TestWebhookGivesNames: a webhook's yes without a user name lets nobody in.
func TestWebhookGivesNames(t *testing.T) {
	for _, username := range []string{"", " ", "\u2003"} {
		url := serveReviews(t, func(w http.ResponseWriter, _ *http.Request) {
			review(w, authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: username, Groups: []string{"system:masters"}}})
		})
		if response, ok, err := webhookAt(t, url, time.Minute).AuthenticateToken(t.Context(), webhookToken); ok || err == nil || err.Error() != errNameless.Error() {
			t.Errorf("%q: %v %v %v", username, response, ok, err)
		}
	}
}
