package identity

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// storeTimeout bounds each read and write of the store. Without it, the client waits for as long as the store is away.
const storeTimeout = 5 * time.Second

// ErrExists says that there is a private key of that name already.
var ErrExists = errors.New("there is a private key of that name already")

// Below root are the record of the identity and, in a folder, the private keys.
const (
	recordName    = "identity"
	privateFolder = "private/"
)

// root is the key in the store below which all of the identity is.
func root(prefix string) string { return path.Join("/", prefix, mintmarkGroup) + "/" }

// Secrets holds private keys in the store, encrypted, each under a name such as signingkeys/es256-1. The API has no way to them.
// Its methods may be called at the same time.
type Secrets struct {
	client *clientv3.Client
	sealer *Sealer
	// prefix begins the keys in the store.
	prefix string
}

// NewSecrets returns the private keys below the prefix of a store, such as /mintmark.
func NewSecrets(client *clientv3.Client, prefix string, sealer *Sealer) *Secrets {
	return &Secrets{client: client, sealer: sealer, prefix: root(prefix) + privateFolder}
}

// key returns the key in the store of the private key of a name.
func (s *Secrets) key(name string) (string, error) {
	if name == "" || path.Clean("/" + name)[1:] != name {
		return "", fmt.Errorf("%q can't be the name of a private key", name)
	}
	return s.prefix + name, nil
}

// Create stores a private key. It returns ErrExists if there is one of that name. When it returns nil, the key is durable.
func (s *Secrets) Create(ctx context.Context, name string, plain []byte) error {
	key, err := s.key(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	sealed, err := s.sealer.Seal(ctx, name, plain)
	if err != nil {
		return err
	}
	done, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).Then(clientv3.OpPut(key, string(sealed))).Commit()
	switch {
	case err != nil:
		return fmt.Errorf("storing the private key %q: %w", name, err)
	case !done.Succeeded:
		return fmt.Errorf("%q: %w", name, ErrExists)
	}
	return nil
}

// Get returns a private key, or nil if there is none of that name.
func (s *Secrets) Get(ctx context.Context, name string) ([]byte, error) {
	plain, _, _, err := s.get(ctx, name)
	return plain, err
}

func (s *Secrets) get(ctx context.Context, name string) (plain []byte, stale bool, revision int64, err error) {
	key, err := s.key(name)
	if err != nil {
		return nil, false, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	found, err := s.client.Get(ctx, key)
	if err != nil {
		return nil, false, 0, fmt.Errorf("reading the private key %q: %w", name, err)
	}
	if len(found.Kvs) == 0 {
		return nil, false, 0, nil
	}
	plain, stale, err = s.sealer.Open(ctx, name, found.Kvs[0].Value)
	return plain, stale, found.Kvs[0].ModRevision, err
}

// Delete removes a private key. One that is gone already is no error.
func (s *Secrets) Delete(ctx context.Context, name string) error {
	key, err := s.key(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if _, err := s.client.Delete(ctx, key); err != nil {
		return fmt.Errorf("removing the private key %q: %w", name, err)
	}
	return nil
}

// Names returns the names of all private keys, sorted.
func (s *Secrets) Names(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	found, err := s.client.Get(ctx, s.prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, fmt.Errorf("listing the private keys: %w", err)
	}
	var names []string
	for _, kv := range found.Kvs {
		names = append(names, strings.TrimPrefix(string(kv.Key), s.prefix))
	}
	slices.Sort(names)
	return names, nil
}

// Reseal encrypts each private key again for which another provider encrypts now. Its error names the keys that can't be decrypted.
func (s *Secrets) Reseal(ctx context.Context) error {
	names, err := s.Names(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, s.reseal(ctx, name))
	}
	return errors.Join(errs...)
}

func (s *Secrets) reseal(ctx context.Context, name string) error {
	plain, stale, revision, err := s.get(ctx, name)
	if err != nil || !stale {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	sealed, err := s.sealer.Seal(ctx, name, plain)
	if err != nil {
		return err
	}
	// If the comparison fails, another server has sealed the key meanwhile.
	key := s.prefix + name
	_, err = s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).Then(clientv3.OpPut(key, string(sealed))).Commit()
	return err
}

// Sealed reports whether the store holds anything that a sealer has encrypted: the identity, or a private key.
func Sealed(ctx context.Context, client *clientv3.Client, prefix string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	found, err := client.Txn(ctx).Then(
		clientv3.OpGet(root(prefix)+recordName, clientv3.WithCountOnly()),
		clientv3.OpGet(root(prefix)+privateFolder, clientv3.WithPrefix(), clientv3.WithCountOnly()),
	).Commit()
	if err != nil {
		return false, fmt.Errorf("looking for private keys in the store: %w", err)
	}
	return found.Responses[0].GetResponseRange().Count+found.Responses[1].GetResponseRange().Count > 0, nil
}
