package signingkey_test

import (
	"crypto/elliptic"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mintmark/mintmark/internal/signingkey"
)

// fileInterval is how often files are read.
const fileInterval = time.Second

// keyFiles are the files of a Files source in a directory, and a ring of their keys.
type keyFiles struct {
	t               *testing.T
	signing, public string
	source          *signingkey.Files
	ring            *signingkey.Ring
}

// runFiles runs a source whose signing key is a and whose accepted keys are a and b.
func runFiles(t *testing.T, a, b string) *keyFiles {
	t.Helper()
	dir := t.TempDir()
	k := &keyFiles{t: t, signing: filepath.Join(dir, "sa.key"), public: filepath.Join(dir, "sa.pub")}
	k.write(k.signing, a)
	k.write(k.public, a+b)
	var err error
	if k.source, err = signingkey.NewFiles(k.signing, []string{k.public}); err != nil {
		t.Fatal(err)
	}
	k.ring = signingkey.NewRing(k.source, nil)
	go k.ring.Run(t.Context())
	return k
}

func (k *keyFiles) write(path, content string) {
	k.t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// after waits, and returns the key id of a new token, and how many keys are published.
func (k *keyFiles) after(wait time.Duration) (keyID string, published int) {
	k.t.Helper()
	time.Sleep(wait)
	synctest.Wait()
	contents, err := k.source.Contents(time.Now())
	if err != nil {
		k.t.Fatal(err)
	}
	_, keyID, err = contents.Signers[contents.Default].Sign(k.t.Context(), []byte("{}"), time.Time{})
	if err != nil {
		k.t.Fatal(err)
	}
	return keyID, len(contents.Keys)
}

// pemKey returns a new private key as PEM, and its id.
func pemKey(t *testing.T) (text, id string) {
	t.Helper()
	key := ecKey(t, elliptic.P256())
	encoded, err := signingkey.EncodePrivate(key)
	if err != nil {
		t.Fatal(err)
	}
	if id, err = signingkey.KeyID(key.Public()); err != nil {
		t.Fatal(err)
	}
	return string(encoded), id
}

// Files are read again when they have changed, however that was done.
func TestFilesAreReadAgain(t *testing.T) {
	a, idA := pemKey(t)
	b, idB := pemKey(t)
	c, idC := pemKey(t)
	synctest.Test(t, func(t *testing.T) {
		k := runFiles(t, a, b)
		if id, n := k.after(0); id != idA || n != 2 {
			t.Fatalf("%s signs, of %d keys", id, n)
		}
		k.write(k.signing, b)
		if id, n := k.after(2 * fileInterval); id != idB || n != 2 {
			t.Errorf("after a write %s signs, of %d keys", id, n)
		}
		k.write(k.public+".new", b+c)
		if err := os.Rename(k.public+".new", k.public); err != nil {
			t.Fatal(err)
		}
		if id, n := k.after(2 * fileInterval); id != idB || n != 2 || k.ring.Holds(idA) || !k.ring.Holds(idC) {
			t.Errorf("after a rename %s signs, of %d keys", id, n)
		}
		// A secret that is mounted into a pod is swapped by a link.
		for name, key := range map[string]string{"1": b, "2": c} {
			k.write(filepath.Join(filepath.Dir(k.signing), name), key)
		}
		swap := func(to string) {
			link := k.signing + ".link"
			if err := os.Symlink(to, link); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(link, k.signing); err != nil {
				t.Fatal(err)
			}
		}
		swap("1")
		k.after(2 * fileInterval)
		swap("2")
		if id, _ := k.after(2 * fileInterval); id != idC {
			t.Errorf("after a swap %s signs", id)
		}
		if k.source.Failure() != nil {
			t.Error(k.source.Failure())
		}
	})
}

// Files that can't be used leave the keys as they are, and say why.
func TestBadFilesKeepWhatWasGood(t *testing.T) {
	a, idA := pemKey(t)
	b, _ := pemKey(t)
	other, _ := pemKey(t)
	for name, test := range map[string]struct {
		change func(*keyFiles)
		words  string
	}{
		"half a key":     {func(k *keyFiles) { k.write(k.signing, a[:len(a)/2]) }, "can't be decoded"},
		"nothing":        {func(k *keyFiles) { k.write(k.signing, "") }, "is empty"},
		"half the keys":  {func(k *keyFiles) { k.write(k.public, a+b[:len(b)/2]) }, "can't be decoded"},
		"contradiction":  {func(k *keyFiles) { k.write(k.signing, other) }, "is not among the keys"},
		"no file":        {func(k *keyFiles) { _ = os.Remove(k.public) }, "no such file"},
		"a directory":    {func(k *keyFiles) { _ = os.Remove(k.public); _ = os.Mkdir(k.public, 0o700) }, "is a directory"},
		"a broken link":  {func(k *keyFiles) { _ = os.Remove(k.signing); _ = os.Symlink("nowhere", k.signing) }, "no such file"},
		"a second key":   {func(k *keyFiles) { k.write(k.signing, a+b) }, "two private keys"},
		"a public key":   {func(k *keyFiles) { k.write(k.signing, "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n") }, "sa.key"},
		"something else": {func(k *keyFiles) { k.write(k.signing, `{"kty":"EC"}`) }, "JSON Web Key"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := runFiles(t, a, b)
				test.change(k)
				if id, n := k.after(3 * fileInterval); id != idA || n != 2 {
					t.Errorf("%s signs, of %d keys", id, n)
				}
				err := k.source.Failure()
				if err == nil || !strings.Contains(err.Error(), test.words) || !strings.Contains(err.Error(), "--service-account-") {
					t.Fatalf("%v, want %q", err, test.words)
				}
				if strings.Contains(err.Error(), strings.Split(a, "\n")[1]) {
					t.Error("the failure repeats the key")
				}
				_ = os.RemoveAll(k.public)
				_ = os.Remove(k.signing)
				k.write(k.signing, a)
				k.write(k.public, a+b)
				if k.after(3 * fileInterval); k.source.Failure() != nil {
					t.Errorf("when the files are good again: %v", k.source.Failure())
				}
			})
		})
	}
}

// A file that is written in several steps is used when it is whole, also if its first part would do.
func TestFilesThatAreBeingWritten(t *testing.T) {
	a, _ := pemKey(t)
	b, idB := pemKey(t)
	c, _ := pemKey(t)
	synctest.Test(t, func(t *testing.T) {
		k := runFiles(t, a, b)
		time.Sleep(fileInterval / 2)
		whole := a + b + c
		for end := len(a); end < len(whole); end += len(whole) / 10 {
			k.write(k.public, whole[:end])
			if k.after(fileInterval); !k.ring.Holds(idB) {
				t.Fatalf("with %d of %d bytes a key is missing", end, len(whole))
			}
		}
		k.write(k.public, whole)
		if _, n := k.after(2 * fileInterval); n != 3 {
			t.Errorf("%d keys", n)
		}
	})
}
