package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	// callerName is the account that asks, and the one whose tokens are asked about.
	callerName, subjectName = "caller", "subject"
	// certificateUser is the name in the client certificate that is issued for the benchmark.
	certificateUser = "mintmark-bench"
	// grantTimeout is how long a role may take to be known everywhere.
	grantTimeout = 10 * time.Second
)

// site is a server of the API that is measured, and what the benchmark has there.
type site struct {
	name string
	pids []int
	// temporary is true for a server that ends with the run, so that objects in it needn't be removed.
	temporary bool
	// admin is the connection of somebody who may make accounts, roles and tokens.
	admin *rest.Config
	// certificate is a caller's, and may be missing.
	certificate *tls.Certificate
	// signingKey is the key of the server's tokens. If it is nil, new tokens are requested from the server.
	signingKey *ecdsa.PrivateKey

	url       string
	tls       *tls.Config
	client    kubernetes.Interface
	namespace string
	// caller and subject are tokens of the two accounts.
	caller, subject string
	// opaque is an access token of OpenShift; empty where there is no such API.
	opaque string
	// foreign are the trusted issuers that were made there.
	foreign foreigners
}

// open makes what the benchmark needs at the site, which is two accounts with a token each, and the roles to review and
// to request tokens. close removes it.
func (s *site) open(ctx context.Context) error {
	config := rest.CopyConfig(s.admin)
	config.QPS = -1
	var err error
	if s.client, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if s.tls, err = rest.TLSConfigFor(config); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if s.tls == nil {
		return fmt.Errorf("%s: %s is not served over TLS, or not with a certificate to verify", s.name, config.Host)
	}
	s.url = strings.TrimSuffix(config.Host, "/")
	s.namespace = "mintmark-bench-" + strings.ToLower(rand.Text()[:8])
	if err := s.makeObjects(ctx); err != nil {
		return fmt.Errorf("%s: preparing it: %w", s.name, err)
	}
	for name, token := range map[string]*string{callerName: &s.caller, subjectName: &s.subject} {
		if *token, err = s.request(ctx, name); err != nil {
			return fmt.Errorf("%s: a token for the account %s: %w", s.name, name, err)
		}
	}
	if err := s.makeOpaque(ctx); err != nil {
		return fmt.Errorf("%s: preparing OpenShift's API: %w", s.name, err)
	}
	if err := s.granted(ctx); err != nil {
		return fmt.Errorf("%s: waiting for the caller's roles to count: %w", s.name, err)
	}
	return nil
}

// granted waits until the caller may review and request tokens: elsewhere, a role may count a while after it was made.
func (s *site) granted(ctx context.Context) error {
	config := rest.AnonymousClientConfig(s.admin)
	config.BearerToken = s.caller
	caller, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, grantTimeout)
	defer cancel()
	for {
		_, reviewErr := caller.AuthenticationV1().TokenReviews().Create(ctx,
			&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: s.subject}}, metav1.CreateOptions{})
		_, requestErr := caller.CoreV1().ServiceAccounts(s.namespace).
			CreateToken(ctx, subjectName, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		err := errors.Join(reviewErr, requestErr)
		if !apierrors.IsForbidden(reviewErr) && !apierrors.IsForbidden(requestErr) {
			return err
		}
		select {
		case <-time.After(pollPeriod):
		case <-ctx.Done():
			return err
		}
	}
}

// close removes what open has made, even if that was not all of it.
func (s *site) close(ctx context.Context) error {
	if s.client == nil || s.temporary {
		return nil
	}
	var errs []error
	for _, err := range append(s.removeOpaque(ctx),
		s.client.RbacV1().ClusterRoleBindings().Delete(ctx, s.namespace, metav1.DeleteOptions{}),
		s.client.CoreV1().Namespaces().Delete(ctx, s.namespace, metav1.DeleteOptions{}),
	) {
		if err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("%s: cleaning up: %w", s.name, err))
		}
	}
	return errors.Join(errs...)
}

func (s *site) makeObjects(ctx context.Context) error {
	meta := metav1.ObjectMeta{Name: s.namespace}
	options := metav1.CreateOptions{}
	if _, err := s.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: meta}, options); err != nil {
		return err
	}
	for _, name := range []string{callerName, subjectName} {
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := s.client.CoreV1().ServiceAccounts(s.namespace).Create(ctx, account, options); err != nil {
			return err
		}
	}
	subjects := []rbacv1.Subject{
		{Kind: rbacv1.ServiceAccountKind, Namespace: s.namespace, Name: callerName},
		{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: certificateUser},
	}
	_, err := s.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:auth-delegator"},
	}, options)
	if err != nil {
		return err
	}
	_, err = s.client.RbacV1().Roles(s.namespace).Create(ctx, &rbacv1.Role{
		ObjectMeta: meta,
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{"create"}, APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}}},
	}, options)
	if err != nil {
		return err
	}
	_, err = s.client.RbacV1().RoleBindings(s.namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: meta, Subjects: subjects,
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: s.namespace},
	}, options)
	return err
}

// request asks the site for a token.
func (s *site) request(ctx context.Context, account string) (string, error) {
	made, err := s.client.CoreV1().ServiceAccounts(s.namespace).
		CreateToken(ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return made.Status.Token, nil
}

// username is the user of the tokens under review.
func (s *site) username() string {
	return "system:serviceaccount:" + s.namespace + ":" + subjectName
}
