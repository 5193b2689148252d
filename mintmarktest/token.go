package mintmarktest

import (
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/forgery"
)

// IssueOptions say what a token is like. The zero value is a token for the server's own audience that lives for an hour.
type IssueOptions struct {
	// Audiences are those that the token is for. Default: the server.
	Audiences []string
	// Expiration is how long the token lives by the Clock: an hour by default, and at least ten minutes, as in Kubernetes, unless
	// the server was started with "--service-account-min-token-expiration=1s".
	Expiration time.Duration
	// Pod, Secret or Node is the name of the object that the token is bound to: it ends with that. The object is made if it is
	// missing. A token is bound to one object at most.
	Pod, Secret, Node string
}

// Issue returns a token of a service account, as TokenRequest makes it. The account is given as "namespace/name", or by its
// name alone in the namespace default; namespace and account are made if they are missing. Of the options there may be one.
func (s *Server) Issue(account string, options ...IssueOptions) string {
	s.t.Helper()
	token, err := s.issue(account, first(options))
	if err != nil {
		s.t.Fatalf("no token of the service account %q: %v", account, err)
	}
	return token
}

// first returns the options, or the zero value if there are none.
func first(options []IssueOptions) IssueOptions {
	if len(options) == 0 {
		return IssueOptions{}
	}
	return options[0]
}

func (s *Server) issue(account string, options IssueOptions) (string, error) {
	namespace, name := split(account)
	if err := s.makeAccount(namespace, name); err != nil {
		return "", err
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: options.Audiences}}
	if options.Expiration != 0 {
		seconds := int64(options.Expiration.Seconds())
		request.Spec.ExpirationSeconds = &seconds
	}
	var err error
	if request.Spec.BoundObjectRef, err = s.makeBound(namespace, name, options); err != nil {
		return "", err
	}
	answer, err := s.own.CoreV1().ServiceAccounts(namespace).CreateToken(s.ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return answer.Status.Token, nil
}

// split returns the namespace and the name of an account.
func split(account string) (namespace, name string) {
	if namespace, name, found := strings.Cut(account, "/"); found {
		return namespace, name
	}
	return metav1.NamespaceDefault, account
}

// makeAccount makes a service account and its namespace unless they are there.
func (s *Server) makeAccount(namespace, name string) error {
	_, err := s.own.CoreV1().Namespaces().Create(s.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err = s.own.CoreV1().ServiceAccounts(namespace).Create(s.ctx, account, metav1.CreateOptions{}); apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// makeBound makes the object that a token is to be bound to unless it is there. It returns nil if there is none.
func (s *Server) makeBound(namespace, account string, options IssueOptions) (*authenticationv1.BoundObjectReference, error) {
	ref := &authenticationv1.BoundObjectReference{APIVersion: "v1"}
	api, create := s.own.CoreV1(), metav1.CreateOptions{}
	var err error
	switch {
	case options.Pod != "":
		ref.Kind, ref.Name = "Pod", options.Pod
		_, err = api.Pods(namespace).Create(s.ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: options.Pod},
			Spec:       corev1.PodSpec{ServiceAccountName: account, Containers: []corev1.Container{{Name: "main", Image: "example.invalid/main"}}},
		}, create)
	case options.Secret != "":
		ref.Kind, ref.Name = "Secret", options.Secret
		_, err = api.Secrets(namespace).Create(s.ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: options.Secret}}, create)
	case options.Node != "":
		ref.Kind, ref.Name = "Node", options.Node
		_, err = api.Nodes().Create(s.ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: options.Node}}, create)
	default:
		return nil, nil //nolint:nilnil // there is none
	}
	if apierrors.IsAlreadyExists(err) {
		err = nil
	}
	return ref, err
}

// Forge makes a token of a kind that must be refused. Apart from what is wrong with it, it is like a token that Issue
// returns: give the audience that the relying party wants, so that nothing else is wrong. Of the options only Audiences count.
func (s *Server) Forge(kind Forgery, account string, options ...IssueOptions) string {
	s.t.Helper()
	token, err := s.forge(kind, account, first(options))
	if err != nil {
		s.t.Fatalf("no forged token %s of the service account %q: %v", kind, account, err)
	}
	return token
}

func (s *Server) forge(kind Forgery, account string, options IssueOptions) (string, error) {
	namespace, name := split(account)
	if err := s.makeAccount(namespace, name); err != nil {
		return "", err
	}
	var made apiserver.ForgedToken
	err := s.post(apiserver.ForgePath, forgery.Request{Kind: string(kind), Namespace: namespace, ServiceAccount: name, Audiences: options.Audiences}, &made)
	return made.Token, err
}

// Forgeries returns one forged token of each kind. A party that verifies tokens by itself can't refuse those whose kind
// NeedsReview.
func (s *Server) Forgeries(account string, options ...IssueOptions) iter.Seq2[Forgery, string] {
	return func(yield func(Forgery, string) bool) {
		s.t.Helper()
		for _, kind := range Kinds() {
			if !yield(kind, s.Forge(kind, account, options...)) {
				return
			}
		}
	}
}

// RotateKeys has a new key sign from now on. Tokens of the one before are accepted until they end.
func (s *Server) RotateKeys() {
	s.t.Helper()
	key := &v1alpha1.SigningKey{Spec: v1alpha1.SigningKeySpec{
		Algorithm: "ES256", LeadTime: &metav1.Duration{}, AcceptShortLead: true,
	}}
	key.APIVersion, key.Kind = v1alpha1.SchemeGroupVersion.String(), "SigningKey"
	if err := s.post("/apis/"+v1alpha1.SchemeGroupVersion.String()+"/signingkeys", key, &v1alpha1.SigningKey{}); err != nil {
		s.t.Fatalf("the signing keys were not rotated: %v", err)
	}
}

// post sends JSON to a path of the server, as the administrator.
func (s *Server) post(path string, body, answer any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	result := s.own.CoreV1().RESTClient().Post().AbsPath(path).SetHeader("Content-Type", "application/json").SetHeader("Accept", "application/json").
		Body(data).Do(s.ctx)
	if err := result.Error(); err != nil { // which has the server's words, unlike that of Raw
		return err
	}
	got, err := result.Raw()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(got, answer); err != nil {
		return fmt.Errorf("the answer to %s %s can't be read: %w", http.MethodPost, path, err)
	}
	return nil
}
