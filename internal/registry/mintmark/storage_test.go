package mintmark_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/identity"
	"github.com/mintmark/mintmark/internal/registry/mintmark"
	"github.com/mintmark/mintmark/internal/scheme"
)

// replica is the storage of one of several servers over the same etcd, with a clock that the test turns.
type replica struct {
	t       *testing.T
	storage signingKeyStorage
	clock   *clock
	private *privateKeys
}

type signingKeyStorage interface {
	rest.Creater
	rest.Updater
	rest.Lister
	rest.GracefulDeleter
}

// clock is what all replicas of a test take for the time.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) turn(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(by)
}

// privateKeys are the private halves, in memory.
type privateKeys struct {
	mu   sync.Mutex
	held map[string][]byte
}

func (p *privateKeys) Create(_ context.Context, name string, plain []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[name] != nil {
		return fmt.Errorf("%q: %w", name, identity.ErrExists)
	}
	p.held[name] = plain
	return nil
}

func (p *privateKeys) Delete(_ context.Context, name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.held, name)
	return nil
}

func (p *privateKeys) names() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for name := range p.held {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// getter gives storage in an etcd.
type getter struct{ endpoint string }

func (g getter) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	config := storagebackend.NewDefaultConfig("/test", scheme.Untyped(scheme.Codecs.LegacyCodec(v1alpha1.SchemeGroupVersion)))
	config.Transport.ServerList = []string{g.endpoint}
	return generic.RESTOptions{
		StorageConfig: config.ForResource(resource), Decorator: generic.UndecoratedStorage, ResourcePrefix: resource.Resource,
		EnableGarbageCollection: true,
	}, nil
}

// newReplicas returns servers over an etcd of the test.
func newReplicas(t *testing.T, count int, change func(*mintmark.SigningKeys)) []replica {
	t.Helper()
	member, err := etcd.Start(context.Background(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	shared := replica{t: t, clock: &clock{now: time.Date(2030, 1, 1, 12, 0, 0, 500, time.UTC)}, private: &privateKeys{held: map[string][]byte{}}}
	replicas := make([]replica, count)
	for i := range replicas {
		cfg := mintmark.SigningKeys{
			PrivateKeys: shared.private, Lead: 24 * time.Hour, Cached: time.Hour, LongestLife: 48 * time.Hour,
			Algorithms: []string{"ES256"}, Now: shared.clock.Now,
		}
		if change != nil {
			change(&cfg)
		}
		group, err := mintmark.Storage(getter{member.Endpoint()}, mintmark.Config{SigningKeys: cfg})
		if err != nil {
			t.Fatal(err)
		}
		storage := group.Resources["signingkeys"]
		t.Cleanup(storage.Destroy)
		replicas[i] = shared
		replicas[i].storage = storage.(signingKeyStorage)
	}
	return replicas
}

func newReplica(t *testing.T) replica {
	t.Helper()
	return newReplicas(t, 1, nil)[0]
}

func (r replica) ctx() context.Context {
	return genericapirequest.WithNamespace(genericapirequest.NewContext(), metav1.NamespaceNone)
}

func (r replica) create(spec v1alpha1.SigningKeySpec) (*v1alpha1.SigningKey, error) {
	obj, err := r.storage.Create(r.ctx(), &v1alpha1.SigningKey{Spec: spec}, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return obj.(*v1alpha1.SigningKey), nil
}

// made creates a key that is fine.
func (r replica) made(spec v1alpha1.SigningKeySpec) *v1alpha1.SigningKey {
	r.t.Helper()
	key, err := r.create(spec)
	if err != nil {
		r.t.Fatal(err)
	}
	return key
}

// update changes a key, its status included if the server itself does it.
func (r replica) update(name string, change func(*v1alpha1.SigningKey)) (*v1alpha1.SigningKey, error) {
	info := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		key := old.DeepCopyObject().(*v1alpha1.SigningKey)
		change(key)
		return key, nil
	})
	obj, _, err := r.storage.Update(r.ctx(), name, info, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	return obj.(*v1alpha1.SigningKey), nil
}

func (r replica) remove(name string) error {
	_, _, err := r.storage.Delete(r.ctx(), name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{})
	return err
}

// force removes a key although its tokens may live.
func (r replica) force(name string) error {
	_, _, err := r.storage.Delete(r.ctx(), name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
	return err
}

// find returns a key as it is stored.
func (r replica) find(name string) *v1alpha1.SigningKey {
	r.t.Helper()
	for _, key := range r.list() {
		if key.Name == name {
			return &key
		}
	}
	r.t.Fatalf("there is no key %s", name)
	return nil
}

func (r replica) list() []v1alpha1.SigningKey {
	r.t.Helper()
	list, err := r.storage.List(r.ctx(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return list.(*v1alpha1.SigningKeyList).Items
}

// refused checks that an error is a refusal of a reason with words in it.
func refused(t *testing.T, err error, reason metav1.StatusReason, words ...string) {
	t.Helper()
	if apierrors.ReasonForError(err) != reason {
		t.Errorf("the reason is %q, want %q: %v", apierrors.ReasonForError(err), reason, err)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in the error: %v", word, err)
		}
	}
}

// now is a lead of nothing, as after a leak.
var now = v1alpha1.SigningKeySpec{LeadTime: &metav1.Duration{}, AcceptShortLead: true}
