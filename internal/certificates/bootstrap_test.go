package certificates_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mintmark/mintmark/internal/certificates"
)

// nodeToken returns the secret of a bootstrap token for the node vm1, after changes.
func nodeToken(change func(*corev1.Secret)) *corev1.Secret {
	secret := &corev1.Secret{Type: "bootstrap.kubernetes.io/token", Data: map[string][]byte{
		"node-name": []byte("vm1"), "expiration": []byte(now.Add(time.Hour).Format(time.RFC3339)),
	}}
	if change != nil {
		change(secret)
	}
	return secret
}

// TestNodeTokens: what a bootstrap token for one node is good for.
func TestNodeTokens(t *testing.T) {
	gone := "the bootstrap token is gone or has expired: make a new one with 'mintmark node add NAME'"
	for name, c := range map[string]struct {
		secret *corev1.Secret
		change func(template, spec)
		want   string
	}{
		"its node":       {nodeToken(nil), nil, ""},
		"no end":         {nodeToken(func(s *corev1.Secret) { delete(s.Data, "expiration") }), nil, ""},
		"no secret":      {nil, nil, gone},
		"another secret": {nodeToken(func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }), nil, gone},
		"being deleted":  {nodeToken(func(s *corev1.Secret) { s.DeletionTimestamp = &metav1.Time{Time: now} }), nil, gone},
		"expired":        {nodeToken(func(s *corev1.Secret) { s.Data["expiration"] = []byte(now.Format(time.RFC3339)) }), nil, gone},
		"no time":        {nodeToken(func(s *corev1.Secret) { s.Data["expiration"] = []byte("soon") }), nil, gone},
		"no name":        {nodeToken(func(s *corev1.Secret) { delete(s.Data, "node-name") }), nil, "its secret names none"},
		"an empty name":  {nodeToken(func(s *corev1.Secret) { s.Data["node-name"] = nil }), nil, "its secret names none"},
		"another node":   {nodeToken(nil), func(c template, _ spec) { c.Subject.CommonName = "system:node:vm2" }, `so the common name must be "system:node:vm1", not "system:node:vm2"`},
		"a longer name":  {nodeToken(nil), func(c template, _ spec) { c.Subject.CommonName = "system:node:vm1.example" }, `so the common name must be "system:node:vm1"`},
		"a user":         {nodeToken(nil), func(c template, _ spec) { c.Subject.CommonName = "vm1" }, `not "vm1"`},
		"another signer": {nodeToken(nil), person(nil), `good for the signer kubernetes.io/kube-apiserver-client-kubelet alone, not for "kubernetes.io/kube-apiserver-client"`},
		"serving":        {nodeToken(nil), serving(nil), `not for "kubernetes.io/kubelet-serving"`},
	} {
		csr := newCSR(t, c.change)
		err := certificates.CheckNode(c.secret, csr.Spec.SignerName, parsed(t, csr), now)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestFirstUse: a token is good for the first key, and for a name that no node has unless it says otherwise.
func TestFirstUse(t *testing.T) {
	mine, other := parsed(t, newCSR(t, nil)), parsed(t, newCSR(t, nil))
	used := func(s *corev1.Secret) { s.Data["used-by"] = []byte(certificates.KeyHash(mine)) }
	rejoin := func(value string) func(*corev1.Secret) {
		return func(s *corev1.Secret) { s.Data["rejoin"] = []byte(value) }
	}
	const usedUp = "the bootstrap token was used with another key already: make a new one with 'mintmark node add vm1'"
	const taken = `there is a node "vm1" already: choose another name, or have this machine take its place with 'mintmark node add vm1 --rejoin'`
	for name, c := range map[string]struct {
		secret *corev1.Secret
		theirs bool
		taken  bool
		first  bool
		want   string
	}{
		"the first":                       {nodeToken(nil), false, false, true, ""},
		"the same key again":              {nodeToken(used), false, false, false, ""},
		"the same key, the node is there": {nodeToken(used), false, true, false, ""},
		"another key":                     {nodeToken(used), true, false, false, usedUp},
		"another key, the node is there":  {nodeToken(used), true, true, false, usedUp},
		"the node is there":               {nodeToken(nil), false, true, false, taken},
		"it may be":                       {nodeToken(rejoin("true")), false, true, true, ""},
		"it may not be":                   {nodeToken(rejoin("false")), false, true, false, taken},
	} {
		request := mine
		if c.theirs {
			request = other
		}
		first, err := certificates.CheckFirst(c.secret, request, c.taken)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want || first != c.first {
			t.Errorf("%s: %t, %q", name, first, got)
		}
	}
}

// TestForOneNode: whose requests are held to the rules of tokens for one node.
func TestForOneNode(t *testing.T) {
	of := []string{"system:bootstrappers", "system:bootstrappers:mintmark:node", "system:authenticated"}
	ordinary := nodeToken(func(s *corev1.Secret) { delete(s.Data, "node-name") })
	for name, c := range map[string]struct {
		groups []string
		secret *corev1.Secret
		want   bool
	}{
		"by the group":                     {of, nil, true},
		"by the secret":                    {of[:1], nodeToken(nil), true},
		"by the group, against the secret": {of, ordinary, true},
		"an ordinary token":                {of[:1], ordinary, false},
		"an ordinary token that is gone":   {of[:1], nil, false},
		"another secret":                   {nil, &corev1.Secret{Data: map[string][]byte{"node-name": nil}}, false},
	} {
		if got := certificates.ForOneNode(c.groups, c.secret); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// secrets reads one secret.
type secrets struct {
	name string
	err  error
}

func (s secrets) Object(_ context.Context, namespace, name string) (runtime.Object, error) {
	if namespace != "kube-system" || name != s.name {
		return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
	}
	return nodeToken(nil), s.err
}

// TestFindToken: a user has a token by its name, and a store that does not answer is no answer.
func TestFindToken(t *testing.T) {
	failed := errors.New("failed")
	for name, c := range map[string]struct {
		stored secrets
		found  bool
		err    error
	}{
		"system:bootstrap:abcdef": {secrets{name: "bootstrap-token-abcdef"}, true, nil},
		"system:bootstrap:other":  {secrets{name: "bootstrap-token-abcdef"}, false, nil},
		"system:bootstrap:a/b":    {secrets{"bootstrap-token-a/b", apierrors.NewBadRequest("x")}, false, nil},
		"system:bootstrap:failed": {secrets{"bootstrap-token-failed", failed}, false, failed},
		"system:node:abcdef":      {secrets{name: "bootstrap-token-abcdef"}, false, nil},
		"abcdef":                  {secrets{name: "bootstrap-token-abcdef"}, false, nil},
	} {
		secret, err := certificates.FindToken(t.Context(), c.stored, name)
		if (secret != nil) != c.found || !errors.Is(err, c.err) {
			t.Errorf("%s: found %t, %v", name, secret != nil, err)
		}
	}
}
