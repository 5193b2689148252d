package mintmark_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/registry/mintmark"
)

// A key that the server makes is published for its lead and then signs.
func TestKeysAreMade(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	first := r.made(now)
	if first.Name != "es256-1" || first.Status.State != v1alpha1.SigningKeyActive || first.Spec.Algorithm != "ES256" || first.Spec.PublicKey == "" {
		t.Errorf("the first key is %+v", first)
	}
	r.clock.turn(time.Hour)
	second := r.made(v1alpha1.SigningKeySpec{})
	// The clock stands a little after a full second: the key is published for the whole of its lead.
	if want := r.clock.Now().Add(24 * time.Hour); second.Spec.SignsFrom.Time.Before(want) || second.Spec.SignsFrom.After(want.Add(time.Second)) {
		t.Errorf("it signs from %s, want %s", second.Spec.SignsFrom, want)
	}
	if second.Name != "es256-2" || second.Status.State != v1alpha1.SigningKeyPrepared || second.Status.TokensUntil != nil {
		t.Errorf("the second key is %+v", second)
	}
	if got := r.private.names(); len(got) != 2 || got[0] != "signingkeys/es256-1" {
		t.Errorf("private halves: %q", got)
	}
	// Of another algorithm there is no rotation under way.
	for algorithm, name := range map[string]string{"RS256": "rs256-1", "EdDSA": "eddsa-1", "ES384": "es384-1", "ES512": "es512-1"} {
		if key := r.made(v1alpha1.SigningKeySpec{Algorithm: algorithm}); key.Name != name {
			t.Errorf("the key for %s is called %s", algorithm, key.Name)
		}
	}
}

// Of two rotations at once, from two replicas, one is told of the other.
func TestTwoRotationsAtOnce(t *testing.T) {
	t.Parallel()
	replicas := newReplicas(t, 2, nil)
	replicas[0].made(now)
	var group sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		group.Go(func() { _, errs[i] = replicas[i%2].create(v1alpha1.SigningKeySpec{}) })
	}
	group.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
			continue
		}
		refused(t, err, metav1.StatusReasonConflict)
	}
	if keys := replicas[0].list(); made != 1 || len(keys) != 2 || len(replicas[0].private.names()) != 2 {
		t.Errorf("%d were made, %d are stored, private halves: %q", made, len(keys), replicas[0].private.names())
	}
	_, err := replicas[1].create(v1alpha1.SigningKeySpec{})
	refused(t, err, metav1.StatusReasonConflict, "a rotation is under way: es256-2 takes over for ES256 at 2030-01-02T12:00:01Z")
}

// A rotation that was cut off has left a private half without an object.
func TestRotationThatWasCutOff(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	r.private.held["signingkeys/es256-1"] = []byte("x")
	_, err := r.create(v1alpha1.SigningKeySpec{})
	refused(t, err, metav1.StatusReasonConflict, "try again in five minutes")
	if string(r.private.held["signingkeys/es256-1"]) != "x" || len(r.list()) != 0 {
		t.Error("the private half was taken for that of another key")
	}
}

func TestRefusedKeys(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	r.made(now)
	there := encodePrivate(t, ecdsaKey(t, elliptic.P256()))
	r.made(v1alpha1.SigningKeySpec{PrivateKey: there, LeadTime: &metav1.Duration{}, AcceptShortLead: true})
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	other := ecdsaKey(t, elliptic.P384())
	hour := &metav1.Duration{Duration: time.Hour}
	instant := metav1.NewTime(r.clock.Now())
	for name, test := range map[string]struct {
		spec   v1alpha1.SigningKeySpec
		reason metav1.StatusReason
		words  string
	}{
		"there already":          {v1alpha1.SigningKeySpec{PrivateKey: there}, metav1.StatusReasonConflict, "is there already: it is es256-2, in the state Active"},
		"RSA of 1024 bits":       {v1alpha1.SigningKeySpec{PrivateKey: encodePrivate(t, short)}, metav1.StatusReasonInvalid, "at least 2048 are needed"},
		"unknown algorithm":      {v1alpha1.SigningKeySpec{Algorithm: "HS256"}, metav1.StatusReasonInvalid, "must be one of ES256, ES384"},
		"lower case":             {v1alpha1.SigningKeySpec{Algorithm: "es256"}, metav1.StatusReasonInvalid, "must be one of ES256"},
		"other algorithm":        {v1alpha1.SigningKeySpec{Algorithm: "ES256", PrivateKey: encodePrivate(t, other)}, metav1.StatusReasonInvalid, `which has "ES384"`},
		"other key id":           {v1alpha1.SigningKeySpec{KeyID: "mine", PrivateKey: encodePrivate(t, other)}, metav1.StatusReasonInvalid, "spec.keyID"},
		"halves of two keys":     {v1alpha1.SigningKeySpec{PrivateKey: encodePrivate(t, other), PublicKey: encodePublic(t, ecdsaKey(t, elliptic.P384()))}, metav1.StatusReasonInvalid, "not the public half"},
		"encrypted":              {v1alpha1.SigningKeySpec{PrivateKey: "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"}, metav1.StatusReasonInvalid, "openssl pkey"},
		"no PEM":                 {v1alpha1.SigningKeySpec{PrivateKey: "secret"}, metav1.StatusReasonInvalid, "holds no key in PEM"},
		"two keys":               {v1alpha1.SigningKeySpec{PrivateKey: there + encodePrivate(t, other)}, metav1.StatusReasonInvalid, "two private keys"},
		"public in place":        {v1alpha1.SigningKeySpec{PrivateKey: encodePublic(t, other)}, metav1.StatusReasonInvalid, "public key only"},
		"private in place":       {v1alpha1.SigningKeySpec{PublicKey: encodePrivate(t, other)}, metav1.StatusReasonInvalid, "send it as spec.privateKey"},
		"lead too short":         {v1alpha1.SigningKeySpec{Algorithm: "ES384", LeadTime: &metav1.Duration{Duration: 59 * time.Minute}}, metav1.StatusReasonInvalid, "ask for a lead of 1h0m0s at least"},
		"lead below zero":        {v1alpha1.SigningKeySpec{Algorithm: "ES384", LeadTime: &metav1.Duration{Duration: -1}, AcceptShortLead: true}, metav1.StatusReasonInvalid, "must be between 0 and"},
		"lead of years":          {v1alpha1.SigningKeySpec{Algorithm: "ES384", LeadTime: &metav1.Duration{Duration: 9000 * time.Hour}}, metav1.StatusReasonInvalid, "must be between 0 and"},
		"signs from":             {v1alpha1.SigningKeySpec{SignsFrom: &instant}, metav1.StatusReasonInvalid, "spec.signsFrom"},
		"published from":         {v1alpha1.SigningKeySpec{PublishedFrom: &instant}, metav1.StatusReasonInvalid, "spec.publishedFrom"},
		"retired from":           {v1alpha1.SigningKeySpec{RetiredFrom: &instant}, metav1.StatusReasonInvalid, "spec.retiredFrom"},
		"hidden, but signs":      {v1alpha1.SigningKeySpec{Hidden: true}, metav1.StatusReasonInvalid, "a key that signs must be published"},
		"lead, but never signs":  {v1alpha1.SigningKeySpec{PublicKey: encodePublic(t, other), LeadTime: hour}, metav1.StatusReasonInvalid, "never signs"},
		"key in the public half": {v1alpha1.SigningKeySpec{PublicKey: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}, metav1.StatusReasonInvalid, "spec.publicKey"},
	} {
		_, err := r.create(test.spec)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, err, test.reason, test.words)
		})
	}
	if len(r.list()) != 2 || len(r.private.names()) != 2 {
		t.Errorf("stored are %d keys and the private halves %q", len(r.list()), r.private.names())
	}
}

// Names are the server's, and a name that is sent says which key the caller expects to make.
func TestNames(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	for name, words := range map[string]string{"mine": "the name of the next key is es256-1", "es256-2": "es256-1"} {
		_, err := r.storage.Create(r.ctx(), &v1alpha1.SigningKey{ObjectMeta: metav1.ObjectMeta{Name: name}}, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
		refused(t, err, metav1.StatusReasonInvalid, words)
	}
	_, err := r.storage.Create(r.ctx(), &v1alpha1.SigningKey{ObjectMeta: metav1.ObjectMeta{GenerateName: "es256-"}}, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	refused(t, err, metav1.StatusReasonInvalid, "generateName")
	if _, err := r.storage.Create(r.ctx(), &v1alpha1.SigningKey{ObjectMeta: metav1.ObjectMeta{Name: "es256-1"}}, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
}

// What an imported key has signed elsewhere is not known, so its tokens are taken to live for as long as tokens can.
func TestImports(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	r.made(now)
	verifying := r.made(v1alpha1.SigningKeySpec{PublicKey: encodePublic(t, ecdsaKey(t, elliptic.P256())), Hidden: true})
	signing := r.made(v1alpha1.SigningKeySpec{PrivateKey: encodePrivate(t, ecdsaKey(t, elliptic.P256()))})
	for _, key := range []*v1alpha1.SigningKey{verifying, signing} {
		if until := key.Status.TokensUntil; until == nil || until.Before(&metav1.Time{Time: r.clock.Now().Add(48*time.Hour - time.Second)}) || !key.Status.LegacyTokens {
			t.Errorf("%s: status %+v", key.Name, key.Status)
		}
		if key.Spec.PrivateKey != "" {
			t.Errorf("%s has its private half", key.Name)
		}
	}
	if verifying.Status.State != v1alpha1.SigningKeyRetired || verifying.Spec.SignsFrom != nil || signing.Status.State != v1alpha1.SigningKeyPrepared {
		t.Errorf("the states are %s and %s", verifying.Status.State, signing.Status.State)
	}
	if names := r.private.names(); len(names) != 2 {
		t.Errorf("private halves: %q", names)
	}
}

// A dry run says what would be, and makes nothing.
func TestDryRunMakesNothing(t *testing.T) {
	t.Parallel()
	r := newReplica(t)
	for _, spec := range []v1alpha1.SigningKeySpec{{}, {PrivateKey: encodePrivate(t, ecdsaKey(t, elliptic.P256()))}} {
		obj, err := r.storage.Create(r.ctx(), &v1alpha1.SigningKey{Spec: spec}, rest.ValidateAllObjectFunc, &metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			t.Fatal(err)
		}
		if key := obj.(*v1alpha1.SigningKey); key.Name != "es256-1" || key.Spec.SignsFrom == nil || (key.Spec.KeyID == "") != (spec.PrivateKey == "") || key.Spec.PrivateKey != "" {
			t.Errorf("the answer is %+v", key)
		}
	}
	if len(r.list()) != 0 || len(r.private.names()) != 0 {
		t.Error("something was made")
	}
}

// Keys of files are not objects, and no object is made beside them.
func TestKeysAreElsewhere(t *testing.T) {
	t.Parallel()
	r := newReplicas(t, 1, func(cfg *mintmark.SigningKeys) { cfg.Elsewhere = "the keys are in a file" })[0]
	_, err := r.create(v1alpha1.SigningKeySpec{})
	refused(t, err, metav1.StatusReasonConflict, "the keys are in a file")
}

func ecdsaKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encodePrivate(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func encodePublic(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}
