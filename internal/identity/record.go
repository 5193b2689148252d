package identity

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/client-go/util/cert"
)

// version is that of the format in which the store is written: it grows when an older program could misread what a newer one
// writes. A store of a later version is left alone.
const version = 1

// record is the identity as it stands in the store, in JSON.
type record struct {
	Version int `json:"version"`
	// Issuer is the pinned issuer of service account tokens.
	Issuer string `json:"issuer"`
	// Authorities are the certificate authorities, the last one that was made first.
	Authorities []storedAuthority `json:"authorities"`
	// Servers holds, for each server by name, the roots by which clients know it.
	Servers map[string]server `json:"servers,omitempty"`
}

// storedAuthority is a certificate authority in the record.
type storedAuthority struct {
	// Certificate is PEM.
	Certificate string `json:"certificate"`
	// Key is PKCS #8, sealed. An authority without one is only trusted.
	Key []byte `json:"key,omitempty"`
	// SignsFrom is when the authority begins to sign in the place of others.
	SignsFrom time.Time `json:"signsFrom,omitzero"`
	// Ended authorities are no longer trusted.
	Ended bool `json:"ended,omitempty"`
}

// server holds the roots by which clients know a server.
type server struct {
	// Shared says that the shared authorities are at the root of its chain.
	Shared bool `json:"shared,omitempty"`
	// Roots is the PEM of other roots.
	Roots string `json:"roots,omitempty"`
	// Seen is when the server last wrote this entry.
	Seen time.Time `json:"seen"`
}

// clone returns a record whose lists can be changed.
func (r record) clone() record {
	r.Authorities, r.Servers = slices.Clone(r.Authorities), maps.Clone(r.Servers)
	return r
}

// seal returns an authority for the record.
func (i *Identity) seal(ctx context.Context, a *authority) (storedAuthority, error) {
	stored := storedAuthority{Certificate: string(encode(a.certificate)), SignsFrom: a.signsFrom.UTC()}
	if a.key == nil {
		return stored, nil
	}
	plain, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return storedAuthority{}, err
	}
	stored.Key, err = i.cfg.Sealer.Seal(ctx, name(a.certificate), plain)
	return stored, err
}

// open returns an authority of the record. stale says that another provider encrypts now.
func (i *Identity) open(ctx context.Context, stored storedAuthority) (a *authority, stale bool, err error) {
	certificates, err := cert.ParseCertsPEM([]byte(stored.Certificate))
	if err != nil {
		return nil, false, fmt.Errorf("%s in the store holds an authority without a certificate: restore the store from a backup: %w", i.key, err)
	}
	a = &authority{certificate: certificates[0], signsFrom: stored.SignsFrom}
	if len(stored.Key) == 0 {
		return a, false, nil
	}
	plain, stale, err := i.cfg.Sealer.Open(ctx, name(a.certificate), stored.Key)
	if err != nil {
		return nil, false, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	key, ok := parsed.(crypto.Signer)
	if err != nil || !ok || !samePublic(key.Public(), a.certificate.PublicKey) {
		return nil, false, fmt.Errorf("%s in the store holds an authority (%s) with a key that is not its own: restore the store from a backup", i.key, a.certificate.Subject)
	}
	a.key = key
	return a, stale, nil
}

// state is a record that was read. It is never changed.
type state struct {
	record
	// revision is that of the record in the store; 0 means that there is none.
	revision int64
	// authorities are those of the record, in its order.
	authorities []*authority
	// stale says that another provider encrypts now.
	stale bool
}

// read reads the record. It returns a state without a revision if there is none.
func (i *Identity) read(ctx context.Context) (*state, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	found, err := i.cfg.Client.Get(ctx, i.key)
	if err != nil {
		return nil, fmt.Errorf("reading the identity from the store: %w", err)
	}
	if len(found.Kvs) == 0 {
		return &state{record: record{Version: version}}, nil
	}
	if last := i.state.Load(); last != nil && last.revision == found.Kvs[0].ModRevision {
		return last, nil
	}
	return i.decode(ctx, found.Kvs[0].Value, found.Kvs[0].ModRevision)
}

func (i *Identity) decode(ctx context.Context, data []byte, revision int64) (*state, error) {
	stored, err := parseRecord(data, i.key)
	if err != nil {
		return nil, err
	}
	s := &state{record: *stored, revision: revision}
	for _, stored := range s.Authorities {
		a, stale, err := i.open(ctx, stored)
		if err != nil {
			return nil, err
		}
		s.authorities, s.stale = append(s.authorities, a), s.stale || stale
	}
	if !slices.ContainsFunc(s.authorities, hasKey) {
		return nil, fmt.Errorf("%s in the store holds no authority with a key: restore the store from a backup", i.key)
	}
	return s, nil
}

func hasKey(a *authority) bool { return a.key != nil }

// errConflict says that the record was changed by others at each try.
var errConflict = errors.New("other servers keep changing the identity in the store: try again")

// maxConflicts is how often a change is tried again after another server has changed the record.
const maxConflicts = 20

// update changes the record in the store by compare-and-swap, and adopts the new record. change returns false if there is
// nothing to change; it may be called several times.
func (i *Identity) update(ctx context.Context, change func(from *state, to *record) (bool, error)) error {
	i.writing.Lock()
	defer i.writing.Unlock()
	for range maxConflicts {
		from, err := i.read(ctx)
		if err != nil {
			return err
		}
		to := from.clone()
		changed, err := change(from, &to)
		if err != nil {
			return err
		}
		if !changed {
			i.adopt(from)
			return nil
		}
		data, err := json.MarshalIndent(to, "", " ")
		if err != nil {
			return err
		}
		done, err := i.swap(ctx, data, from.revision)
		if err != nil {
			return fmt.Errorf("storing the identity: %w", err)
		}
		if !done.Succeeded {
			continue
		}
		latest, err := i.decode(ctx, data, done.Header.Revision)
		if err != nil {
			return err
		}
		i.adopt(latest)
		return nil
	}
	return errConflict
}

func (i *Identity) swap(ctx context.Context, data []byte, revision int64) (*clientv3.TxnResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return i.cfg.Client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(i.key), "=", revision)).Then(clientv3.OpPut(i.key, string(data))).Commit()
}

// authority returns the authority that signs at an instant.
func (s *state) authority(now time.Time) *Authority {
	a := &Authority{signer: signerOf(s.authorities, now), bundle: s.bundle()}
	if a.signer == nil {
		// The clock has jumped. A successor is made within a minute; until then the newest authority signs.
		a.signer = s.authorities[slices.IndexFunc(s.authorities, hasKey)]
	}
	for _, other := range s.authorities {
		if other != a.signer && other.canSign(now) && !other.signsFrom.After(now) {
			a.others = append(a.others, other)
		}
	}
	return a
}

// bundle is the PEM of the authorities that are trusted.
func (s *state) bundle() []byte {
	var bundle []byte
	for _, a := range s.Authorities {
		if !a.Ended {
			bundle = append(bundle, a.Certificate...)
		}
	}
	return bundle
}

// roots is the PEM of the roots by which clients know the servers. It follows from the record alone, so that it is the same at
// every server.
func (s *state) roots() []byte {
	var shared bool
	var others [][]byte
	for _, server := range s.Servers {
		shared = shared || server.Shared
		for block, rest := pem.Decode([]byte(server.Roots)); block != nil; block, rest = pem.Decode(rest) {
			others = append(others, pem.EncodeToMemory(block))
		}
	}
	slices.SortFunc(others, bytes.Compare)
	others = slices.CompactFunc(others, bytes.Equal)
	var all []byte
	if shared {
		all = s.bundle()
	}
	for _, root := range others {
		if !bytes.Contains(all, root) {
			all = append(all, root...)
		}
	}
	return all
}
