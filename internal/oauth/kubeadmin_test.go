package oauth_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	oauthv1 "github.com/openshift/api/oauth/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/oauth"
)

const passwordHash = "$2a$10$N0tARealSaltJustPaddinAndThisIsNotARealHashEitherOk12"

func TestKubeAdminUID(t *testing.T) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{UID: "5f1c7c1e-0d0b-4a34-9d9a-8a3f0e6f2b11", ResourceVersion: "4711"},
		Data:       map[string][]byte{"kubeadmin": []byte(passwordHash)},
	}
	const want = "A1hgmv9qtm1361avAdjKjyXp4r9abSTdnleovIIqnw-22gYdYhTc6Rtkjb8gRqfJk5Eyf0YWzhz87_mzCoYR9g"
	if got := oauth.KubeAdminUID(secret); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// newKubeAdmin returns a replica with the secret of kube:admin, made so long after its namespace, and a token of its.
func newKubeAdmin(t *testing.T, late time.Duration, content string, change ...func(*oauthv1.OAuthAccessToken)) (*replica, *corev1.Secret) {
	t.Helper()
	r := newReplica(t, newShelf(), 0)
	start := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "kubeadmin", UID: "s-1", CreationTimestamp: metav1.NewTime(start.Add(late))},
		Data:       map[string][]byte{"kubeadmin": []byte(content)},
	}
	r.put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", CreationTimestamp: metav1.NewTime(start)}}, secret)
	token := adasToken(n2, time.Now(), change...)
	token.UserName, token.UserUID = "kube:admin", r.uid()
	r.put(token)
	return r, secret
}

// uid is what the uid of kube:admin is now.
func (r *replica) uid() string {
	r.t.Helper()
	obj, err := r.bound.Secrets.Object(r.t.Context(), "kube-system", "kubeadmin")
	if err != nil {
		r.t.Fatal(err)
	}
	return oauth.KubeAdminUID(obj.(*corev1.Secret))
}

func TestKubeAdmin(t *testing.T) {
	r, _ := newKubeAdmin(t, time.Hour, passwordHash)
	response, ok, err := r.AuthenticateToken(t.Context(), t2)
	want := &authenticator.Response{
		Audiences: authenticator.Audiences{api},
		User: &user.DefaultInfo{
			Name: "kube:admin", Groups: []string{"system:cluster-admins"},
			Extra: map[string][]string{"scopes.authorization.openshift.io": {"user:full"}},
		},
	}
	if diff := cmp.Diff(want, plain(response)); !ok || err != nil || diff != "" {
		t.Errorf("%t, %v (-want +got):\n%s", ok, err, diff)
	}
}

// TestKubeAdminRefused: there is no such user among the users, which is said first, and then what is wrong with the
// secret or the token.
func TestKubeAdminRefused(t *testing.T) {
	const noUser = `users.user.openshift.io "kube:admin" not found`
	also := func(reason string) string { return "[" + noUser + ", " + reason + "]" }
	for name, test := range map[string]struct {
		late    time.Duration
		content string
		change  func(*replica, *corev1.Secret)
		asked   string
		want    func(r *replica, before string) string
	}{
		"late": {late: time.Hour + time.Second, content: passwordHash, want: func(*replica, string) string {
			return also("kubeadmin secret cannot be recreated")
		}},
		"no hash": {content: "secret", want: func(*replica, string) string {
			return also("crypto/bcrypt: hashedSecret too short to be a bcrypted password")
		}},
		"another hash": {content: "x" + passwordHash[1:], want: func(*replica, string) string {
			return also("crypto/bcrypt: bcrypt hashes must start with '$', but hashedSecret started with 'x'")
		}},
		"a cost beyond all bounds": {content: "$2a$99" + passwordHash[6:], want: func(*replica, string) string {
			return also("crypto/bcrypt: cost 99 is outside allowed inclusive range 4..31")
		}},
		"nothing": {content: "", want: func(*replica, string) string {
			return also("crypto/bcrypt: hashedSecret too short to be a bcrypted password")
		}},
		"the secret is deleted": {content: passwordHash, change: func(r *replica, secret *corev1.Secret) {
			r.remove(secret)
		}, want: func(*replica, string) string { return noUser }},
		"the secret is being deleted": {content: passwordHash, change: func(r *replica, secret *corev1.Secret) {
			secret.DeletionTimestamp = &metav1.Time{Time: time.Now()}
			r.put(secret)
		}, want: func(*replica, string) string { return noUser }},
		"the secret has another label": {content: passwordHash, change: func(r *replica, secret *corev1.Secret) {
			secret.Labels = map[string]string{"x": "y"}
			r.put(secret)
		}, want: func(r *replica, before string) string {
			return also("user.UID (" + r.uid() + ") does not match token.userUID (" + before + ")")
		}},
		"for others": {content: passwordHash, asked: "x", want: func(*replica, string) string {
			return also(`token audiences ["` + api + `"] is invalid for the target audiences ["x"]`)
		}},
		"expired": {content: passwordHash, change: func(r *replica, _ *corev1.Secret) {
			r.Now = func() time.Time { return time.Now().Add(48 * time.Hour) }
		}, want: func(*replica, string) string { return also("token is expired") }},
	} {
		t.Run(name, func(t *testing.T) {
			r, secret := newKubeAdmin(t, test.late, test.content)
			before := r.uid()
			if test.change != nil {
				test.change(r, secret)
			}
			var asked []string
			if test.asked != "" {
				asked = []string{test.asked}
			}
			if got, want := r.refused(t2, asked...), test.want(r, before); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// TestKubeAdminIdles: a token of kube:admin that is used is put off like any other.
func TestKubeAdminIdles(t *testing.T) {
	r, _ := newKubeAdmin(t, 0, passwordHash, idleAfter(400))
	if why := r.refused(t2); why != "" {
		t.Fatal(why)
	}
	if noted := r.idle.Noted(); noted != 1 {
		t.Errorf("%d uses are noted", noted)
	}
}
