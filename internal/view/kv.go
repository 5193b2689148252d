package view

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/value"
)

// encoding says where in etcd the objects of a resource are, and how they are encoded and encrypted there. It mirrors
// k8s.io/apiserver/pkg/storage/etcd3, which writes them.
type encoding struct {
	prefix        string // of all keys, with a slash at the end
	clusterScoped bool
	codec         runtime.Codec
	transformer   value.Transformer
	new           func() runtime.Object
}

// newEncoding takes the encoding from what the storage of the resource is made of.
func newEncoding(config *storagebackend.ConfigForResource, resourcePrefix string, clusterScoped bool, empty func() runtime.Object) encoding {
	return encoding{
		prefix:        path.Join("/", config.Prefix, resourcePrefix) + "/",
		clusterScoped: clusterScoped,
		codec:         config.Codec,
		transformer:   config.Transformer,
		new:           empty,
	}
}

// key returns the object that an etcd key names.
func (e *encoding) key(etcdKey []byte) (Key, error) {
	rest, ok := strings.CutPrefix(string(etcdKey), e.prefix)
	if !ok {
		return Key{}, fmt.Errorf("the key %q is not below %s", etcdKey, e.prefix)
	}
	if e.clusterScoped {
		return Key{Name: rest}, nil
	}
	namespace, name, ok := strings.Cut(rest, "/")
	if !ok {
		return Key{}, fmt.Errorf("the key %q has no namespace", etcdKey)
	}
	return Key{namespace, name}, nil
}

// etcdKey returns the etcd key of an object.
func (e *encoding) etcdKey(key Key) string {
	if e.clusterScoped {
		return e.prefix + key.Name
	}
	return e.prefix + key.Namespace + "/" + key.Name
}

// errMisplaced says that an object is stored under the key of another one. A reader that asks for it by name would not
// get it.
var errMisplaced = errors.New("the object has another name than its key")

// decode returns the object that is stored under a key.
func (e *encoding) decode(ctx context.Context, key Key, kv *mvccpb.KeyValue) (runtime.Object, error) {
	data, err := e.plain(ctx, kv)
	if err != nil {
		return nil, err
	}
	obj, _, err := e.codec.Decode(data, nil, e.new())
	if err != nil {
		// The error of a codec quotes what it read, which may be a secret.
		return nil, errors.New("it can't be decoded")
	}
	if err := (storage.APIObjectVersioner{}).UpdateObject(obj, uint64(kv.ModRevision)); err != nil {
		return nil, fmt.Errorf("its version can't be set: %w", err)
	}
	if found, _, err := identify(obj); err != nil || found != key {
		return nil, errMisplaced
	}
	return obj, nil
}

// plain returns what is stored under a key, decrypted.
func (e *encoding) plain(ctx context.Context, kv *mvccpb.KeyValue) ([]byte, error) {
	if e.transformer == nil {
		return kv.Value, nil
	}
	plain, _, err := e.transformer.TransformFromStorage(ctx, kv.Value, value.DefaultContext(kv.Key))
	if err != nil {
		// The error of a transformer may quote its configuration, and says nothing of use to the reader of a log.
		return nil, errors.New("it can't be decrypted with the configured keys")
	}
	return plain, nil
}
