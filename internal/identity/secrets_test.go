package identity_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/identity"
)

const (
	prefix = "/test"
	// private is where private keys are in the store.
	private = prefix + "/mintmark.io/private/"
)

// newStore starts an etcd, which ends with the test.
func newStore(t *testing.T) *clientv3.Client {
	t.Helper()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	client, err := etcd.Connect(storagebackend.TransportConfig{ServerList: []string{member.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func randomKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return key
}

// provider is one provider of an EncryptionConfiguration, with a key of its own.
func provider(kind string) string {
	if kind == "identity" {
		return "  - identity: {}\n"
	}
	return fmt.Sprintf("  - %s: {keys: [{name: a, secret: %s}]}\n", kind, base64.StdEncoding.EncodeToString(randomKey()))
}

// configuration writes an EncryptionConfiguration for a resource, and returns the name of its file.
func configuration(t *testing.T, resource string, providers ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "encryption.yaml")
	writeConfiguration(t, file, resource, providers...)
	return file
}

func writeConfiguration(t *testing.T, file, resource string, providers ...string) {
	t.Helper()
	text := "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: ['" + resource + "']\n  providers:\n" +
		strings.Join(providers, "")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newSecrets(t *testing.T, client *clientv3.Client, cfg identity.SealerConfig) *identity.Secrets {
	t.Helper()
	sealer, err := identity.NewSealer(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sealer.Close)
	return identity.NewSecrets(client, prefix, sealer)
}

func directoryKey(key []byte) identity.SealerConfig {
	return identity.SealerConfig{KeyEncryptionKey: key, KeyEncryptionKeyFile: "/data/key-encryption.key"}
}

// TestSecrets stores, reads, lists and removes private keys, encrypted with every provider that there is for it.
func TestSecrets(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]identity.SealerConfig{
		"a key of the data directory": directoryKey(randomKey()),
		"AES-GCM":                     {ConfigurationFile: configuration(t, "secrets", provider("aesgcm"))},
		"AES-CBC":                     {ConfigurationFile: configuration(t, "signingkeys.mintmark.io", provider("aescbc"))},
		"secretbox":                   {ConfigurationFile: configuration(t, "*.*", provider("secretbox"), provider("identity"))},
		"all of the core group":       {ConfigurationFile: configuration(t, "*.", provider("aesgcm"))},
		"all of our group":            {ConfigurationFile: configuration(t, "*.mintmark.io", provider("aesgcm")), Reload: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newStore(t)
			secrets := newSecrets(t, client, cfg)
			plain := []byte("a private key " + rand.Text())
			if got, err := secrets.Get(t.Context(), "signingkeys/es256-1"); got != nil || err != nil {
				t.Errorf("a key that is not there: %d bytes, %v", len(got), err)
			}
			if err := secrets.Create(t.Context(), "signingkeys/es256-1", plain); err != nil {
				t.Fatal(err)
			}
			if err := secrets.Create(t.Context(), "signingkeys/es256-1", []byte("another")); !errors.Is(err, identity.ErrExists) {
				t.Errorf("a second key of one name: %v", err)
			}
			if got, err := secrets.Get(t.Context(), "signingkeys/es256-1"); !bytes.Equal(got, plain) || err != nil {
				t.Errorf("the key comes back changed: %v", err)
			}
			if err := secrets.Create(t.Context(), "more/b", plain); err != nil {
				t.Fatal(err)
			}
			if names, err := secrets.Names(t.Context()); !slices.Equal(names, []string{"more/b", "signingkeys/es256-1"}) || err != nil {
				t.Errorf("names %q, %v", names, err)
			}
			if found := get(t, client, private+"signingkeys/es256-1"); len(found) == 0 || strings.Contains(found, "private key") {
				t.Error("the key is not encrypted in the store")
			}
			for range 2 {
				if err := secrets.Delete(t.Context(), "signingkeys/es256-1"); err != nil {
					t.Error(err)
				}
			}
			if names, err := secrets.Names(t.Context()); !slices.Equal(names, []string{"more/b"}) || err != nil {
				t.Errorf("names %q, %v", names, err)
			}

			// Moved to another name, and changed, it does not open.
			moved := get(t, client, private+"more/b")
			put(t, client, private+"more/c", moved)
			if _, err := secrets.Get(t.Context(), "more/c"); err == nil || !strings.Contains(err.Error(), `"more/c" in the store`) {
				t.Errorf("a key that was moved opens: %v", err)
			}
			put(t, client, private+"more/b", moved[:len(moved)-3]+"\x00\x01\x02")
			if _, err := secrets.Get(t.Context(), "more/b"); err == nil {
				t.Error("a key that was changed opens")
			}
			put(t, client, private+"more/b", string(plain))
			if _, err := secrets.Get(t.Context(), "more/b"); err == nil || !strings.Contains(err.Error(), "is not encrypted, so another program has written it") {
				t.Errorf("a key that is not encrypted is taken: %v", err)
			}
		})
	}
	for _, name := range []string{"", "/a", "a/", "a//b", "../a", "a/../b", "."} {
		if err := newSecrets(t, nil, directoryKey(randomKey())).Create(t.Context(), name, nil); err == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
}

func get(t *testing.T, client *clientv3.Client, key string) string {
	t.Helper()
	found, err := client.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Kvs) == 0 {
		return ""
	}
	return string(found.Kvs[0].Value)
}

func put(t *testing.T, client *clientv3.Client, key, value string) {
	t.Helper()
	if _, err := client.Put(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

// TestKeyThatIsNotTheRightOne opens private keys with something else than they were encrypted with: the error says what to do, and
// what is stored stays as it is.
func TestKeyThatIsNotTheRightOne(t *testing.T) {
	t.Parallel()
	client := newStore(t)
	key, aesgcm := randomKey(), provider("aesgcm")
	configured := configuration(t, "secrets", aesgcm)
	ofDirectory, ofConfiguration := newSecrets(t, client, directoryKey(key)), newSecrets(t, client, identity.SealerConfig{ConfigurationFile: configured})
	if err := errors.Join(ofDirectory.Create(t.Context(), "directory", []byte("1")), ofConfiguration.Create(t.Context(), "configuration", []byte("2"))); err != nil {
		t.Fatal(err)
	}
	const file = "/data/key-encryption.key"
	for _, test := range []struct {
		what, name string
		cfg        identity.SealerConfig
		want       string
	}{
		{"another key of the directory", "directory", directoryKey(randomKey()), file + " holds another one"},
		{"no key of the directory", "directory", identity.SealerConfig{ConfigurationFile: configured, KeyEncryptionKeyFile: file}, file + " is missing: put that file back from a backup"},
		{"no configuration", "configuration", directoryKey(key), "name it with --encryption-provider-config"},
		{"another configuration", "configuration", identity.SealerConfig{ConfigurationFile: configuration(t, "secrets", provider("aesgcm"))}, "add the key that it was encrypted with as a further one"},
		{"another provider", "configuration", identity.SealerConfig{ConfigurationFile: configuration(t, "secrets", provider("aescbc"))}, "add the key that it was encrypted with as a further one"},
		{
			"a configuration for other resources", "configuration",
			identity.SealerConfig{ConfigurationFile: configuration(t, "configmaps", aesgcm), KeyEncryptionKey: key},
			"has no providers for secrets",
		},
	} {
		before := get(t, client, private+test.name)
		secrets := newSecrets(t, client, test.cfg)
		if _, err := secrets.Get(t.Context(), test.name); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), `"`+test.name+`"`) {
			t.Errorf("%s: %v", test.what, err)
		}
		if err := secrets.Reseal(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: encrypted anew: %v", test.what, err)
		}
		if get(t, client, private+test.name) != before {
			t.Errorf("%s: the stored key has changed", test.what)
		}
	}
}

// TestNothingEncrypts refuses to seal with nothing.
func TestNothingEncrypts(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"no configuration":      "",
		"the identity provider": configuration(t, "secrets", provider("identity")),
		"identity comes first":  configuration(t, "secrets", provider("identity"), provider("aesgcm")),
		"signing keys left out": configuration(t, "signingkeys.mintmark.io", provider("identity")),
		"other resources":       configuration(t, "configmaps", provider("aesgcm")),
		"another group's":       configuration(t, "secrets.example.com", provider("aesgcm")),
	} {
		if _, err := identity.NewSealer(t.Context(), identity.SealerConfig{ConfigurationFile: file}); !errors.Is(err, identity.ErrNoKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := identity.NewSealer(t.Context(), identity.SealerConfig{KeyEncryptionKey: []byte("short"), KeyEncryptionKeyFile: "/data/kek"}); err == nil ||
		!strings.Contains(err.Error(), "/data/kek") {
		t.Errorf("a short key: %v", err)
	}
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(broken, []byte("kind: Nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{broken, broken + ".missing"} {
		if _, err := identity.NewSealer(t.Context(), identity.SealerConfig{ConfigurationFile: file}); err == nil || !strings.Contains(err.Error(), "--encryption-provider-config "+file) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestEncryptedAnew changes the provider that writes: what is stored is encrypted with the new one, and the old one can go.
func TestEncryptedAnew(t *testing.T) {
	t.Parallel()
	client := newStore(t)
	key, first, second := randomKey(), provider("aescbc"), provider("aesgcm")
	both := configuration(t, "secrets", second, first)
	steps := []identity.SealerConfig{
		directoryKey(key), // as an embedded store begins
		{ConfigurationFile: configuration(t, "secrets", first), KeyEncryptionKey: key},
		{ConfigurationFile: configuration(t, "secrets", first, second)},
		{ConfigurationFile: both},
		{ConfigurationFile: configuration(t, "secrets", second)},
		{ConfigurationFile: configuration(t, "secrets", provider("identity"), second), KeyEncryptionKey: key}, // encryption is given up
		directoryKey(key),
	}
	if err := newSecrets(t, client, steps[0]).Create(t.Context(), "a", []byte("plain")); err != nil {
		t.Fatal(err)
	}
	for i, cfg := range steps {
		secrets := newSecrets(t, client, cfg)
		before := get(t, client, private+"a")
		if err := secrets.Reseal(t.Context()); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		changed := get(t, client, private+"a") != before
		if want := i == 1 || i == 3 || i == 5; changed != want {
			t.Errorf("step %d: encrypted anew: %t, want %t", i, changed, want)
		}
		if got, err := secrets.Get(t.Context(), "a"); string(got) != "plain" || err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
}

// TestConfigurationIsFollowed changes the configuration under a running sealer.
func TestConfigurationIsFollowed(t *testing.T) {
	t.Parallel()
	client := newStore(t)
	first, second := provider("aesgcm"), provider("secretbox")
	file := configuration(t, "secrets", first)
	secrets := newSecrets(t, client, identity.SealerConfig{ConfigurationFile: file, Reload: true})
	if err := secrets.Create(t.Context(), "a", []byte("plain")); err != nil {
		t.Fatal(err)
	}
	writeConfiguration(t, file, "secrets", second, first)
	if err := secrets.Reseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(get(t, client, private+"a"), "k8s:enc:secretbox:") {
		t.Error("the new provider is not used")
	}
	// One that encrypts nothing leaves that of before in force.
	writeConfiguration(t, file, "secrets", provider("identity"))
	if err := secrets.Create(t.Context(), "b", []byte("plain")); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(get(t, client, private+"b"), "k8s:enc:secretbox:") {
		t.Error("a key was stored without encryption")
	}
}
