package apiserver

import (
	"context"
	"net/http"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/server/healthz"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/scheme"
)

// store is the etcd that holds everything.
type store struct {
	options genericoptions.EtcdOptions
	// failed delivers the error that ends the embedded etcd; nil with an external one.
	failed <-chan error
	// checks say whether the embedded etcd can do its work.
	checks []healthz.HealthChecker
	// client is for what the library's storage does not do: views follow the store with it.
	client *clientv3.Client
	// shared says that the etcd is an external one, which other servers may use as well.
	shared bool
	close  func()
}

// openStore runs the embedded etcd, unless the options name another.
func openStore(ctx context.Context, options *genericoptions.EtcdOptions, dir *datadir.Dir, ephemeral bool) (*store, error) {
	s, stop := &store{options: *options}, func() {}
	transport := &s.options.StorageConfig.Transport
	if len(transport.ServerList) > 0 {
		if err := etcd.Reach(ctx, *transport); err != nil {
			return nil, err
		}
		s.shared = true
	} else {
		member, err := etcd.Start(ctx, etcd.Config{Dir: dir.Path(datadir.Store), Ephemeral: ephemeral})
		if err != nil {
			return nil, err
		}
		transport.ServerList = []string{member.Endpoint()}
		s.failed, stop = member.Failed(), member.Close
		s.checks = []healthz.HealthChecker{healthz.NamedCheck("embedded-store-has-room", func(*http.Request) error { return member.HasRoom() })}
	}
	client, err := etcd.Connect(*transport)
	if err != nil {
		stop()
		return nil, err
	}
	s.client = client
	s.close = func() {
		_ = client.Close()
		stop()
	}
	return s, nil
}

// embedded reports whether the store runs in this process.
func (s *store) embedded() bool { return s.failed != nil }

// prefix begins the keys of everything in the store.
func (s *store) prefix() string { return s.options.StorageConfig.Prefix }

// newStorageFactory says where and in which encoding each resource is stored.
func newStorageFactory(options *genericoptions.EtcdOptions) serverstorage.StorageFactory {
	factory := serverstorage.NewDefaultStorageFactory(
		options.StorageConfig, options.DefaultStorageMediaType, scheme.Codecs,
		serverstorage.NewDefaultResourceEncodingConfig(scheme.Scheme), serverstorage.NewResourceConfig(), nil)
	// Our own types have no protobuf.
	factory.SetSerializer(mintmarkv1alpha1.Resource("*"), runtime.ContentTypeJSON, nil)
	return untypedStorage{factory}
}

// untypedStorage is storage whose objects come back without their kind.
type untypedStorage struct{ serverstorage.StorageFactory }

// NewConfig returns how a resource is stored.
func (u untypedStorage) NewConfig(resource schema.GroupResource, example runtime.Object) (*storagebackend.ConfigForResource, error) {
	config, err := u.StorageFactory.NewConfig(resource, example)
	if err != nil {
		return nil, err
	}
	config.Codec = scheme.Untyped(config.Codec)
	return config, nil
}
