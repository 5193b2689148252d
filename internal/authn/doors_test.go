package authn_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"

	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/oauth"
)

// door is a place where a token can be shown. It reports whether the token is accepted, and the reason if it says one.
type door func(h house, token string) (accepted bool, reason string)

// reviewAt shows a token in a review.
func reviewAt(path, version string) door {
	return func(h house, token string) (bool, string) {
		answer, status := h.admin.Do("POST "+path, `{apiVersion: authentication.k8s.io/`+version+`, kind: TokenReview, spec: {token: "`+token+`"}}`)
		if status/100 != 2 {
			return false, fmt.Sprint(status)
		}
		review := answer.(map[string]any)["status"].(map[string]any)
		accepted, _ := review["authenticated"].(bool)
		reason, _ := review["error"].(string)
		return accepted, reason
	}
}

// listAt shows a token in a list of reviews.
func listAt(query string) door {
	return func(h house, token string) (bool, string) {
		answer, status := h.admin.Do("POST "+ownGroup+"/tokenreviewlists"+query, `{apiVersion: mintmark.io/v1alpha1, kind: TokenReviewList, spec: {reviews: [{token: x}, {token: "`+token+`"}]}}`)
		if status/100 != 2 {
			return false, fmt.Sprint(status)
		}
		result := answer.(map[string]any)["status"].(map[string]any)["results"].([]any)[1].(map[string]any)["status"].(map[string]any)
		accepted, _ := result["authenticated"].(bool)
		reason, _ := result["error"].(string)
		return accepted, reason
	}
}

// explained shows a token to be explained.
func explained(h house, token string) (bool, string) {
	answer, status := h.admin.Do("POST "+ownGroup+"/tokenexplanations", `{spec: {token: "`+token+`"}}`)
	if status/100 != 2 {
		return false, fmt.Sprint(status)
	}
	explanation := answer.(map[string]any)["status"].(map[string]any)
	return explanation["verdict"] == "Authenticated", fmt.Sprint(explanation["reason"])
}

// callerAt shows a token as the credential of a request.
func callerAt(request, body string, headers ...string) door {
	return func(h house, token string) (bool, string) {
		caller, known := h.callers[token]
		if !known {
			caller = h.Caller(h.TokenConfig(token))
			h.callers[token] = caller
		}
		_, status := caller.Do(request, body, headers...)
		return status != http.StatusUnauthorized, fmt.Sprint(status)
	}
}

// byProtocol shows a token as a browser does, which can't send it otherwise when it opens a WebSocket: as one of the protocols.
func byProtocol(request, body string) door {
	return func(h house, token string) (bool, string) {
		config := rest.AnonymousClientConfig(h.AdminConfig())
		config.NextProtos = []string{"http/1.1"}
		protocol := "base64url.bearer.authorization.k8s.io." + base64.RawURLEncoding.EncodeToString([]byte(token))
		_, status := h.Caller(config).Do(request, body, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: "+protocol+", v4.channel.k8s.io")
		return status != http.StatusUnauthorized, fmt.Sprint(status)
	}
}

// asRevoker shows a token as the further credential of a revocation by RFC 7009.
func asRevoker(h house, token string) (bool, string) {
	status, _ := h.revoke(token, url.Values{"token": {"(nobody)"}})
	return status != http.StatusUnauthorized, fmt.Sprint(status)
}

const (
	ownGroup                  = "/apis/mintmark.io/v1alpha1"
	reviews, openShiftReviews = "/apis/authentication.k8s.io/v1/tokenreviews", "/apis/oauth.openshift.io/v1/tokenreviews"
)

var (
	// reviewDoors are all places for reviews that know tokens of every kind: the fast path and the generic chain.
	reviewDoors = map[string]door{
		"review":                         reviewAt(reviews, "v1"),
		"review, generic chain":          reviewAt(reviews+"?fieldValidation=Strict", "v1"),
		"list of reviews":                listAt(""),
		"list of reviews, generic chain": listAt("?fieldValidation=Strict"),
		"/authenticate":                  reviewAt("/authenticate", "v1"),
		"/authenticate, older":           reviewAt("/authenticate", "v1beta1"),
		"explanation":                    explained,
	}
	openShiftDoors = map[string]door{
		"OpenShift's review":                reviewAt(openShiftReviews, "v1"),
		"OpenShift's review, generic chain": reviewAt(openShiftReviews+"?fieldValidation=Strict", "v1"),
	}
	callerDoors = map[string]door{
		"caller":                            callerAt("POST /apis/authentication.k8s.io/v1/selfsubjectreviews", "{}"),
		"caller of a review":                callerAt("POST "+reviews, "{spec: {token: x}}"),
		"caller of a list of reviews":       callerAt("POST "+ownGroup+"/tokenreviewlists", "{apiVersion: mintmark.io/v1alpha1, kind: TokenReviewList, spec: {reviews: [{token: x}]}}"),
		"caller of a TokenRequest":          callerAt("POST /api/v1/namespaces/default/serviceaccounts/app/token", "{spec: {}}"),
		"caller of /authenticate":           callerAt("POST /authenticate", `{apiVersion: authentication.k8s.io/v1, kind: TokenReview, spec: {token: "x"}}`),
		"caller of OpenShift's review":      callerAt("POST "+openShiftReviews, "{apiVersion: authentication.k8s.io/v1, kind: TokenReview, spec: {token: x}}"),
		"caller of a revocation":            callerAt("POST "+revocations, "{spec: {}}"),
		"caller of an explanation":          callerAt("POST "+ownGroup+"/tokenexplanations", "{spec: {token: x}}"),
		"caller of a certificate":           callerAt("POST /apis/certificates.k8s.io/v1/certificatesigningrequests", "{spec: {}}"),
		"caller of the feed":                callerAt("GET "+ownGroup+"/tokenreviewevents?watch=true", ""),
		"caller of the issuer's document":   callerAt("GET /openid/v1/jwks", ""),
		"caller of discovery":               callerAt("GET /api", ""),
		"caller of the metrics":             callerAt("GET /metrics", ""),
		"caller of something else entirely": callerAt("GET /api/v1/namespaces", ""),
		"caller of /oauth/revoke":           asRevoker,
		"WebSocket":                         byProtocol("GET /api/v1/namespaces?watch=true", ""),
		"WebSocket, fast path":              byProtocol("POST "+reviews, "{apiVersion: authentication.k8s.io/v1, kind: TokenReview, spec: {token: x}}"),
	}
)

// doors are the doors of a kind of token. A token is shown at all of them after it was taken back in the first way, and at one of
// each sort after the other ways, which differ in what they store alone.
func doors(kind string, all bool) map[string]door {
	if !all {
		return map[string]door{"review": reviewDoors["review"], "caller": callerDoors["caller"]}
	}
	found := maps.Clone(callerDoors)
	maps.Copy(found, reviewDoors)
	if kind == "opaque" {
		maps.Copy(found, openShiftDoors)
	}
	return found
}

// refusalAt is what a door says of a token that was taken back.
func refusalAt(name, kind string) string {
	switch {
	case openShiftDoors[name] != nil:
		return oauth.LookupText
	case callerDoors[name] != nil:
		return "401"
	case name == "explanation":
		return "Revoked"
	case kind == "bound", kind == "legacy":
		return "[invalid bearer token, service account token has been invalidated]"
	}
	return "invalid bearer token"
}
