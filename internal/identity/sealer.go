package identity

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/apiserver/pkg/storage/value"
	aestransformer "k8s.io/apiserver/pkg/storage/value/encrypt/aes"
	"k8s.io/klog/v2"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

const (
	// encrypted begins everything that the library's providers encrypt. Only the identity provider reads anything else.
	encrypted = "k8s:enc:"
	// directoryPrefix and the id of the key begin what is sealed with the key-encryption key of a data directory.
	directoryPrefix = encrypted + "aesgcm:v1:data-directory-"
	// macSize is the size of the key, and of the code, that bind a value to its name.
	macSize = sha256.Size
	// kmsTimeout bounds how long a key management service may take to answer at the start.
	kmsTimeout = 10 * time.Second
	// retryAfter is how long a changed configuration that can't be used is left alone.
	retryAfter = 30 * time.Second
)

// ErrNoKey says that nothing encrypts private keys in the store.
var ErrNoKey = errors.New("nothing encrypts the private keys in the store")

// SealerConfig says how private keys are encrypted before they are stored.
type SealerConfig struct {
	// ConfigurationFile is an EncryptionConfiguration; empty means none. Its providers for signingkeys.mintmark.io count or, if it
	// has none, those for secrets. If they encrypt, they come before the key-encryption key.
	ConfigurationFile string
	// Reload has the file read again when it has changed.
	Reload bool
	// KeyEncryptionKey has 32 bytes; nil means none. KeyEncryptionKeyFile is the name of its file.
	KeyEncryptionKey     []byte
	KeyEncryptionKeyFile string
}

// Sealer encrypts private keys for the store. A value that was sealed under one name doesn't open under another.
type Sealer struct {
	cfg SealerConfig
	// ctx ends with Close. The providers of a key management service work until then.
	ctx   context.Context
	close context.CancelFunc
	// directory seals with the key-encryption key; its Transformer is nil if there is none.
	directory value.PrefixTransformer

	mu sync.Mutex
	providers
	// tried is when the configuration was last read in vain.
	tried time.Time
}

// providers are those of a configuration that are for private keys.
type providers struct {
	// hash identifies the text of the configuration.
	hash string
	// configured is nil if none is for private keys.
	configured value.Transformer
	// encrypts is set if the first provider encrypts.
	encrypts bool
	// discard ends the work of the providers.
	discard context.CancelFunc
}

// NewSealer returns a sealer after it has tried it. The error is ErrNoKey if the configuration leaves private keys as they are
// and there is no key-encryption key.
func NewSealer(ctx context.Context, cfg SealerConfig) (_ *Sealer, err error) {
	s := &Sealer{cfg: cfg}
	s.ctx, s.close = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if cfg.KeyEncryptionKey != nil {
		block, err := aes.NewCipher(cfg.KeyEncryptionKey)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", cfg.KeyEncryptionKeyFile, err)
		}
		if s.directory.Transformer, err = aestransformer.NewGCMTransformer(block); err != nil {
			return nil, fmt.Errorf("%s: %w", cfg.KeyEncryptionKeyFile, err)
		}
		s.directory.Prefix = []byte(directoryPrefix + keyID(cfg.KeyEncryptionKey) + ":")
	}
	if cfg.ConfigurationFile != "" {
		if s.providers, err = s.load(ctx); err != nil {
			return nil, err
		}
	}
	if !s.encrypts && s.directory.Transformer == nil {
		return nil, ErrNoKey
	}
	return s, nil
}

// Close ends the work of the providers.
func (s *Sealer) Close() { s.close() }

// keyID names a key-encryption key without telling anything of it.
func keyID(key []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("mintmark key-encryption key id"))
	return hex.EncodeToString(mac.Sum(nil)[:4])
}

// load reads the configuration and tries it.
func (s *Sealer) load(ctx context.Context) (_ providers, err error) {
	file := s.cfg.ConfigurationFile
	working, discard := context.WithCancel(s.ctx)
	defer func() {
		if err != nil {
			discard()
		}
	}()
	loaded, err := encryptionconfig.LoadEncryptionConfig(working, file, s.cfg.Reload, "mintmark")
	if err != nil {
		return providers{}, fmt.Errorf("--encryption-provider-config %s: %w", file, err)
	}
	p := providers{hash: loaded.EncryptionFileContentHash, discard: discard}
	for _, resource := range []schema.GroupResource{mintmarkv1alpha1.Resource("signingkeys"), {Resource: "secrets"}} {
		if covers(loaded.Transformers, resource) {
			p.configured = encryptionconfig.StaticTransformers(loaded.Transformers).TransformerForResource(resource)
			break
		}
	}
	if p.configured != nil {
		if p.encrypts, err = try(ctx, p.configured); err != nil {
			return providers{}, fmt.Errorf("--encryption-provider-config %s: the first provider for private keys does not work: %w", file, err)
		}
	}
	return p, nil
}

// covers reports whether a configuration has providers for a resource.
func covers(transformers map[schema.GroupResource]value.Transformer, resource schema.GroupResource) bool {
	for _, rule := range []schema.GroupResource{resource, {Group: resource.Group, Resource: "*"}, {Group: "*", Resource: "*"}} {
		if transformers[rule] != nil {
			return true
		}
	}
	return false
}

// try seals and opens a random text, and reports whether it was encrypted meanwhile. A key management service is waited for.
func try(ctx context.Context, t value.Transformer) (encrypts bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, kmsTimeout)
	defer cancel()
	plain, bound := []byte(rand.Text()), value.DefaultContext("a trial")
	for {
		var sealed, opened []byte
		if sealed, err = t.TransformToStorage(ctx, plain, bound); err == nil {
			opened, _, err = t.TransformFromStorage(ctx, bytes.Clone(sealed), bound)
		}
		switch {
		case err == nil && !bytes.Equal(opened, plain):
			return false, errors.New("it does not open what it has sealed")
		case err == nil:
			return bytes.HasPrefix(sealed, []byte(encrypted)) && !bytes.Contains(sealed, plain), nil
		}
		select {
		case <-ctx.Done():
			return false, err
		case <-time.After(kmsTimeout / 40):
		}
	}
}

// follow reads the configuration again if it has changed. A new one that can't be used leaves the old one in force.
func (s *Sealer) follow(ctx context.Context) {
	if !s.cfg.Reload || s.cfg.ConfigurationFile == "" || time.Since(s.tried) < retryAfter {
		return
	}
	hash, err := encryptionconfig.GetEncryptionConfigHash(s.cfg.ConfigurationFile)
	if err == nil && hash == s.hash {
		return
	}
	latest, err := s.load(ctx)
	if err == nil && !latest.encrypts && s.directory.Transformer == nil {
		latest.discard()
		err = fmt.Errorf("--encryption-provider-config %s: %w any longer", s.cfg.ConfigurationFile, ErrNoKey)
	}
	if err != nil {
		s.tried = time.Now()
		klog.FromContext(ctx).Error(err, "The encryption configuration can't be used for private keys, so that of before stays in force")
		return
	}
	s.discard()
	s.providers = latest
}

// Seal encrypts a private key that is stored under a name.
func (s *Sealer) Seal(ctx context.Context, name string, plain []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.follow(ctx)
	bound := bind(name, plain)
	if s.encrypts {
		return s.configured.TransformToStorage(ctx, bound, value.DefaultContext(name))
	}
	sealed, err := s.directory.Transformer.TransformToStorage(ctx, bound, value.DefaultContext(name))
	return append(bytes.Clone(s.directory.Prefix), sealed...), err
}

// Open decrypts a value that was sealed under a name. stale says that another provider encrypts now.
func (s *Sealer) Open(ctx context.Context, name string, sealed []byte) (plain []byte, stale bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.follow(ctx)
	var bound []byte
	switch {
	case !bytes.HasPrefix(sealed, []byte(encrypted)):
		return nil, false, fmt.Errorf("the private key %q in the store is not encrypted, so another program has written it: put the store back from a backup", name)
	case bytes.HasPrefix(sealed, []byte(directoryPrefix)):
		bound, err = s.openWithDirectory(ctx, name, sealed)
		stale = s.encrypts
	case s.configured == nil && s.cfg.ConfigurationFile == "":
		return nil, false, fmt.Errorf("the private key %q in the store was encrypted with an encryption configuration, and there is none: name it with --encryption-provider-config", name)
	case s.configured == nil:
		return nil, false, fmt.Errorf("the private key %q in the store can't be decrypted, since the file of --encryption-provider-config (%s) has no providers for secrets: add the one that it was encrypted with",
			name, s.cfg.ConfigurationFile)
	default:
		if bound, stale, err = s.configured.TransformFromStorage(ctx, bytes.Clone(sealed), value.DefaultContext(name)); err != nil {
			err = fmt.Errorf("the private key %q in the store can't be decrypted with the file of --encryption-provider-config (%s): add the key that it was encrypted with as a further one, or put it back: %w",
				name, s.cfg.ConfigurationFile, err)
		}
		stale = stale || !s.encrypts
	}
	if err != nil {
		return nil, false, err
	}
	plain, ok := unbind(name, bound)
	if !ok {
		return nil, false, fmt.Errorf("the private key %q in the store was changed, or stored under another name before: put the store back from a backup", name)
	}
	return plain, stale, nil
}

// openWithDirectory decrypts with the key-encryption key.
func (s *Sealer) openWithDirectory(ctx context.Context, name string, sealed []byte) ([]byte, error) {
	id, _, _ := bytes.Cut(bytes.TrimPrefix(sealed, []byte(directoryPrefix)), []byte(":"))
	if s.directory.Transformer == nil {
		return nil, fmt.Errorf("the private key %q in the store is encrypted with the key-encryption key %.8q, and %s is missing: put that file back from a backup of the data directory",
			name, id, s.cfg.KeyEncryptionKeyFile)
	}
	if !bytes.HasPrefix(sealed, s.directory.Prefix) {
		return nil, fmt.Errorf("the private key %q in the store is encrypted with the key-encryption key %.8q, and %s holds another one (%q): put the right file back from a backup of the data directory",
			name, id, s.cfg.KeyEncryptionKeyFile, keyID(s.cfg.KeyEncryptionKey))
	}
	bound, _, err := s.directory.Transformer.TransformFromStorage(ctx, bytes.Clone(sealed[len(s.directory.Prefix):]), value.DefaultContext(name))
	if err != nil {
		return nil, fmt.Errorf("the private key %q in the store was changed, or stored under another name before: put the store back from a backup: %w", name, err)
	}
	return bound, nil
}

// bind puts a key and an authentication code over name and value in front of the value: not every provider authenticates the
// value and its name. The key is as secret as the value, since both are encrypted together.
func bind(name string, plain []byte) []byte {
	key := make([]byte, macSize)
	_, _ = rand.Read(key) // never fails
	return slices.Concat(key, code(key, name, plain), plain)
}

// unbind returns the value if it was bound to the name.
func unbind(name string, bound []byte) (plain []byte, ok bool) {
	if len(bound) < 2*macSize {
		return nil, false
	}
	key, sum, plain := bound[:macSize], bound[macSize:2*macSize], bound[2*macSize:]
	return plain, hmac.Equal(sum, code(key, name, plain))
}

func code(key []byte, name string, plain []byte) []byte {
	mac := hmac.New(sha256.New, key)
	nameSum := sha256.Sum256([]byte(name))
	mac.Write(nameSum[:])
	mac.Write(plain)
	return mac.Sum(nil)
}
