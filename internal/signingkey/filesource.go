package signingkey

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/shell"
)

// fileInterval is how often key files are read. Files whose content has changed are used at the second reading with that
// content: a file that is being written differs from one reading to the next.
const fileInterval = time.Second

// Files is a source of the keys in PEM files, which kube-apiserver reads once. It reads them again when they change, in place,
// by a rename or by the swap of a symbolic link. While they can't be used, the keys that were read before hold on.
type Files struct {
	signing string
	further []string

	mu       sync.Mutex
	changed  func()
	contents Contents
	// used and seen are the digests of the content in use and of the last reading.
	used, seen [sha256.Size]byte
	failure    error
}

var _ Source = (*Files)(nil)

// NewFiles returns the source of the key that signs, in one file, and the keys whose tokens are accepted, in further files. Without
// further files these are the keys of the first.
func NewFiles(signing string, further []string) (*Files, error) {
	f := &Files{signing: signing, further: slices.Clone(further), changed: func() {}}
	texts, digest, err := f.read()
	if err != nil {
		return nil, err
	}
	if f.contents, err = f.parse(texts); err != nil {
		return nil, err
	}
	f.used, f.seen = digest, digest
	return f, nil
}

// Bind has a function called when the files have other keys.
func (f *Files) Bind(changed func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed = changed
}

// Contents returns the keys in use.
func (f *Files) Contents(time.Time) (Contents, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.contents, nil
}

// Find finds nothing: the files are read often enough, and callers who make up key ids must not have them read.
func (f *Files) Find(context.Context, string) error { return nil }

// Failure says why the files can't be used as they are now; nil if they can.
func (f *Files) Failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failure
}

// Run reads the files again and again until the context ends.
func (f *Files) Run(ctx context.Context) {
	tick := time.NewTicker(fileInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.look(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// look reads the files once.
func (f *Files) look(ctx context.Context) {
	logger := klog.FromContext(ctx)
	texts, digest, err := f.read()
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.seen
	f.seen = digest
	switch {
	case err != nil:
		f.fail(logger, err)
		return
	case digest == f.used:
		f.succeed()
		return
	case digest != before:
		return // it may be half of what is being written
	}
	contents, err := f.parse(texts)
	if err != nil {
		f.fail(logger, err)
		return
	}
	f.contents, f.used = contents, digest
	f.succeed()
	metrics.FileReloads.Inc()
	ids := make([]string, len(contents.Keys))
	for i, key := range contents.Keys {
		ids[i] = key.ID
	}
	logger.Info("Read the signing keys anew", "file", f.signing, "keyIDs", ids)
	f.changed()
}

// fail notes why the files can't be used, and logs it once.
func (f *Files) fail(logger klog.Logger, err error) {
	if f.failure == nil || f.failure.Error() != err.Error() {
		logger.Error(err, "The files of signing keys can't be used as they are; the keys that were read before hold on")
	}
	f.failure = err
	metrics.FilesFailing.Set(1)
}

func (f *Files) succeed() {
	f.failure = nil
	metrics.FilesFailing.Set(0)
}

// read returns the content of the files, the one that signs first, and the digest of all.
func (f *Files) read() (texts [][]byte, digest [sha256.Size]byte, err error) {
	hash := sha256.New()
	for i, path := range append([]string{f.signing}, f.further...) {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, digest, fmt.Errorf("%s: %w", f.flag(i), err)
		}
		sum := sha256.Sum256(text)
		hash.Write(sum[:])
		texts = append(texts, text)
	}
	return texts, [sha256.Size]byte(hash.Sum(nil)), nil
}

func (f *Files) flag(file int) string {
	if file == 0 {
		return "--service-account-signing-key-file"
	}
	return "--service-account-key-file"
}

// parse returns the keys in the files.
func (f *Files) parse(texts [][]byte) (Contents, error) {
	found, err := readFileKeys(texts[0], f.signing, "a valid RSA or ECDSA private key")
	if err != nil {
		return Contents{}, fmt.Errorf("%s: %w", f.flag(0), err)
	}
	private, err := privateOf(found, f.signing)
	if err != nil {
		return Contents{}, fmt.Errorf("%s: %w", f.flag(0), err)
	}
	signer, err := NewSigner(private)
	if err != nil {
		return Contents{}, fmt.Errorf("failed to build token generator: %w", err)
	}
	var public []crypto.PublicKey
	for i, path := range f.further {
		found, err := readFileKeys(texts[i+1], path, "any valid RSA or ECDSA public keys")
		if err != nil {
			return Contents{}, fmt.Errorf("%s: %w", f.flag(i+1), err)
		}
		public = append(public, publicOf(found)...)
	}
	if len(f.further) == 0 {
		public = []crypto.PublicKey{signer.Public()}
	}
	if !slices.ContainsFunc(public, func(key crypto.PublicKey) bool { return sameKey(key, signer.Public()) }) {
		return Contents{}, errors.New("the signing key in " + f.signing + " is not among the keys in the files of --service-account-key-file: neither this server nor anybody else " +
			"would accept what it signs; add it with --service-account-key-file=" + shell.Quote(f.signing))
	}
	static, err := NewStatic(signer, public)
	if err != nil {
		return Contents{}, err
	}
	return static.contents, nil
}
