package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/certificates"
)

// authority returns the certificate authority by which an agent knows the server: of those that the server sends and that its
// certificate leads to, the one that lasts longest.
func (c *nodeClient) authority(ctx context.Context) (*x509.Certificate, error) {
	if c.server.config.Insecure {
		return nil, errUnverified
	}
	client, err := rest.HTTPClientFor(c.server.config)
	if err != nil {
		return nil, fmt.Errorf("cannot use the kubeconfig %s: %w", c.server.source, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.server.config.Host+"/version", http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("cannot use the kubeconfig %s: %w", c.server.source, err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, c.server.explain(ctx, err)
	}
	defer func() { _ = answer.Body.Close() }() // handshake and header have told all
	if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil && time.Until(date).Abs() >= time.Minute {
		c.ahead = time.Until(date).Round(time.Second)
	}
	if answer.TLS == nil {
		return nil, fmt.Errorf("the server %s is reached without TLS: name its https address with --server", c.server.config.Host)
	}
	if found := pinnable(answer.TLS.PeerCertificates); found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("the server %s sends no certificate of its authority, so a machine could not tell it from another one: append the authority's certificate to the file of --tls-cert-file",
		c.server.config.Host)
}

func pinnable(sent []*x509.Certificate) (best *x509.Certificate) {
	behind := x509.NewCertPool()
	for _, certificate := range sent {
		behind.AddCert(certificate)
	}
	for _, certificate := range sent {
		roots := x509.NewCertPool()
		roots.AddCert(certificate)
		_, err := sent[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: behind})
		if certificate.IsCA && err == nil && (best == nil || certificate.NotAfter.After(best.NotAfter)) {
			best = certificate
		}
	}
	return best
}

// nodeBindings are the cluster roles that nodes need, and the groups that get them.
var nodeBindings = []struct{ name, role, group string }{
	{"mintmark:node-bootstrapper", "system:node-bootstrapper", certificates.NodeBootstrappers},
	{"mintmark:node-autoapprove-bootstrap", "system:certificates.k8s.io:certificatesigningrequests:nodeclient", certificates.NodeBootstrappers},
	{"mintmark:node-autoapprove-certificate-rotation", "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", user.NodesGroup},
}

// bindNodes makes the bindings that are not there.
func (c *nodeClient) bindNodes(ctx context.Context, tell func(string, ...any)) error {
	bindings := c.RbacV1().ClusterRoleBindings()
	for _, wanted := range nodeBindings {
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: wanted.name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: wanted.role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: wanted.group}},
		}
		_, err := bindings.Create(ctx, binding, metav1.CreateOptions{})
		if err == nil {
			tell("Made the clusterrolebinding %s: %s for %s.", wanted.name, wanted.role, wanted.group)
			continue
		}
		if !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("failed to make the clusterrolebinding %s: %w", wanted.name, c.server.explain(ctx, err))
		}
		found, err := bindings.Get(ctx, wanted.name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("failed to read the clusterrolebinding %s: %w", wanted.name, c.server.explain(ctx, err))
		}
		if found.RoleRef != binding.RoleRef || !slices.ContainsFunc(found.Subjects, func(s rbacv1.Subject) bool { return apiequality.Semantic.DeepEqual(s, binding.Subjects[0]) }) {
			return fmt.Errorf("the clusterrolebinding %s is there and does not bind %s to %s: delete it, and run this command again", wanted.name, wanted.role, wanted.group)
		}
	}
	return nil
}

// tryJoin does what can be tried of a join, and returns what keeps a machine from joining.
func (c *nodeClient) tryJoin(ctx context.Context, name, token string, tell func(string, ...any)) error {
	config := rest.AnonymousClientConfig(c.server.config)
	config.BearerToken = token
	joining, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("cannot use the kubeconfig %s: %w", c.server.source, err)
	}
	if _, err := joining.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}); apierrors.IsUnauthorized(err) {
		return errors.New("the server does not accept bootstrap tokens: start it without --enable-bootstrap-token-auth=false, and run this command again")
	} else if err != nil {
		return fmt.Errorf("failed to try the bootstrap token: %w", c.server.explain(ctx, err))
	}
	create := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "create", Group: "certificates.k8s.io", Resource: "certificatesigningrequests"},
	}}
	if review, err := joining.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, create, metav1.CreateOptions{}); err == nil && !review.Status.Allowed {
		return errors.New("the server does not go by role bindings, so the machine may not ask for a certificate: have RBAC in its --authorization-mode, and run this command again")
	}
	return c.tryNode(ctx, name, tell)
}

// tryNode tries what a node may do, and what it may not. What can't be tried is left out.
func (c *nodeClient) tryNode(ctx context.Context, name string, tell func(string, ...any)) error {
	config := rest.CopyConfig(c.server.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: nodeUserPrefix + name, Groups: []string{user.NodesGroup, user.AllAuthenticated}}
	node, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("cannot use the kubeconfig %s: %w", c.server.source, err)
	}
	read := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Resource: "nodes", Name: name},
	}}
	if review, err := node.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, read, metav1.CreateOptions{}); err == nil && !review.Status.Allowed {
		return errors.New("the server does not let nodes read what is theirs: have Node in its --authorization-mode, and run this command again")
	}
	foreign := &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "not-" + name + "-"}}
	if _, err := node.CoreV1().Nodes().Create(ctx, foreign, metav1.CreateOptions{DryRun: dry(true)}); err == nil {
		tell("Warning: the admission plugin NodeRestriction is off at the server, so each node can change what belongs to others: start it without --disable-admission-plugins=NodeRestriction.")
	}
	return nil
}
