package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
)

func TestSelect(t *testing.T) {
	all := Names()
	for name, test := range map[string]struct {
		list []string
		want []string
		err  string
	}{
		"none":                       {},
		"all":                        {list: []string{"*"}, want: all},
		"one":                        {list: []string{"namespace-controller"}, want: []string{"namespace-controller"}},
		"all but one":                {list: []string{"*", "-token-cleaner-controller"}, want: without(all, "token-cleaner-controller")},
		"all but one, named first":   {list: []string{"-token-cleaner-controller", "*"}, want: without(all, "token-cleaner-controller")},
		"one that is in all":         {list: []string{"namespace-controller", "*"}, want: all},
		"one left out of none":       {list: []string{"-namespace-controller"}},
		"by its short name":          {list: []string{"csrsigning"}, want: []string{"certificatesigningrequest-signing-controller"}},
		"left out by its short name": {list: []string{"*", "-csrcleaner"}, want: without(all, "certificatesigningrequest-cleaner-controller")},
		"by both of its names":       {list: []string{"csrapproving", "-certificatesigningrequest-approving-controller"}, err: "both names and excludes certificatesigningrequest-approving-controller"},
		"unknown":                    {list: []string{"*", "replicaset-controller"}, err: `"replicaset-controller" is not a controller`},
		"unknown left out":           {list: []string{"*", "-replicaset-controller"}, err: `"replicaset-controller" is not a controller`},
		"all left out":               {list: []string{"-*"}, err: `"*" is not a controller`},
		"empty name":                 {list: []string{""}, err: `"" is not a controller`},
		"the error lists what is":    {list: []string{"x"}, err: strings.Join(all, ", ")},
		"both named and left out":    {list: []string{"namespace-controller", "-namespace-controller"}, err: "both names and excludes namespace-controller"},
		"the same controller, twice": {list: []string{"namespace-controller", "namespace-controller"}, want: []string{"namespace-controller"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Select(test.list)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one with %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sets.List(sets.New(test.want...)), sets.List(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}

func TestNames(t *testing.T) {
	want := []string{
		"certificatesigningrequest-approving-controller", "certificatesigningrequest-cleaner-controller", "certificatesigningrequest-signing-controller",
		"clusterrole-aggregation-controller", "garbage-collector-controller", "legacy-serviceaccount-token-cleaner-controller", "namespace-controller", "pod-garbage-collector-controller",
		"root-ca-certificate-publisher-controller",
		"serviceaccount-controller", "serviceaccount-token-controller", "signingkey-controller", "token-cleaner-controller", "tokenrevocation-cleaner",
		"trustedissuer-status-controller",
	}
	if diff := cmp.Diff(want, Names()); diff != "" {
		t.Error(diff)
	}
}

func TestUnknownControllersAreRefused(t *testing.T) {
	if _, err := New(Config{Controllers: sets.New("x")}); err == nil {
		t.Error("New took a controller that does not exist")
	}
}

func TestFailureIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		var failures atomic.Int32
		c.before = func(action clienttesting.Action) error {
			if action.Matches("create", "serviceaccounts") && failures.Add(1) < 4 {
				return errors.New("the server is not ready")
			}
			return nil
		}
		c.run(t, Config{}, "serviceaccount-controller")
		c.addNamespace(t, "team")
		time.Sleep(time.Second)
		if _, ok := c.index.ServiceAccounts.Get("team", "default"); !ok {
			t.Errorf("no default account after %d attempts", failures.Load())
		}
	})
}

func TestPanicIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		var log shared
		c.logger = textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&log)))
		var calls atomic.Int32
		c.addAccount(t, "team", "robot")
		c.addTokenSecret(t, "team", "robot-token", "robot")
		stop := c.run(t, Config{Signer: signerFunc(func([]byte) (string, error) {
			if calls.Add(1) == 1 {
				panic("x.y.z")
			}
			return "a.b.c", nil
		})}, "serviceaccount-token-controller")
		time.Sleep(time.Second)
		stop()
		if text := log.String(); strings.Contains(text, "x.y.z") || !strings.Contains(text, "panic with a value of type string") {
			t.Errorf("the value of the panic is logged, or nothing of it:\n%s", text)
		}
		if got := c.secret(t, "team", "robot-token").Data["token"]; string(got) != "a.b.c" {
			t.Errorf("token %q after %d calls", got, calls.Load())
		}
	})
}

func TestTokensAreNotLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log shared
		c := newCluster(t)
		c.logger = textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&log), textlogger.Verbosity(10)))
		// As client-go does.
		c.before = func(action clienttesting.Action) error {
			if update, ok := action.(clienttesting.UpdateActionImpl); ok && c.did("update secrets") == 1 {
				return errors.New("no update of " + update.GetResource().Resource)
			}
			return nil
		}
		c.addAccount(t, "team", "robot")
		c.addTokenSecret(t, "team", "robot-token", "robot")
		stop := c.run(t, Config{Signer: signing("a.b.c")}, Names()...)
		time.Sleep(time.Second)
		stop()
		if !strings.Contains(log.String(), "Filled a token secret") || !strings.Contains(log.String(), "no update of secrets") {
			t.Errorf("the log misses what it should have:\n%s", log.String())
		}
		if strings.Contains(log.String(), "a.b.c") {
			t.Errorf("a token is in the log:\n%s", log.String())
		}
	})
}

func TestBodiesAreNotLogged(t *testing.T) {
	var log shared
	loud := textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&log), textlogger.Verbosity(10)))
	logger := klog.FromContext(WithoutBodies(klog.NewContext(context.Background(), loud)))
	logger = klog.LoggerWithValues(klog.LoggerWithName(logger.WithCallDepth(1), "name"), "key", "value")
	logger.V(7).Info("request")
	logger.V(8).Info("body")
	if got := log.String(); !strings.Contains(got, "request") || strings.Contains(got, "body") {
		t.Errorf("the log is:\n%s", got)
	}
	if silent := klog.FromContext(WithoutBodies(klog.NewContext(context.Background(), klog.Logger{}))); silent.Enabled() {
		t.Error("a logger that discards everything now writes")
	}
}

// shared is a log that all controllers write to.
type shared struct {
	mu  sync.Mutex
	log strings.Builder
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

type signerFunc func(claims []byte) (string, error)

func (f signerFunc) Sign(_ context.Context, claims []byte) (string, error) { return f(claims) }

func signing(token string) signerFunc { return func([]byte) (string, error) { return token, nil } }

func (c *cluster) addNamespace(t *testing.T, name string) *corev1.Namespace {
	t.Helper()
	namespace := &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
		Status:     corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
	}
	return must(c.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}))(t)
}

func (c *cluster) addAccount(t *testing.T, namespace, name string, secrets ...string) *corev1.ServiceAccount {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, secret := range secrets {
		account.Secrets = append(account.Secrets, corev1.ObjectReference{Name: secret})
	}
	return must(c.CoreV1().ServiceAccounts(namespace).Create(t.Context(), account, metav1.CreateOptions{}))(t)
}

func (c *cluster) addTokenSecret(t *testing.T, namespace, name, account string, change ...func(*corev1.Secret)) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: account}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	for _, f := range change {
		f(secret)
	}
	return must(c.CoreV1().Secrets(namespace).Create(t.Context(), secret, metav1.CreateOptions{}))(t)
}

func (c *cluster) secret(t *testing.T, namespace, name string) *corev1.Secret {
	t.Helper()
	return must(c.CoreV1().Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{}))(t)
}

func (c *cluster) hasSecret(namespace, name string) bool {
	_, ok := c.index.Secrets.Get(namespace, name)
	return ok
}

func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}
