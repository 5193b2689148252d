package controller

import (
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clienttesting "k8s.io/client-go/testing"
)

const tokens = "serviceaccount-token-controller"

func TestTokenSecretIsFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		var claims map[string]string
		c.run(t, Config{RootCA: []byte("the CA"), Signer: signerFunc(func(payload []byte) (string, error) {
			return "a.b.c", json.Unmarshal(payload, &claims)
		})}, tokens)
		account := c.addAccount(t, "team", "robot")
		c.addTokenSecret(t, "team", "robot-token", "robot")
		synctest.Wait()

		secret := c.secret(t, "team", "robot-token")
		if diff := cmp.Diff(map[string][]byte{
			"token": []byte("a.b.c"), "namespace": []byte("team"), "ca.crt": []byte("the CA"),
		}, secret.Data); diff != "" {
			t.Errorf("data: %s", diff)
		}
		if diff := cmp.Diff(map[string]string{
			"kubernetes.io/service-account.name": "robot", "kubernetes.io/service-account.uid": string(account.UID),
		}, secret.Annotations); diff != "" {
			t.Errorf("annotations: %s", diff)
		}
		if diff := cmp.Diff(map[string]string{
			"iss":                                    "kubernetes/serviceaccount",
			"sub":                                    "system:serviceaccount:team:robot",
			"kubernetes.io/serviceaccount/namespace": "team",
			"kubernetes.io/serviceaccount/secret.name":          "robot-token",
			"kubernetes.io/serviceaccount/service-account.name": "robot",
			"kubernetes.io/serviceaccount/service-account.uid":  string(account.UID),
		}, claims); diff != "" {
			t.Errorf("claims: %s", diff)
		}
		if got := c.did("update secrets"); got != 1 {
			t.Errorf("%d updates, want one", got)
		}
	})
}

func TestWhatIsInTokenSecret(t *testing.T) {
	pinned := func(s *corev1.Secret) { s.Annotations[corev1.ServiceAccountUIDKey] = "uid-1" }
	data := func(pairs ...string) func(*corev1.Secret) {
		return func(s *corev1.Secret) { s.Data = bytesOf(pairs...) }
	}
	changes := func(all ...func(*corev1.Secret)) []func(*corev1.Secret) { return all }
	complete := bytesOf("token", "mine", "ca.crt", "the CA", "namespace", "team")
	filled := bytesOf("token", "a.b.c", "ca.crt", "the CA", "namespace", "team")
	for name, test := range map[string]struct {
		change  []func(*corev1.Secret)
		want    map[string][]byte
		updates int
	}{
		"a token that is there stays":      {change: changes(data("token", "mine")), want: complete, updates: 1},
		"an old CA is replaced":            {change: changes(pinned, data("token", "mine", "namespace", "team", "ca.crt", "old")), want: complete, updates: 1},
		"another namespace stays":          {change: changes(pinned, data("token", "mine", "namespace", "x", "ca.crt", "the CA")), want: bytesOf("token", "mine", "ca.crt", "the CA", "namespace", "x")},
		"a complete one is left alone":     {change: changes(pinned, data("token", "mine", "namespace", "team", "ca.crt", "the CA")), want: complete},
		"an emptied token is made anew":    {change: changes(pinned, data("token", "", "namespace", "team", "ca.crt", "the CA")), want: filled, updates: 1},
		"other data stays":                 {change: changes(pinned, data("more", "x")), want: bytesOf("more", "x", "token", "a.b.c", "ca.crt", "the CA", "namespace", "team"), updates: 1},
		"an immutable one can't be filled": {change: changes(pinned, func(s *corev1.Secret) { s.Immutable = new(true) })},
		"but it is pinned":                 {change: changes(data("token", "mine"), func(s *corev1.Secret) { s.Immutable = new(true) }), want: bytesOf("token", "mine"), updates: 1},
		"one that goes is left alone": {[]func(*corev1.Secret){func(s *corev1.Secret) {
			now := metav1.Now()
			s.DeletionTimestamp, s.Finalizers = &now, []string{"example.com/hold"}
		}}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				c.addAccount(t, "team", "robot")
				c.addTokenSecret(t, "team", "robot-token", "robot", test.change...)
				c.run(t, Config{RootCA: []byte("the CA"), Signer: signing("a.b.c")}, tokens)
				time.Sleep(time.Hour)
				if diff := cmp.Diff(test.want, c.secret(t, "team", "robot-token").Data); diff != "" {
					t.Error(diff)
				}
				if got := c.did("update secrets"); got != test.updates {
					t.Errorf("%d updates, want %d", got, test.updates)
				}
			})
		})
	}
}

func bytesOf(pairs ...string) map[string][]byte {
	data := map[string][]byte{}
	for pair := range slices.Chunk(pairs, 2) {
		data[pair[0]] = []byte(pair[1])
	}
	return data
}

func TestTokenSecretOfNobodyIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addAccount(t, "team", "robot")
		c.addTokenSecret(t, "team", "no-account", "nobody")
		c.addTokenSecret(t, "team", "no-name", "a/b")
		c.addTokenSecret(t, "team", "other-uid", "robot", func(s *corev1.Secret) { s.Annotations[corev1.ServiceAccountUIDKey] = "before" })
		c.addTokenSecret(t, "team", "unnamed", "")
		c.addTokenSecret(t, "team", "opaque", "nobody", func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque })
		c.run(t, Config{Signer: signing("a.b.c")}, tokens)
		synctest.Wait()
		for name, want := range map[string]bool{"no-account": false, "no-name": false, "other-uid": false, "unnamed": true, "opaque": true} {
			if got := c.hasSecret("team", name); got != want {
				t.Errorf("secret %s is there: %t", name, got)
			}
		}
	})
}

func TestAccountTakesItsSecretsAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addAccount(t, "team", "robot")
		c.addAccount(t, "team", "other")
		c.addTokenSecret(t, "team", "robot-before", "robot")
		c.addTokenSecret(t, "team", "other-token", "other")
		c.run(t, Config{Signer: signing("a.b.c")}, tokens)
		c.addTokenSecret(t, "team", "robot-after", "robot")
		synctest.Wait()

		if err := c.CoreV1().ServiceAccounts("team").Delete(t.Context(), "robot", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		// The secrets are of the account that was, not of the one that has its name.
		c.addAccount(t, "team", "robot")
		synctest.Wait()
		if c.hasSecret("team", "robot-before") || c.hasSecret("team", "robot-after") {
			t.Error("a secret outlives its account")
		}
		if !c.hasSecret("team", "other-token") {
			t.Error("the secret of another account is gone")
		}
	})
}

func TestDeletedSecretIsNoLongerListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addAccount(t, "team", "robot", "keep", "robot-token")
		c.addTokenSecret(t, "team", "robot-token", "robot")
		var conflicts atomic.Int32
		c.before = func(action clienttesting.Action) error {
			if action.Matches("update", "serviceaccounts") && conflicts.Add(1) < 3 {
				return apierrors.NewConflict(corev1.Resource("serviceaccounts"), "robot", errors.New("changed"))
			}
			return nil
		}
		c.run(t, Config{Signer: signing("a.b.c")}, tokens)
		synctest.Wait()
		if err := c.CoreV1().Secrets("team").Delete(t.Context(), "robot-token", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		account, _ := c.index.ServiceAccounts.Get("team", "robot")
		if diff := cmp.Diff([]string{"keep"}, account.Secrets); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWithoutSignerSecretsAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addTokenSecret(t, "team", "robot-token", "robot")
		c.run(t, Config{}, tokens)
		synctest.Wait()
		if !c.hasSecret("team", "robot-token") {
			t.Error("the secret is gone")
		}
	})
}

func TestTwoReplicasFillOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addAccount(t, "team", "robot")
		c.run(t, Config{Signer: signing("first")}, tokens)
		c.run(t, Config{Signer: signing("second")}, tokens)
		c.addTokenSecret(t, "team", "robot-token", "robot")
		synctest.Wait()
		filled := string(c.secret(t, "team", "robot-token").Data["token"])
		time.Sleep(time.Hour)
		if got := string(c.secret(t, "team", "robot-token").Data["token"]); got == "" || got != filled {
			t.Errorf("the token was %q and is %q", filled, got)
		}
	})
}

func TestOwners(t *testing.T) {
	o := newOwners()
	a, b := key("team", "a"), key("team", "b")
	o.set(a, "robot")
	o.set(b, "robot")
	o.set(b, "other")
	o.set(b, "other")
	o.forget(key("team", "c"))
	if diff := cmp.Diff([]string{"a"}, o.secrets(key("team", "robot"))); diff != "" {
		t.Error(diff)
	}
	o.forget(a)
	o.set(b, "")
	if _, owned := o.of(b); owned || len(o.account) > 0 || len(o.accounts) > 0 {
		t.Errorf("left over: %v %v", o.account, o.accounts)
	}
}
