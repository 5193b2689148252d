package oauth_test

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"sync"
	"testing"
	"time"

	oauthv1 "github.com/openshift/api/oauth/v1"
	userv1 "github.com/openshift/api/user/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/oauth"
)

// Two tokens, and the names of their objects.
const (
	t1 = "sha256~q7Lw0vYtXnC3fKjR8sDmHbZ2pEuG5aTi1oVxWyNcQdM"
	n1 = "sha256~AFhhyqsKYX1bVcYEqg48793GbeevxzId6nng-h7SnN8"
	t2 = "sha256~Jm4RkXwZ0tPqL9sYb2VnHc7UfEaD1oGi6MxTzNyKpQw"
	n2 = "sha256~1toKHTMXx0zpgspxqc2WaHpSzE6RUtAiE5BEB543nkk"
)

const api = "https://kubernetes.default.svc"

// shelf is a store in memory. Several replicas may share it; while it is down it answers nobody, as an etcd would.
type shelf struct {
	mu      sync.Mutex
	objects map[string]runtime.Object
	version uint64
	writes  int
	down    bool
}

func newShelf() *shelf { return &shelf{objects: map[string]runtime.Object{}} }

func (s *shelf) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// put stores an object with the next version, or removes it. The caller holds the lock.
func (s *shelf) put(key string, obj runtime.Object) runtime.Object {
	s.version++
	accessor, err := meta.Accessor(obj)
	if err != nil {
		panic(err)
	}
	accessor.SetResourceVersion(strconv.FormatUint(s.version, 10))
	return obj
}

// view is the storage of one resource on the shelf.
type shelfView struct {
	storage.Interface // what no test needs
	*shelf
}

func (v shelfView) Get(ctx context.Context, key string, _ storage.GetOptions, out runtime.Object) error {
	v.mu.Lock()
	obj, ok := v.objects[key]
	down := v.down
	v.mu.Unlock()
	if down {
		<-ctx.Done()
		return storage.NewInternalError(ctx.Err())
	}
	if !ok {
		return storage.NewKeyNotFoundError(key, 0)
	}
	copyInto(out, obj)
	return nil
}

func (v shelfView) GuaranteedUpdate(_ context.Context, key string, out runtime.Object, _ bool, _ *storage.Preconditions, update storage.UpdateFunc, _ runtime.Object) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	current, ok := v.objects[key]
	if !ok {
		current = out
	}
	obj, _, err := update(current.DeepCopyObject(), storage.ResponseMeta{})
	if err != nil {
		return err
	}
	v.objects[key] = v.put(key, obj.DeepCopyObject())
	v.writes++
	copyInto(out, v.objects[key])
	return nil
}

func (v shelfView) Delete(_ context.Context, key string, out runtime.Object, _ *storage.Preconditions, _ storage.ValidateObjectFunc, _ runtime.Object, _ storage.DeleteOptions) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	obj, ok := v.objects[key]
	if !ok {
		return storage.NewKeyNotFoundError(key, 0)
	}
	delete(v.objects, key)
	copyInto(out, v.put(key, obj.DeepCopyObject()))
	return nil
}

func copyInto(out, obj runtime.Object) {
	reflect.ValueOf(out).Elem().Set(reflect.ValueOf(obj.DeepCopyObject()).Elem())
}

// replica is a server's part in this: its views, which know of its own writes and, until sync is called, of no others.
type replica struct {
	*oauth.Authenticator

	t         testing.TB
	shelf     *shelf
	index     *oauth.Index
	bound     *boundobject.Index
	idle      *oauth.Idle
	resources map[string]storage.Interface
}

// newReplica returns a replica over a shelf, whose tokens may idle for a time if their client says nothing.
func newReplica(t testing.TB, s *shelf, window time.Duration) *replica {
	t.Helper()
	r := &replica{t: t, shelf: s, index: oauth.NewIndex(), bound: boundobject.NewIndex(), resources: map[string]storage.Interface{}}
	r.add(r.index.AccessTokens, &oauthv1.OAuthAccessToken{})
	r.add(r.index.Clients, &oauthv1.OAuthClient{})
	r.add(r.index.Users, &userv1.User{})
	r.add(r.index.Groups, &userv1.Group{})
	r.add(r.bound.Secrets, &corev1.Secret{})
	r.add(r.bound.Namespaces, &corev1.Namespace{})
	r.idle = oauth.NewIdle(oauth.IdleConfig{Index: r.index, Window: window, Store: r})
	r.Authenticator = oauth.New(oauth.Config{
		Index: r.index, APIAudiences: authenticator.Audiences{api}, Idle: r.idle,
		Secrets: r.bound.Secrets, Namespaces: r.bound.Namespaces,
	})
	return r
}

func (r *replica) add(view interface {
	Resource() schema.GroupResource
	Decorate(generic.StorageDecorator) generic.StorageDecorator
}, empty runtime.Object,
) {
	r.t.Helper()
	next := func(*storagebackend.ConfigForResource, string, func(runtime.Object) (string, error), func() runtime.Object, func() runtime.Object,
		storage.AttrFunc, storage.IndexerFuncs, *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		return shelfView{shelf: r.shelf}, func() {}, nil
	}
	name := view.Resource().Resource
	stored, _, err := view.Decorate(next)(&storagebackend.ConfigForResource{}, "/"+name, nil, empty.DeepCopyObject, nil, nil, nil, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.resources[name] = stored
}

// find returns the storage of an object, its key there and an empty one.
func (r *replica) find(obj runtime.Object) (storage.Interface, string, runtime.Object) {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		r.t.Fatal(err)
	}
	resource, namespace := "", ""
	switch obj.(type) {
	case *oauthv1.OAuthAccessToken:
		resource = "oauthaccesstokens"
	case *oauthv1.OAuthClient:
		resource = "oauthclients"
	case *userv1.User:
		resource = "users"
	case *userv1.Group:
		resource = "groups"
	case *corev1.Namespace:
		resource = "namespaces"
	case *corev1.Secret:
		resource, namespace = "secrets", "/"+accessor.GetNamespace()
	default:
		r.t.Fatalf("no storage for a %T", obj)
	}
	empty := reflect.New(reflect.TypeOf(obj).Elem()).Interface().(runtime.Object)
	return r.resources[resource], "/" + resource + namespace + "/" + accessor.GetName(), empty
}

// put stores objects, in place of those of the same names.
func (r *replica) put(objects ...runtime.Object) {
	r.t.Helper()
	for _, obj := range objects {
		stored, key, empty := r.find(obj)
		update := storage.SimpleUpdate(func(runtime.Object) (runtime.Object, error) { return obj.DeepCopyObject(), nil })
		if err := stored.GuaranteedUpdate(context.Background(), key, empty, true, nil, update, nil); err != nil {
			r.t.Fatal(err)
		}
	}
}

// remove removes an object.
func (r *replica) remove(obj runtime.Object) {
	r.t.Helper()
	stored, key, empty := r.find(obj)
	if err := stored.Delete(context.Background(), key, empty, nil, nil, nil, storage.DeleteOptions{}); err != nil {
		r.t.Fatal(err)
	}
}

// Get is the oauth.TokenStore of the replica.
func (r *replica) Get(ctx context.Context, name string) (*oauthv1.OAuthAccessToken, error) {
	obj, err := r.index.AccessTokens.Object(ctx, "", name)
	if err != nil {
		return nil, err
	}
	return obj.(*oauthv1.OAuthAccessToken), nil
}

// Update stores a token unless it has been changed since.
func (r *replica) Update(ctx context.Context, token *oauthv1.OAuthAccessToken) error {
	r.shelf.mu.Lock()
	down := r.shelf.down
	r.shelf.mu.Unlock()
	if down {
		return apierrors.NewInternalError(errors.New("down"))
	}
	stored, key, empty := r.find(token)
	return stored.GuaranteedUpdate(ctx, key, empty, false, nil, func(current runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
		if current.(*oauthv1.OAuthAccessToken).ResourceVersion != token.ResourceVersion {
			return nil, nil, apierrors.NewConflict(oauthv1.Resource("oauthaccesstokens"), token.Name, errors.New("changed"))
		}
		return token, nil, nil
	}, nil)
}

// idleAfter is the stored deadline of a token, in seconds since it was made.
func (r *replica) idleAfter(name string) int32 {
	r.t.Helper()
	token, err := r.Get(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	return token.InactivityTimeoutSeconds
}

func ada(uid types.UID) *userv1.User {
	return &userv1.User{ObjectMeta: metav1.ObjectMeta{Name: "ada", UID: uid}}
}

func group(name string, users ...string) *userv1.Group {
	return &userv1.Group{ObjectMeta: metav1.ObjectMeta{Name: name}, Users: users}
}

func client(window *int32) *oauthv1.OAuthClient {
	return &oauthv1.OAuthClient{ObjectMeta: metav1.ObjectMeta{Name: "demo"}, AccessTokenInactivityTimeoutSeconds: window}
}

// adasToken is a token of ada's that was made at a time and lives for a day.
func adasToken(name string, made time.Time, change ...func(*oauthv1.OAuthAccessToken)) *oauthv1.OAuthAccessToken {
	token := &oauthv1.OAuthAccessToken{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(made)},
		ClientName: "demo", ExpiresIn: 86400, Scopes: []string{"user:full"}, RedirectURI: "https://demo.example/cb",
		UserName: "ada", UserUID: "u-ada-1",
	}
	for _, c := range change {
		c(token)
	}
	return token
}

func idleAfter(seconds int32) func(*oauthv1.OAuthAccessToken) {
	return func(t *oauthv1.OAuthAccessToken) { t.InactivityTimeoutSeconds = seconds }
}

func expiresIn(seconds int64) func(*oauthv1.OAuthAccessToken) {
	return func(t *oauthv1.OAuthAccessToken) { t.ExpiresIn = seconds }
}

// refused returns why a token is refused; nothing if it isn't.
func (r *replica) refused(token string, audiences ...string) string {
	r.t.Helper()
	ctx := r.t.Context()
	if len(audiences) > 0 {
		ctx = authenticator.WithAudiences(ctx, audiences)
	}
	response, ok, err := r.AuthenticateToken(ctx, token)
	if ok != (err == nil) || ok != (response != nil) {
		r.t.Errorf("ok %t, error %v, and is there an answer: %t", ok, err, response != nil)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// plain returns a response whose user can be compared.
func plain(response *authenticator.Response) *authenticator.Response {
	if response == nil {
		return nil
	}
	u := response.User
	return &authenticator.Response{
		Audiences: response.Audiences,
		User:      &user.DefaultInfo{Name: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups(), Extra: u.GetExtra()},
	}
}
