package mintmark_test

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/registry/mintmark"
)

// lasting says that tokens end an hour after the clock of a test.
type lasting struct {
	mintmark.Ends
	clock *clock
}

func (l lasting) Account(context.Context, string, string) (time.Time, bool) {
	return l.clock.Now().Add(time.Hour), true
}

// TestRevokingClockStepsBack: after the server's clock was set back, an instant that was now before is in the future, and "now" is what
// the clock says. The entry of before keeps its instant, and with it refuses what is issued until the clock has come there again.
func TestRevokingClockStepsBack(t *testing.T) {
	t.Parallel()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	noon := &clock{now: time.Date(2030, 1, 1, 12, 0, 0, 500, time.UTC)}
	group, err := mintmark.Storage(getter{member.Endpoint()}, mintmark.Config{Revocations: mintmark.Revocations{
		Authorizer: authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
			return authorizer.DecisionAllow, "", nil
		}),
		Ends: lasting{clock: noon}, Now: noon.Now,
	}})
	if err != nil {
		t.Fatal(err)
	}
	storage := group.Resources["tokenrevocations"]
	t.Cleanup(storage.Destroy)
	ctx := genericapirequest.WithUser(genericapirequest.WithNamespace(t.Context(), metav1.NamespaceNone), &user.DefaultInfo{Name: "admin"})
	revoke := func(before *metav1.Time) (*v1alpha1.TokenRevocation, error) {
		entry := &v1alpha1.TokenRevocation{Spec: v1alpha1.TokenRevocationSpec{
			ServiceAccount: &v1alpha1.ServiceAccountReference{Namespace: "ns", Name: "app"}, IssuedBefore: before,
		}}
		made, err := storage.(rest.Creater).Create(ctx, entry, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		return made.(*v1alpha1.TokenRevocation), nil
	}
	check := func(made *v1alpha1.TokenRevocation, err error, now string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		at, _ := time.Parse(time.TimeOnly, now)
		got := []string{made.Spec.IssuedBefore.UTC().Format(time.TimeOnly), made.Status.RevokedAt.UTC().Format(time.TimeOnly), made.Status.Expires.UTC().Format(time.TimeOnly)}
		want := []string{at.Add(time.Second).Format(time.TimeOnly), now, at.Add(time.Hour + 6*time.Minute).Format(time.TimeOnly)}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("issued before, revoked at and expires: %q, want %q", got, want)
				break
			}
		}
	}
	before, err := revoke(nil)
	check(before, err, "12:00:00")
	noon.turn(-time.Hour)
	_, err = revoke(before.Spec.IssuedBefore)
	refused(t, err, metav1.StatusReasonInvalid, "is in the future", "clock says 2030-01-01T11:00:00Z")
	after, err := revoke(nil)
	check(after, err, "11:00:00")
	kept, err := storage.(rest.Getter).Get(ctx, before.Name, &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	check(kept.(*v1alpha1.TokenRevocation), nil, "12:00:00")
}
