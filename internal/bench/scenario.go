package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const reviewPath = "/apis/authentication.k8s.io/v1/tokenreviews"

// scenario is a row of the table: one kind of request.
type scenario struct {
	// id names it in --run and in Go benchmark lines, title in the table.
	id, title string
	// what says what is sent, and what is answered.
	what string
	// path is where it is sent. Nil means the TokenReviews.
	path func(*site) string
	// caller returns the token of the caller. Nil means the account that may do all of this.
	caller func(*site) string
	// status is the code of the answers. 0 means those of success.
	status int
	// byCertificate says that the caller has a client certificate, and no token.
	byCertificate bool
	// fresh says that every request has a body of its own.
	fresh bool
	// bodies makes n bodies of requests: of one, if the scenario is not fresh.
	bodies func(ctx context.Context, s *site, n int) ([][]byte, error)
	// check returns an error if the body of an answer is wrong.
	check func(s *site, body []byte) error
	// workers is how many requests there are at once at most; 0 leaves it to --concurrency. A server sheds dear ones if one caller
	// sends many.
	workers int
	// impossible says why a site can't be asked this, or nothing.
	impossible func(*site) string
}

// scenarios are the rows of the table, in their order.
func scenarios() []scenario {
	return []scenario{
		{
			id: "ReviewWarm", title: "review, warm", what: "TokenReview of the same good token, again and again: `authenticated: true`",
			bodies: oneReview, check: accepted,
		},
		{
			id: "ReviewNew", title: "review, new token (ES256)", what: "TokenReview of a good token that was never seen before: `authenticated: true`",
			bodies: newTokens, check: accepted, fresh: true, impossible: signsOtherwise,
		},
		{
			id: "ListWarm", title: "list of 100 reviews, warm", what: "TokenReviewList of the same good token a hundred times, again and again: 100 × `authenticated: true`. The figures are those of the list; for one token, divide by 100",
			path: reviewLists, bodies: listsOf(func(ctx context.Context, s *site, _ int) ([][]byte, error) { return oneReview(ctx, s, 1) }), check: acceptedAll, workers: 4,
		},
		{
			id: "ListNew", title: "list of 100 reviews, new tokens (ES256)", what: "TokenReviewList of a hundred good tokens that were never seen before: 100 × `authenticated: true`. The figures are those of the list",
			path: reviewLists, bodies: listsOf(newTokens), check: acceptedAll, workers: 4, fresh: true, impossible: signsOtherwise,
		},
		{
			id: "ReviewShapeless", title: "review, wrong shape", what: "TokenReview of 48 random letters, other ones each time: refused",
			bodies: shapeless, check: refused, fresh: true,
		},
		{
			id: "ReviewUnknownIssuer", title: "review, unknown issuer", what: "TokenReview of a JWT with another `iss`, and a random signature: refused",
			bodies: forged(func(j *jwt) { j.claims["iss"] = text("https://issuer.example.com") }), check: refused, fresh: true,
		},
		{
			id: "ReviewUnknownKey", title: "review, unknown key id", what: "TokenReview of a JWT of the server's issuer with another `kid`, and a random signature: refused",
			bodies: forged(func(j *jwt) { j.header["kid"] = text(rand.Text()) }), check: refused, fresh: true,
		},
		{
			id: "ReviewForged", title: "review, forged signature", what: "TokenReview of a JWT that is right in everything but has a random signature, another one each time: refused",
			bodies: forged(func(*jwt) {}), check: refused, fresh: true,
		},
		{
			id: "TokenRequest", title: "token request (ES256)", what: "TokenRequest for a service account, with the defaults: a token",
			path: func(s *site) string {
				return "/api/v1/namespaces/" + s.namespace + "/serviceaccounts/" + subjectName + "/token"
			},
			bodies: oneTokenRequest, check: issued, impossible: signsOtherwise,
		},
		{
			id: "ReviewWarmByCertificate", title: "review, warm, caller with certificate", what: "as the first, but the caller has a client certificate (P-256) instead of a token",
			bodies: oneReview, check: accepted, byCertificate: true,
			impossible: func(s *site) string {
				if s.certificate == nil {
					return "no client certificate was given"
				}
				return ""
			},
		},
		{
			id: "ReviewForbidden", title: "review, caller without the right", what: "as the first, but the caller is an account that may not review tokens: 403",
			bodies: oneReview, check: failed(http.StatusForbidden), status: http.StatusForbidden,
			caller: func(s *site) string { return s.subject },
		},
		{
			id: "ReviewUnauthorized", title: "review, caller with a bad token", what: "as the first, but the caller's own token is 48 letters that no server knows: 401",
			bodies: oneReview, check: failed(http.StatusUnauthorized), status: http.StatusUnauthorized,
			caller: func(*site) string { return strings.Repeat("none", 12) },
		},
		{
			id: "ReviewOpaque", title: "review, warm, opaque token", what: "as the first, but of an access token of OpenShift, where OpenShift's API has it reviewed (`--server-flag=--openshift-api`)",
			path:   func(*site) string { return opaqueReviewPath },
			bodies: oneOpaqueReview, check: acceptedOpaque,
			impossible: func(s *site) string {
				if s.opaque == "" {
					return "OpenShift's API is off"
				}
				return ""
			},
		},
		{
			id: "ReviewForeignWarm", title: "review, warm, trusted issuer", what: "as the first, but of a token of a TrustedIssuer, the only one: a service account token of another cluster",
			bodies: foreignWarm(1, 1), check: acceptedForeign, impossible: unknownThere,
		},
		{
			id: "ReviewForeignNew", title: "review, new token, trusted issuer", what: "TokenReview of such a token that was never seen before, signed with ES256: `authenticated: true`",
			bodies: foreignNew(1), check: acceptedForeign, fresh: true, impossible: unknownThere,
		},
		{
			id: "ReviewForeignWarmMany", title: "review, warm, 5000 trusted issuers", what: "TokenReviews of 20 warm tokens of each of 5000 TrustedIssuers, 100 000 tokens in turn: `authenticated: true`",
			bodies: foreignWarm(manyIssuers, tokensOfEach), check: acceptedForeign, impossible: unknownThere,
		},
		{
			id: "ReviewForeignNewMany", title: "review, new token, 5000 trusted issuers", what: "TokenReviews of tokens that were never seen before, of 5000 TrustedIssuers in turn: `authenticated: true`",
			bodies: foreignNew(manyIssuers), check: acceptedForeign, fresh: true, impossible: unknownThere,
		},
	}
}

// header holds the headers of requests to this site and to the floor.
func (sc scenario) header(s *site) http.Header {
	header := http.Header{
		"Accept":       {"application/json"},
		"Content-Type": {"application/json"},
		"User-Agent":   {"mintmark-bench"},
	}
	switch {
	case sc.byCertificate:
	case sc.caller != nil:
		header.Set("Authorization", "Bearer "+sc.caller(s))
	default:
		header.Set("Authorization", "Bearer "+s.caller)
	}
	return header
}

func (sc scenario) pathAt(s *site) string {
	if sc.path == nil {
		return reviewPath
	}
	return sc.path(s)
}

func (sc scenario) impossibleAt(s *site) string {
	if sc.impossible == nil {
		return ""
	}
	return sc.impossible(s)
}

// signsOtherwise is the reason why a site has no part in scenarios of ES256.
func signsOtherwise(s *site) string {
	j, err := parseJWT(s.subject)
	if err != nil {
		return err.Error()
	}
	if algorithm := j.algorithm(); algorithm != es256 {
		return fmt.Sprintf("signs with %q", algorithm)
	}
	return ""
}

// typed is the type of a body, as client-go writes it.
func typed(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{Kind: kind, APIVersion: authenticationv1.SchemeGroupVersion.String()}
}

func review(token string) ([]byte, error) {
	return json.Marshal(&authenticationv1.TokenReview{TypeMeta: typed("TokenReview"), Spec: authenticationv1.TokenReviewSpec{Token: token}})
}

func oneReview(_ context.Context, s *site, _ int) ([][]byte, error) {
	body, err := review(s.subject)
	return [][]byte{body}, err
}

func oneTokenRequest(context.Context, *site, int) ([][]byte, error) {
	body, err := json.Marshal(&authenticationv1.TokenRequest{TypeMeta: typed("TokenRequest")})
	return [][]byte{body}, err
}

// reviews makes n bodies with a token each.
func reviews(n int, next func() (string, error)) ([][]byte, error) {
	bodies := make([][]byte, n)
	for i := range bodies {
		token, err := next()
		if err != nil {
			return nil, err
		}
		if bodies[i], err = review(token); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

// newTokens are signed here, where the key is known, and otherwise requested.
func newTokens(ctx context.Context, s *site, n int) ([][]byte, error) {
	if s.signingKey == nil {
		return reviews(n, func() (string, error) { return s.request(ctx, subjectName) })
	}
	j, err := parseJWT(s.subject)
	if err != nil {
		return nil, err
	}
	return reviews(n, func() (string, error) {
		j.renew()
		return j.sign(s.signingKey)
	})
}

func shapeless(_ context.Context, _ *site, n int) ([][]byte, error) {
	return reviews(n, func() (string, error) { return (rand.Text() + rand.Text())[:48], nil })
}

// forged makes tokens that differ from a good one as edit has it, and in their signature.
func forged(edit func(*jwt)) func(context.Context, *site, int) ([][]byte, error) {
	return func(_ context.Context, s *site, n int) ([][]byte, error) {
		j, err := parseJWT(s.subject)
		if err != nil {
			return nil, err
		}
		return reviews(n, func() (string, error) {
			j.renew()
			edit(j)
			return j.forge()
		})
	}
}

// The checks don't quote the answer: there are tokens in it.
var (
	errNoReview  = errors.New("the answer is no TokenReview")
	errNoRequest = errors.New("the answer is no TokenRequest with a token")
	errRefused   = errors.New("a good token was refused, or taken for another account's")
	errAccepted  = errors.New("a bad token was not refused")
)

func accepted(s *site, body []byte) error {
	status, err := verdict(body)
	if err == nil && (!status.Authenticated || status.User.Username != s.username()) {
		err = errRefused
	}
	return err
}

func refused(_ *site, body []byte) error {
	status, err := verdict(body)
	if err == nil && (status.Authenticated || status.Error == "") {
		err = errAccepted
	}
	return err
}

func verdict(body []byte) (authenticationv1.TokenReviewStatus, error) {
	var answer authenticationv1.TokenReview
	if json.Unmarshal(body, &answer) != nil || answer.Kind != "TokenReview" {
		return answer.Status, errNoReview
	}
	return answer.Status, nil
}

func issued(_ *site, body []byte) error {
	var answer authenticationv1.TokenRequest
	if json.Unmarshal(body, &answer) != nil || answer.Kind != "TokenRequest" {
		return errNoRequest
	}
	if _, err := parseJWT(answer.Status.Token); err != nil {
		return errNoRequest
	}
	return nil
}

// failed returns the check of an answer that is a Status with a code.
func failed(code int32) func(*site, []byte) error {
	return func(_ *site, body []byte) error {
		var answer metav1.Status
		if json.Unmarshal(body, &answer) != nil || answer.Code != code {
			return fmt.Errorf("the answer is no Status with the code %d", code)
		}
		return nil
	}
}
