package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/client-go/util/cert"
)

// Copy is the identity in a copy of a store, such as a snapshot. The keys of the copy are handed to Put and Delete in the order of
// the writes.
type Copy struct {
	root    string
	objects map[string][]byte
}

// NewCopy returns a copy without anything in it, of a store with a prefix such as /mintmark.
func NewCopy(prefix string) *Copy { return &Copy{root: root(prefix), objects: map[string][]byte{}} }

// Put takes a key and its value over if they are the identity's. It returns false if the key may be that of an object of the API.
func (c *Copy) Put(key string, value []byte) bool {
	name, found := strings.CutPrefix(key, c.root)
	if name == recordName || strings.HasPrefix(name, privateFolder) {
		c.objects[name] = bytes.Clone(value)
	}
	return found
}

// Delete forgets a key.
func (c *Copy) Delete(key string) { delete(c.objects, strings.TrimPrefix(key, c.root)) }

// CopyFacts is what can be told of a copy without a key.
type CopyFacts struct {
	// Version is that of the format in which the store is written.
	Version int
	Issuer  string
	// PrivateKeys is the number of private keys, those of the certificate authorities among them.
	PrivateKeys int
	// EncryptedWith names the key-encryption keys and the providers with which they are encrypted.
	EncryptedWith []string
	// NeedsFile says that one of them is the key-encryption key of a data directory, NeedsConfiguration that one is a provider of an
	// encryption configuration.
	NeedsFile, NeedsConfiguration bool
}

// Facts fails if there is no identity in the copy, or one that this program does not know.
func (c *Copy) Facts() (*CopyFacts, error) {
	stored, sealed, err := c.read()
	if err != nil {
		return nil, err
	}
	facts := &CopyFacts{Version: stored.Version, Issuer: stored.Issuer, PrivateKeys: len(sealed)}
	for _, value := range sealed {
		with := "nothing"
		switch {
		case bytes.HasPrefix(value, []byte(directoryPrefix)):
			id, _, _ := bytes.Cut(value[len(directoryPrefix):], []byte(":"))
			with, facts.NeedsFile = fmt.Sprintf("the key-encryption key %.8q", id), true
		case bytes.HasPrefix(value, []byte(encrypted)):
			// k8s:enc:PROVIDER:VERSION:NAME:…
			if parts := strings.SplitN(string(value[len(encrypted):]), ":", 4); len(parts) == 4 {
				with = fmt.Sprintf("the key %.64q of the provider %.16q", parts[2], parts[0])
			}
			facts.NeedsConfiguration = true
		}
		if !slices.Contains(facts.EncryptedWith, with) {
			facts.EncryptedWith = append(facts.EncryptedWith, with)
		}
	}
	slices.Sort(facts.EncryptedWith)
	return facts, nil
}

// Open fails, and says what is missing, unless the sealer opens all private keys of the copy.
func (c *Copy) Open(ctx context.Context, sealer *Sealer) error {
	_, sealed, err := c.read()
	if err != nil {
		return err
	}
	for name, value := range sealed {
		if _, _, err := sealer.Open(ctx, name, value); err != nil {
			return err
		}
	}
	return nil
}

// read returns the record, and the private keys by the names under which they were sealed.
func (c *Copy) read() (*record, map[string][]byte, error) {
	data, found := c.objects[recordName]
	if !found {
		return nil, nil, fmt.Errorf("it holds no %s%s, so it is no store of a server with that --etcd-prefix", c.root, recordName)
	}
	stored, err := parseRecord(data, c.root+recordName)
	if err != nil {
		return nil, nil, err
	}
	sealed := map[string][]byte{}
	for _, authority := range stored.Authorities {
		if len(authority.Key) == 0 {
			continue
		}
		certificates, err := cert.ParseCertsPEM([]byte(authority.Certificate))
		if err != nil {
			return nil, nil, fmt.Errorf("%s%s holds an authority without a certificate: %w", c.root, recordName, err)
		}
		sealed[name(certificates[0])] = authority.Key
	}
	for key, value := range c.objects {
		if private, ok := strings.CutPrefix(key, privateFolder); ok {
			sealed[private] = value
		}
	}
	return stored, sealed, nil
}

// parseRecord reads a record. The version comes first: the other fields may mean something else in another version.
func parseRecord(data []byte, key string) (*record, error) {
	var of struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &of); err != nil {
		return nil, fmt.Errorf("%s in the store can't be read: restore the store from a backup: %w", key, err)
	}
	if of.Version != version {
		return nil, fmt.Errorf("%s in the store has version %d, and this program knows version %d: run the program that wrote it, or a later one", key, of.Version, version)
	}
	stored := &record{}
	if err := json.Unmarshal(data, stored); err != nil {
		return nil, fmt.Errorf("%s in the store can't be read: restore the store from a backup: %w", key, err)
	}
	return stored, nil
}
