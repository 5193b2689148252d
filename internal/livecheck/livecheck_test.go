package livecheck_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/apis/audit"
	auditcontext "k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/livecheck"
	"github.com/mintmark/mintmark/internal/outbound"
	"github.com/mintmark/mintmark/internal/reason"
)

// TestAnswers: what a cluster says, and each way in which one can misbehave.
func TestAnswers(t *testing.T) {
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer elsewhere.Close()
	other, otherUID, unaware, otherAudience, refused := status(), status(), status(), status(), authenticationv1.TokenReviewStatus{}
	other.User.Username = "system:serviceaccount:default:other"
	otherUID.User.UID = "u2"
	unaware.Audiences = nil
	otherAudience.Audiences = []string{"https://kubernetes.default.svc"}
	const credential = "credential-for-the-cluster"
	refused.Error = "[invalid bearer token, service account token has been invalidated " + token + " " + credential + "]"
	const (
		unanswered = `the cluster of the trusted issuer "east" does not answer whether the token still counts`
		noReview   = "the cluster's answer is no TokenReview"
	)
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		code    reason.Code
		text    string // of the error
		found   string // in an explanation
	}{
		"yes":               {answers(201, review(status())), reason.None, "", "confirmed, asked "},
		"yes with 200":      {answers(200, review(status())), reason.None, "", "confirmed, asked "},
		"no":                {answers(201, review(refused)), reason.LiveCheckRefused, "the token's cluster refuses it: [invalid bearer token, service account token has been invalidated [token] [token]]", "refuses it"},
		"no, and no reason": {answers(201, review(authenticationv1.TokenReviewStatus{})), reason.LiveCheckRefused, "the token's cluster refuses it", "refuses it"},
		"another user":      {answers(201, review(other)), reason.LiveCheckDisagrees, "the token's cluster says that it is another user's", ""},
		"another uid":       {answers(201, review(otherUID)), reason.LiveCheckDisagrees, "the token's cluster says that its user has another uid", ""},
		"no audiences":      {answers(201, review(unaware)), reason.LiveCheckDisagrees, "the token's cluster does not say that it is good for one of the audiences", ""},
		"another audience":  {answers(201, review(otherAudience)), reason.LiveCheckDisagrees, "the token's cluster does not say that it is good for one of the audiences", ""},
		"400":               {answers(400, "{}"), reason.LiveCheckUnavailable, unanswered, "the cluster answers with 400 Bad Request"},
		"401":               {answers(401, "{}"), reason.LiveCheckUnavailable, unanswered, "the cluster does not know the credential of the kubeconfig (401 Unauthorized)"},
		"403":               {answers(403, "{}"), reason.LiveCheckUnavailable, unanswered, "bind it to the cluster role system:auth-delegator"},
		"404":               {answers(404, "{}"), reason.LiveCheckUnavailable, unanswered, "the cluster answers with 404"},
		"429":               {answers(429, "{}"), reason.LiveCheckUnavailable, unanswered, "the cluster answers with 429"},
		"500":               {answers(500, "{}"), reason.LiveCheckUnavailable, unanswered, "the cluster answers with 500"},
		"503":               {answers(503, review(status())), reason.LiveCheckUnavailable, unanswered, "the cluster answers with 503"},
		"202":               {answers(202, review(status())), reason.LiveCheckUnavailable, unanswered, "the cluster answers with 202"},
		"a redirect":        {http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect).ServeHTTP, reason.LiveCheckUnavailable, unanswered, "with a redirect (307 Temporary Redirect), which is not followed"},
		"10 MB":             {answers(201, strings.Repeat(" ", 10<<20)+review(status())), reason.LiveCheckUnavailable, unanswered, outbound.ErrTooLong.Error()},
		"garbage":           {answers(201, "<html>"), reason.LiveCheckUnavailable, unanswered, noReview},
		"nothing":           {answers(201, ""), reason.LiveCheckUnavailable, unanswered, noReview},
		"cut off":           {answers(201, review(status())[:100]), reason.LiveCheckUnavailable, unanswered, noReview},
		"a list":            {answers(201, "[]"), reason.LiveCheckUnavailable, unanswered, noReview},
		"v1beta1":           {answers(201, strings.Replace(review(status()), "/v1", "/v1beta1", 1)), reason.LiveCheckUnavailable, unanswered, "of another kind or version"},
		"another kind":      {answers(201, strings.Replace(review(status()), "TokenReview", "Status", 1)), reason.LiveCheckUnavailable, unanswered, "of another kind or version"},
		"other spelling":    {answers(201, strings.Replace(review(status()), "authenticated", "Authenticated", 1)), reason.LiveCheckRefused, "the token's cluster refuses it", ""},
		"twice":             {answers(201, strings.Replace(review(status()), `"authenticated":true`, `"authenticated":false,"authenticated":true`, 1)), reason.LiveCheckUnavailable, unanswered, noReview},
		"a broken connection": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.Close()
		}, reason.LiveCheckUnavailable, unanswered, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			server := tlsServer(t, test.handler)
			checker, stored := newChecker()
			stored.put("east", kubeconfig(server.URL, credential, authority(server)))
			notes := &reason.Checks{}
			response, err := checker.Confirm(t.Context(), issuer("east", time.Hour, ""), token, asked, verified(), notes)
			code, unavailable := codeOf(err)
			if code != test.code || unavailable != (test.code == reason.LiveCheckUnavailable) || err != nil && err.Error() != test.text {
				t.Errorf("%v (%v), want %s", err, code, test.text)
			}
			if check := notes.List()[0]; check.Name != "liveCheck" || !strings.Contains(check.Found, test.found) || strings.Contains(check.Found, token) || strings.Contains(check.Found, credential) {
				t.Errorf("the check says %+v", check)
			}
			if err == nil && !cmp.Equal(response.Audiences, asked) {
				t.Errorf("audiences %q", response.Audiences)
			}
			testAccept(t, checker, unavailable)
		})
	}
}

// testAccept asks again where a missing answer is to be accepted: an answer of the cluster counts all the same.
func testAccept(t *testing.T, checker *livecheck.Checker, unanswered bool) {
	t.Helper()
	ctx := auditcontext.WithAuditContext(t.Context())
	if err := auditcontext.AuditContextFrom(ctx).Init(auditcontext.RequestAuditConfig{Level: audit.LevelMetadata}, nil); err != nil {
		t.Fatal(err)
	}
	accepting := issuer("east", time.Hour, v1alpha1.LiveCheckAccept)
	response, err := confirm(ctx, checker, accepting)
	skipped := auditcontext.AuditContextFrom(ctx).GetEventAnnotations()["authentication.mintmark.io/live-check-skipped"]
	if unanswered != (skipped == "east") || unanswered && (err != nil || response.User.GetName() != "east:"+account) {
		t.Errorf("with onFailure: Accept: %v, skipped %q", err, skipped)
	}
}

// tlsServer is a server with a certificate of its own.
func tlsServer(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// TestQuestion: what the cluster is sent: the token, the audiences, and our own credential.
func TestQuestion(t *testing.T) {
	var path, authorization string
	var question authenticationv1.TokenReview
	server := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
		path, authorization = r.Method+" "+r.URL.RequestURI(), r.Header.Get("Authorization")
		if err := json.NewDecoder(r.Body).Decode(&question); err != nil || r.Header["Idempotency-Key"] != nil || r.ProtoMajor != 1 {
			t.Error(err, r.Header, r.Proto)
		}
		answers(201, review(status()))(w, r)
	})
	checker, stored := newChecker()
	stored.put("east", kubeconfig(server.URL+"/k8s/clusters/c-1/", "credential", authority(server)))
	if _, err := confirm(t.Context(), checker, issuer("east", time.Hour, "")); err != nil {
		t.Fatal(err)
	}
	if path != "POST /k8s/clusters/c-1/apis/authentication.k8s.io/v1/tokenreviews" || authorization != "Bearer credential" ||
		question.Spec.Token != token || !cmp.Equal(question.Spec.Audiences, []string(asked)) {
		t.Errorf("%s, %q, %+v", path, authorization, question.Spec.Audiences)
	}
}

// TestNarrowerAudiences: the response has the audiences that the cluster names, in the order in which they were asked for.
func TestNarrowerAudiences(t *testing.T) {
	narrow := status()
	narrow.Audiences = []string{"other", "api"}
	server := tlsServer(t, answers(201, review(narrow)))
	checker, stored := newChecker()
	stored.put("east", kubeconfig(server.URL, "credential", authority(server)))
	response, err := confirm(t.Context(), checker, issuer("east", time.Hour, ""))
	if err != nil || !cmp.Equal(response.Audiences, authenticator.Audiences{"api"}) {
		t.Errorf("%v, %v", response, err)
	}
}

// TestCertificates: a cluster whose certificate does not prove its name is sent nothing.
func TestCertificates(t *testing.T) {
	var calls atomic.Int32
	handler := func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		answers(201, review(status()))(w, r)
	}
	good, expired := tlsServer(t, handler), expiredServer(t, handler)
	plain := httptest.NewServer(http.HandlerFunc(handler))
	defer plain.Close()
	for name, config := range map[string]string{
		"of another authority":      kubeconfig(expired.URL, "credential", authority(good)),
		"without an authority":      strings.Replace(kubeconfig(good.URL, "credential", nil), ", certificate-authority-data: ", "", 1),
		"expired":                   kubeconfig(expired.URL, "credential", authority(expired)),
		"of another name":           strings.Replace(kubeconfig(good.URL, "credential", authority(good)), "server:", "tls-server-name: other.test, server:", 1),
		"no TLS behind the address": kubeconfig(strings.Replace(plain.URL, "http:", "https:", 1), "credential", authority(good)),
	} {
		checker, stored := newChecker()
		stored.put("east", config)
		_, err := confirm(t.Context(), checker, issuer("east", time.Hour, ""))
		if code, _ := codeOf(err); code != reason.LiveCheckUnavailable || calls.Load() > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// expiredServer is a server whose certificate has expired.
func expiredServer(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// TestPrivateCluster: the address of the cluster is one that an object may have called.
func TestPrivateCluster(t *testing.T) {
	server := tlsServer(t, func(http.ResponseWriter, *http.Request) { t.Error("the cluster was called") })
	stored := &secrets{}
	checker := livecheck.New(livecheck.Config{Secrets: stored, Calls: outbound.NewObjectCalls(nil)})
	stored.put("east", kubeconfig(server.URL, "credential", authority(server)))
	notes := &reason.Checks{}
	_, err := checker.Confirm(t.Context(), issuer("east", time.Hour, ""), token, asked, verified(), notes)
	if code, _ := codeOf(err); code != reason.LiveCheckUnavailable || strings.Contains(err.Error(), "127.0.0.1") {
		t.Error(err)
	}
	if found := notes.List()[0].Found; !strings.Contains(found, "the address 127.0.0.1 is loopback: name it in --allow-private-issuers if it is meant") {
		t.Error(found)
	}
}

// TestNothingIsTold: no credential and no token is in what a failure says.
func TestNothingIsTold(t *testing.T) {
	server := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write(append(body, r.Header.Get("Authorization")...))
	})
	checker, stored := newChecker()
	stored.put("east", kubeconfig(server.URL, "credential-of-ours", authority(server)))
	notes := &reason.Checks{}
	_, err := checker.Confirm(t.Context(), issuer("east", time.Hour, ""), token, asked, verified(), notes)
	said := err.Error() + notes.List()[0].Found + checker.State(issuer("east", 0, "")).Failure.Error()
	if strings.Contains(said, token) || strings.Contains(said, "credential-of-ours") {
		t.Error(said)
	}
}
