package identity

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mintmark/mintmark/internal/datadir"
)

// Config is what an identity is opened with.
type Config struct {
	Client *clientv3.Client
	// Prefix begins all keys in the store, such as /mintmark.
	Prefix string
	Sealer *Sealer
	// Server names this server among those over the store.
	Server string
	// Issuers are the issuers that the operator names; the first one issues. Without any, the pinned issuer is taken, and at a
	// first start Derived.
	Issuers []string
	Derived string
	// ChangeIssuer lets the first of Issuers take the place of another one that is pinned.
	ChangeIssuer bool
	// Former is what an older version kept in the data directory.
	Former datadir.Former
	// Changed is called when the authorities or the roots may have changed.
	Changed func()
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Identity is what all servers over one store share. It follows the store while Run runs.
type Identity struct {
	cfg Config
	// key is the key of the record in the store.
	key   string
	state atomic.Pointer[state]
	// issuer is the one that this server issues with.
	issuer string
	// told is the changed issuer that was logged last. Only Run uses it.
	told string

	// writing lets one change of the record through at a time.
	writing sync.Mutex

	publishing sync.Mutex
	// published is the entry of this server that was last stored.
	published server
}

var _ datadir.Identity = (*Identity)(nil)

// Open reads the identity from the store, and makes one at the first start of a store. If several servers do so at once, all take
// the identity that was stored first. Open puts the authorities of an older data directory into the store. When it returns, the
// record is durable.
func Open(ctx context.Context, cfg Config) (*Identity, error) {
	i := &Identity{cfg: cfg, key: root(cfg.Prefix) + recordName}
	if i.cfg.Now == nil {
		i.cfg.Now = time.Now
	}
	if err := i.update(ctx, func(from *state, to *record) (bool, error) { return i.prepare(ctx, from, to) }); err != nil {
		return nil, err
	}
	i.issuer = i.state.Load().Issuer
	return i, nil
}

// prepare changes the record as a start requires: it adds the authorities of an older data directory and a successor, seals keys
// anew and pins the issuer.
func (i *Identity) prepare(ctx context.Context, from *state, to *record) (changed bool, err error) {
	if err := i.checkFormer(ctx, from); err != nil {
		return false, err
	}
	now, all := i.cfg.Now(), slices.Clone(from.authorities)
	for _, former := range i.cfg.Former.Authorities {
		a := &authority{certificate: former.Certificate, key: former.Key}
		at := slices.IndexFunc(all, func(known *authority) bool { return known.certificate.Equal(a.certificate) })
		switch {
		case at < 0:
			all = append(all, a)
			to.Authorities = append(to.Authorities, storedAuthority{})
			at = len(all) - 1
		case all[at].key == nil && a.key != nil:
			a.signsFrom = all[at].signsFrom
			all[at] = a
		default:
			continue
		}
		if to.Authorities[at], err = i.seal(ctx, a); err != nil {
			return false, err
		}
		changed = true
	}
	if from.revision == 0 {
		if signer := signerOf(all, now); signer != nil {
			// The former signer goes on. Its predecessors sign only if no other authority can.
			at := slices.Index(all, signer)
			all[at].signsFrom, to.Authorities[at].SignsFrom = now, now.UTC()
		}
	}
	if from.stale {
		changed = true
		for at, a := range from.authorities {
			ended := to.Authorities[at].Ended
			if to.Authorities[at], err = i.seal(ctx, a); err != nil {
				return false, err
			}
			to.Authorities[at].Ended = ended
		}
	}
	succeeded, err := i.succeed(ctx, all, to, now)
	if err != nil {
		return false, err
	}
	pinned, err := i.pin(to)
	return changed || succeeded || pinned, err
}

// checkFormer refuses a store that can't be the one that the data directory was used with.
func (i *Identity) checkFormer(ctx context.Context, from *state) error {
	if from.revision == 0 {
		names, err := NewSecrets(i.cfg.Client, i.cfg.Prefix, i.cfg.Sealer).Names(ctx)
		if err != nil {
			return err
		}
		if len(names) > 0 {
			return fmt.Errorf("the store holds private keys (%s), but no %s, which tells whose they are: restore the store from a backup", strings.Join(names, ", "), i.key)
		}
	}
	known := func(c *x509.Certificate) bool {
		return slices.ContainsFunc(from.authorities, func(a *authority) bool { return a.certificate.Equal(c) })
	}
	ended := func(c *x509.Certificate) bool { return !i.cfg.Now().Before(c.NotAfter) }
	lost := slices.DeleteFunc(slices.Clone(i.cfg.Former.Copy), ended)
	if len(lost) > 0 && !slices.ContainsFunc(i.cfg.Former.Copy, known) {
		return i.cfg.Former.Lost()
	}
	return nil
}

// succeed adds an authority if none can sign, or the one that signs nears its end.
func (i *Identity) succeed(ctx context.Context, all []*authority, to *record, now time.Time) (changed bool, err error) {
	signsFrom, needed := needsSuccessor(all, now)
	if !needed {
		return false, nil
	}
	successor, err := newAuthority(now, signsFrom)
	if err != nil {
		return false, err
	}
	stored, err := i.seal(ctx, successor)
	if err != nil {
		return false, err
	}
	to.Authorities = slices.Insert(to.Authorities, 0, stored)
	return true, nil
}

// pin keeps the issuer as it is, unless the operator has it changed.
func (i *Identity) pin(to *record) (changed bool, err error) {
	wanted := i.cfg.Derived
	if len(i.cfg.Issuers) > 0 {
		wanted = i.cfg.Issuers[0]
	}
	switch {
	case to.Issuer == "", i.cfg.ChangeIssuer && len(i.cfg.Issuers) > 0:
		changed, to.Issuer = to.Issuer != wanted, wanted
		return changed, nil
	case len(i.cfg.Issuers) > 0 && wanted != to.Issuer:
		return false, fmt.Errorf("the tokens of this store have the issuer %q, and the first --service-account-issuer is %q: whoever checks tokens knows the former only. "+
			"Name %[1]q first, or leave the flag out to keep it. To change it for all servers, give --change-service-account-issuer as well, "+
			"and --service-account-issuer=%[1]s behind the new one for as long as its tokens are to be accepted", to.Issuer, wanted)
	}
	return false, nil
}

// adopt takes a state for the current one.
func (i *Identity) adopt(latest *state) {
	if i.state.Swap(latest) != latest && i.cfg.Changed != nil {
		i.cfg.Changed()
	}
}

// Issuer is the pinned issuer. It stays as it was when the identity was opened.
func (i *Identity) Issuer() string { return i.issuer }

// Authority returns the authority that signs at an instant.
func (i *Identity) Authority(now time.Time) datadir.Authority { return i.state.Load().authority(now) }

// Signer returns the certificate and the key of that authority, for certificates of clients.
func (i *Identity) Signer(now time.Time) (*x509.Certificate, crypto.Signer) {
	signer := i.state.Load().authority(now).signer
	return signer.certificate, signer.key
}

var errGone = errors.New("the identity is gone from the store, which was probably replaced: restore the store from a backup, or restart this server")
