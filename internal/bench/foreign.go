package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

const (
	trustedIssuersPath = "/apis/mintmark.io/v1alpha1/trustedissuers"
	// manyIssuers are how many trusted issuers there are in the rows of many, and tokensOfEach how many tokens each has there.
	manyIssuers, tokensOfEach = 5000, 20
	// foreignAudience is the audience of their tokens, and foreignUser whose these are.
	foreignAudience, foreignUser = "bench", "elsewhere:system:serviceaccount:shop:cart"
	foreignKeyID                 = "elsewhere"
	// warmUpTimeout bounds the reviews by which the server gets to know the tokens.
	warmUpTimeout = 10 * time.Minute
	// trustWorkers is how many objects and reviews are sent at a time while a row is prepared.
	trustWorkers = 16
)

// foreigners are the trusted issuers that a site has, and tokens of theirs.
type foreigners struct {
	issuers int
	// warm are reviews of tokens that the server has seen.
	warm [][]byte
}

// unknownThere is the reason why a site has no part in scenarios of trusted issuers.
func unknownThere(s *site) string {
	if !s.temporary || s.signingKey == nil {
		return "the benchmark makes no trusted issuers there"
	}
	return ""
}

// foreignIssuer is the url of an issuer by its number.
func foreignIssuer(n int) string { return "https://issuer-" + strconv.Itoa(n) + ".example" }

// trust has a site accept the tokens of n issuers, whose keys are in the objects.
func (s *site) trust(ctx context.Context, n int) error {
	config := rest.CopyConfig(s.admin)
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{} // that all have one prefix
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	keys, err := json.Marshal(map[string]any{"keys": []any{jose.JSONWebKey{Key: s.signingKey.Public(), KeyID: foreignKeyID, Algorithm: es256, Use: "sig"}}})
	if err != nil {
		return err
	}
	first := s.foreign.issuers
	err = inParallel(ctx, max(n-first, 0), trustWorkers, func(ctx context.Context, i int) error {
		object := v1alpha1.TrustedIssuer{Spec: v1alpha1.TrustedIssuerSpec{
			URL: foreignIssuer(first + i), JWKS: string(keys), Audiences: []string{foreignAudience}, Kubernetes: &v1alpha1.KubernetesTokens{Prefix: "elsewhere:"},
		}}
		object.APIVersion, object.Kind, object.Name = v1alpha1.SchemeGroupVersion.String(), "TrustedIssuer", fmt.Sprintf("issuer-%05d", first+i)
		body, err := json.Marshal(&object)
		if err != nil {
			return err
		}
		err = client.Discovery().RESTClient().Post().AbsPath(trustedIssuersPath).SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error()
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	})
	s.foreign.issuers = max(n, first)
	return err
}

// foreignReview is a review of a new token of an issuer.
func (s *site) foreignReview(n int) ([]byte, error) {
	j, err := parseJWT(s.subject)
	if err != nil {
		return nil, err
	}
	j.renew()
	j.header["kid"] = text(foreignKeyID)
	j.claims["iss"], j.claims["sub"] = text(foreignIssuer(n)), text("system:serviceaccount:shop:cart")
	j.claims["aud"] = json.RawMessage(`["` + foreignAudience + `"]`)
	j.claims["kubernetes.io"] = json.RawMessage(`{"namespace":"shop","node":{"name":"node-1","uid":"5c1b6a52-7f0e-4d6b-9a51-6f2f1f6f7c11"},` +
		`"pod":{"name":"cart-7d9f8b6c5-x2k4z","uid":"0b8c8f0e-7a4e-4b7e-8b61-3f1de0a4a3c1"},"serviceaccount":{"name":"cart","uid":"7f6c5b1e-2f5d-4a53-9d4b-1f7f4f7f5a10"}}`)
	token, err := j.sign(s.signingKey)
	if err != nil {
		return nil, err
	}
	return json.Marshal(&authenticationv1.TokenReview{
		TypeMeta: typed("TokenReview"), Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{foreignAudience}},
	})
}

// foreignNew makes reviews of new tokens of n issuers, in turn.
func foreignNew(issuers int) func(context.Context, *site, int) ([][]byte, error) {
	return func(ctx context.Context, s *site, n int) ([][]byte, error) {
		if err := s.trust(ctx, issuers); err != nil {
			return nil, err
		}
		bodies := make([][]byte, n)
		for i := range bodies {
			var err error
			if bodies[i], err = s.foreignReview(i % issuers); err != nil {
				return nil, err
			}
		}
		return bodies, nil
	}
}

// foreignWarm returns reviews of tokens of n issuers that the server has seen, so many of each.
func foreignWarm(issuers, ofEach int) func(context.Context, *site, int) ([][]byte, error) {
	return func(ctx context.Context, s *site, _ int) ([][]byte, error) {
		if len(s.foreign.warm) == issuers*ofEach {
			return s.foreign.warm, nil
		}
		bodies, err := foreignNew(issuers)(ctx, s, issuers*ofEach)
		if err != nil {
			return nil, err
		}
		s.foreign.warm = bodies
		return bodies, s.warmUp(ctx, bodies)
	}
}

// warmUp sends each of the bodies once.
func (s *site) warmUp(ctx context.Context, bodies [][]byte) error {
	sc := scenario{}
	config := &tls.Config{RootCAs: s.tls.RootCAs, ServerName: s.tls.ServerName, MinVersion: tls.VersionTLS12}
	c, err := newClient(s.url+reviewPath, sc.header(s), config, http1, trustWorkers)
	if err != nil {
		return err
	}
	defer c.close()
	_, err = c.run(ctx, bodies, true, warmUpTimeout)
	return err
}

// acceptedForeign wants the account of the cluster elsewhere.
func acceptedForeign(_ *site, body []byte) error {
	status, err := verdict(body)
	if err == nil && (!status.Authenticated || status.User.Username != foreignUser) {
		err = errRefused
	}
	return err
}
