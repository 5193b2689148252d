package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	mintmark "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

const (
	// callTimeout is more than a server takes to say that the store does not answer.
	callTimeout = 5 * time.Second
	// tokenLife is the shortest there may be. A token's revocation is kept as long.
	tokenLife = 10 * time.Minute
	core      = "/api/v1/namespaces/default/"
	own       = "/apis/mintmark.io/v1alpha1/"
)

// client calls one server. It never repeats a call: whether a call was answered is what is looked at.
type client struct {
	base    string
	dataDir string
	// wrap bends the transport as a planted bug does.
	wrap      func(http.RoundTripper) http.RoundTripper
	transport http.RoundTripper
	http      *http.Client
}

func newClient(base, dataDir string, wrap func(http.RoundTripper) http.RoundTripper) *client {
	return &client{base: base, dataDir: dataDir, wrap: wrap}
}

// bend puts a planted bug in the place of another.
func (c *client) bend(wrap func(http.RoundTripper) http.RoundTripper) {
	c.http = &http.Client{Transport: wrap(c.transport), Timeout: callTimeout}
}

// refusal is an answer that is no success.
type refusal struct {
	code    int
	message string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d: %s", r.code, r.message) }

// codeOf returns the status code of a refusal, or 0 if there was no answer.
func codeOf(err error) int {
	var r *refusal
	if errors.As(err, &r) {
		return r.code
	}
	return 0
}

// unavailable tells whether an error says nothing about what was asked: no answer, or "ask again".
func unavailable(err error) bool {
	switch codeOf(err) {
	case 0, http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusInternalServerError:
		return true
	}
	return false
}

func (c *client) ready(ctx context.Context) error {
	if c.http == nil {
		authority, err := os.ReadFile(filepath.Join(c.dataDir, "ca.crt"))
		if err != nil {
			return err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(authority) {
			return errors.New("ca.crt has no certificate")
		}
		c.transport = &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute,
		}
		c.bend(c.wrap)
	}
	return c.call(ctx, http.MethodGet, "/readyz", nil, nil)
}

// call sends a request as the administrator and decodes the answer.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	text, err := c.do(ctx, method, path, in)
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(text, out)
}

// text returns what a path answers.
func (c *client) text(ctx context.Context, path string) (string, error) {
	text, err := c.do(ctx, http.MethodGet, path, nil)
	return string(text), err
}

// do sends a request as the administrator and reads the answer.
func (c *client) do(ctx context.Context, method, path string, in any) ([]byte, error) {
	var body io.Reader = http.NoBody
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // it was read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusBadRequest {
		var status metav1.Status
		_ = json.Unmarshal(text, &status) // an answer that is no Status has no message
		return nil, &refusal{response.StatusCode, status.Message}
	}
	return text, nil
}

func (c *client) createAccount(ctx context.Context, name string) (types.UID, error) {
	made := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	err := c.call(ctx, http.MethodPost, core+"serviceaccounts", made, made)
	return made.UID, err
}

func (c *client) createPod(ctx context.Context, name, account string) (types.UID, error) {
	made := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{
		ServiceAccountName: account, Containers: []corev1.Container{{Name: "app", Image: "app"}},
	}}
	err := c.call(ctx, http.MethodPost, core+"pods", made, made)
	return made.UID, err
}

// remove deletes an object at once.
func (c *client) remove(ctx context.Context, resource, name string) error {
	return c.call(ctx, http.MethodDelete, core+resource+"/"+name, map[string]any{
		"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
	}, nil)
}

// issue requests a token, bound to a pod if one is named.
func (c *client) issue(ctx context.Context, account, pod string, uid types.UID) (string, error) {
	life := int64(tokenLife.Seconds())
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &life}}
	if pod != "" {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod, UID: uid}
	}
	err := c.call(ctx, http.MethodPost, core+"serviceaccounts/"+account+"/token", request, request)
	return request.Status.Token, err
}

func (c *client) review(ctx context.Context, token string) (authenticationv1.TokenReviewStatus, error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	err := c.call(ctx, http.MethodPost, "/apis/authentication.k8s.io/v1/tokenreviews", review, review)
	return review.Status, err
}

// revoke takes a token back. The name makes a second try of the same revocation a conflict.
func (c *client) revoke(ctx context.Context, name, token string) error {
	return c.call(ctx, http.MethodPost, own+"tokenrevocations", &mintmark.TokenRevocation{
		TypeMeta:   metav1.TypeMeta{APIVersion: "mintmark.io/v1alpha1", Kind: "TokenRevocation"},
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: mintmark.TokenRevocationSpec{Token: token, Reason: "faults"},
	}, nil)
}

// rotate makes a signing key, which takes over after the lead time.
func (c *client) rotate(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, own+"signingkeys", &mintmark.SigningKey{
		TypeMeta: metav1.TypeMeta{APIVersion: "mintmark.io/v1alpha1", Kind: "SigningKey"},
		Spec:     mintmark.SigningKeySpec{Algorithm: "ES256", AcceptShortLead: true},
	}, nil)
}

// uids returns the UIDs of all objects of a resource, by their names.
func (c *client) uids(ctx context.Context, resource string) (map[string]types.UID, error) {
	var list struct {
		Items []struct {
			Metadata metav1.ObjectMeta `json:"metadata"`
		} `json:"items"`
	}
	if err := c.call(ctx, http.MethodGet, core+resource, nil, &list); err != nil {
		return nil, err
	}
	found := make(map[string]types.UID, len(list.Items))
	for i := range list.Items {
		found[list.Items[i].Metadata.Name] = list.Items[i].Metadata.UID
	}
	return found, nil
}
