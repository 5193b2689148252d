package mintmark_test

import (
	"crypto/elliptic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/registry/mintmark"
	"github.com/mintmark/mintmark/internal/signingkey"
)

// A key is removed when no token that it signed can live, and before that only by force.
func TestRemoval(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	r.made(now)
	refused(t, r.remove("es256-1"), metav1.StatusReasonConflict, "the key signs now")
	refused(t, r.force("es256-1"), metav1.StatusReasonConflict, "the key signs now")

	// Nothing was signed with a key that is prepared.
	r.made(v1alpha1.SigningKeySpec{})
	if err := r.remove("es256-2"); err != nil {
		t.Error(err)
	}
	r.made(v1alpha1.SigningKeySpec{})
	r.clock.turn(24*time.Hour + time.Second)
	r.made(v1alpha1.SigningKeySpec{})
	refused(t, r.remove("es256-2"), metav1.StatusReasonConflict, "the key signs now")
	refused(t, r.remove("es256-1"), metav1.StatusReasonConflict, "may live until 2030-01-02T12:06:01Z", "--force")
	r.clock.turn(6 * time.Minute)
	if err := r.remove("es256-1"); err != nil {
		t.Error(err)
	}
	refused(t, r.remove("es256-1"), metav1.StatusReasonNotFound)
	if got := r.private.names(); len(got) != 2 || got[0] != "signingkeys/es256-2" {
		t.Errorf("private halves: %q", got)
	}
}

// The tokens of an imported key can live longer than those that were signed here.
func TestForcedRemoval(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	r.made(now)
	imported := r.made(v1alpha1.SigningKeySpec{PublicKey: encodePublic(t, ecdsaKey(t, elliptic.P256()))})
	refused(t, r.remove(imported.Name), metav1.StatusReasonConflict, "secrets may hold tokens")
	if err := r.force(imported.Name); err != nil {
		t.Error(err)
	}
}

// A removal in the foreground, of another version, or in a dry run does what it says.
func TestRemovalOptions(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	r.made(now)
	prepared := r.made(v1alpha1.SigningKeySpec{})
	remove := func(options metav1.DeleteOptions) error {
		_, _, err := r.storage.Delete(r.ctx(), prepared.Name, rest.ValidateAllObjectFunc, &options)
		return err
	}
	if err := remove(metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil || len(r.list()) != 2 || len(r.private.names()) != 2 {
		t.Errorf("a dry run: %v", err)
	}
	version, uid := "1", metav1.ObjectMeta{UID: "other"}.UID
	refused(t, remove(metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &version}}), metav1.StatusReasonConflict)
	refused(t, remove(metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}), metav1.StatusReasonConflict)
	foreground := metav1.DeletePropagationForeground
	if err := remove(metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil || len(r.list()) != 1 || len(r.private.names()) != 1 {
		t.Errorf("a removal in the foreground: %v", err)
	}
}

// A key that was superseded stays so when the one that took over is removed.
func TestSupersededKeysStaySo(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	r.made(now)
	r.clock.turn(time.Hour)
	r.made(now)
	r.clock.turn(time.Hour)
	third := r.made(now)
	r.clock.turn(time.Second)
	if err := r.force("es256-2"); err != nil {
		t.Fatal(err)
	}
	first := r.find("es256-1")
	if want := r.clock.Now().Add(-time.Hour - time.Second).Truncate(time.Second); first.Spec.RetiredFrom == nil || !first.Spec.RetiredFrom.Time.Equal(want) {
		t.Errorf("es256-1 is retired from %v, want %s", first.Spec.RetiredFrom, want)
	}
	schedule := signingkey.Plan([]*v1alpha1.SigningKey{first, r.find(third.Name)}, r.clock.Now())
	if active := schedule.Active("ES256"); active == nil || active.Key.Name != third.Name {
		t.Errorf("the key that signs is %+v", active)
	}
}

// Of a key that is there, clients change the metadata, and when it stops signing.
func TestChanges(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	r.made(now)
	imported := encodePrivate(t, ecdsaKey(t, elliptic.P256()))
	second := r.made(v1alpha1.SigningKeySpec{PrivateKey: imported})
	for name, change := range map[string]func(*v1alpha1.SigningKey){
		"algorithm":        func(key *v1alpha1.SigningKey) { key.Spec.Algorithm = "RS256" },
		"key id":           func(key *v1alpha1.SigningKey) { key.Spec.KeyID = "x" },
		"public key":       func(key *v1alpha1.SigningKey) { key.Spec.PublicKey = first(r).Spec.PublicKey },
		"signs from":       func(key *v1alpha1.SigningKey) { key.Spec.SignsFrom = key.Spec.PublishedFrom },
		"published from":   func(key *v1alpha1.SigningKey) { key.Spec.PublishedFrom = nil },
		"lead":             func(key *v1alpha1.SigningKey) { key.Spec.LeadTime = nil },
		"hidden":           func(key *v1alpha1.SigningKey) { key.Spec.Hidden = true },
		"another private":  func(key *v1alpha1.SigningKey) { key.Spec.PrivateKey = encodePrivate(t, ecdsaKey(t, elliptic.P256())) },
		"a finalizer":      func(key *v1alpha1.SigningKey) { key.Finalizers = []string{"example.com/keep"} },
		"key in metadata":  func(key *v1alpha1.SigningKey) { key.Annotations = map[string]string{"note": imported} },
		"other annotation": func(key *v1alpha1.SigningKey) { key.Annotations = map[string]string{"Not A Name": ""} },
	} {
		_, err := r.update(second.Name, change)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, err, metav1.StatusReasonInvalid)
		})
	}
	// The manifest of an import may be applied again, and kubectl's copy of it holds no key.
	changed, err := r.update(second.Name, func(key *v1alpha1.SigningKey) {
		key.Spec.PrivateKey = imported
		key.Labels = map[string]string{"a": "b"}
		key.Status = v1alpha1.SigningKeyStatus{}
		key.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: `{"spec":{"algorithm":"ES256","privateKey":"-----BEGIN PRIVATE KEY-----"}}` + "\n"}
	})
	if err != nil {
		t.Fatal(err)
	}
	if changed.Spec.PrivateKey != "" || changed.Status.TokensUntil == nil || changed.Labels["a"] != "b" {
		t.Errorf("the key is %+v", changed)
	}
	if got := changed.Annotations[corev1.LastAppliedConfigAnnotation]; got != `{"spec":{"algorithm":"ES256"}}`+"\n" {
		t.Errorf("kubectl's copy is %s", got)
	}
}

func first(r replica) *v1alpha1.SigningKey { return r.find("es256-1") }

// The last key of an algorithm that the server needs does not stop signing.
func TestRetirement(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, 1, func(cfg *mintmark.SigningKeys) { cfg.Algorithms = []string{"ES256", "RS256"} })[0]
	r.made(now)
	retire := func(name string, at time.Time) error {
		_, err := r.update(name, func(key *v1alpha1.SigningKey) {
			if at.IsZero() {
				key.Spec.RetiredFrom = nil
			} else {
				key.Spec.RetiredFrom = &metav1.Time{Time: at}
			}
		})
		return err
	}
	refused(t, retire("es256-1", r.clock.Now()), metav1.StatusReasonConflict, "no other key would sign with ES256 from 2030-01-01T12:00:00Z on", "mintmark keys rotate")
	r.made(v1alpha1.SigningKeySpec{})
	refused(t, retire("es256-1", r.clock.Now().Add(23*time.Hour)), metav1.StatusReasonConflict)
	if err := retire("es256-1", r.clock.Now().Add(25*time.Hour)); err != nil {
		t.Error(err)
	}
	// A key that is prepared need not ever sign, and one that is not needed may stop.
	if err := retire("es256-1", time.Time{}); err != nil {
		t.Error(err)
	}
	if err := retire("es256-2", r.clock.Now()); err != nil {
		t.Error(err)
	}
	r.made(v1alpha1.SigningKeySpec{Algorithm: "ES384", LeadTime: now.LeadTime, AcceptShortLead: true})
	if err := retire("es384-1", r.clock.Now().Add(-time.Hour)); err != nil {
		t.Error(err)
	}
	if got := r.find("es384-1").Spec.RetiredFrom; !got.Time.Equal(r.clock.Now().Truncate(time.Second)) {
		t.Errorf("an instant that is over became %s", got)
	}
	refused(t, retire("es384-1", time.Time{}), metav1.StatusReasonInvalid, "stopped signing at 2030-01-01T12:00:00Z for good")
	refused(t, retire("es384-1", r.clock.Now().Add(time.Hour)), metav1.StatusReasonInvalid, "for good")
}
