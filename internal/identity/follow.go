package identity

import (
	"context"
	"encoding/pem"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/client-go/util/cert"
	"k8s.io/klog/v2"
)

const (
	// readEvery is how often the record is read. A watch brings changes earlier.
	readEvery = time.Minute
	// seenEvery is how often a server writes its entry again. The roots of an entry that is older than serverTimeout are no longer
	// published.
	seenEvery, serverTimeout = 24 * time.Hour, 30 * 24 * time.Hour
	// endedAfter is how long after its end an authority or a root is dropped. A clock that is a little ahead must not drop one.
	endedAfter = 7 * 24 * time.Hour
)

// Run follows the record in the store until the context ends, and has authorities succeeded before they end.
func (i *Identity) Run(ctx context.Context) {
	log := klog.FromContext(ctx)
	ticker := time.NewTicker(readEvery)
	defer ticker.Stop()
	changes := i.watch(ctx)
	var failed string
	for {
		select {
		case <-ctx.Done():
			return
		case response, ok := <-changes:
			if !ok {
				changes = nil // the next tick begins another
				continue
			}
			if len(response.Events) == 0 {
				continue
			}
		case <-ticker.C:
			if changes == nil {
				changes = i.watch(ctx)
			}
		}
		err := i.Refresh(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			failed = ""
		case failed != err.Error():
			failed = err.Error()
			log.Error(err, "The identity in the store can't be followed, so that of before stays in force")
		}
		if stored := i.state.Load().Issuer; stored != i.issuer && stored != i.told {
			i.told = stored
			log.Error(nil, "Another server has changed the issuer of this store: restart this one for its tokens to have the same", "issuer", i.issuer, "changed", stored)
		}
	}
}

// watch delivers changes of the record.
func (i *Identity) watch(ctx context.Context) clientv3.WatchChan {
	return i.cfg.Client.Watch(clientv3.WithRequireLeader(ctx), i.key)
}

// Refresh reads the record, and changes it where time has made that necessary.
func (i *Identity) Refresh(ctx context.Context) error {
	return i.update(ctx, func(from *state, to *record) (changed bool, err error) {
		if from.revision == 0 {
			return false, errGone
		}
		now := i.cfg.Now()
		changed, err = i.succeed(ctx, from.authorities, to, now)
		if err != nil {
			return false, err
		}
		// A clock that was ahead may have dropped an authority: it is trusted again.
		for at, a := range from.authorities {
			if from.Authorities[at].Ended && now.Before(a.certificate.NotAfter) {
				i := slices.IndexFunc(to.Authorities, func(stored storedAuthority) bool { return stored.Certificate == from.Authorities[at].Certificate })
				to.Authorities[i].Ended, changed = false, true
			}
		}
		return changed, nil
	})
}

// Publish notes in the record by which roots clients know this server, in PEM; shared says that they are the shared authorities.
// It returns those of all servers. If the store does not answer, it returns those that are known.
func (i *Identity) Publish(ctx context.Context, roots []byte, shared bool) []byte {
	i.publishing.Lock()
	defer i.publishing.Unlock()
	own := server{Shared: shared, Seen: i.cfg.Now().UTC().Truncate(time.Second)}
	if !shared {
		own.Roots = current(string(roots), i.cfg.Now())
	}
	if last := i.published; last.Shared == own.Shared && last.Roots == own.Roots && own.Seen.Sub(last.Seen).Abs() < seenEvery {
		return i.state.Load().roots()
	}
	err := i.update(ctx, func(from *state, to *record) (bool, error) {
		if from.revision == 0 {
			return false, errGone
		}
		return tell(to, i.cfg.Server, own, i.cfg.Now()), nil
	})
	if err == nil {
		i.published = own
	} else if ctx.Err() == nil {
		klog.FromContext(ctx).Error(err, "The roots of this server can't be published")
	}
	return i.state.Load().roots()
}

// tell puts a server into the record, and drops ended authorities, ended roots and old entries. It returns false if there is
// nothing to change.
func tell(to *record, name string, own server, now time.Time) (changed bool) {
	known, found := to.Servers[name]
	fresh := found && known.Shared == own.Shared && known.Roots == own.Roots && now.Sub(known.Seen).Abs() < seenEvery
	switch {
	case !own.Shared && own.Roots == "":
		delete(to.Servers, name)
		changed = found
	case !fresh:
		if to.Servers == nil {
			to.Servers = map[string]server{}
		}
		to.Servers[name], changed = own, true
	}
	for other, server := range to.Servers {
		if other == name {
			continue
		}
		kept := current(server.Roots, now)
		switch {
		case now.Sub(server.Seen) > serverTimeout, kept == "" && !server.Shared && server.Roots != "":
			delete(to.Servers, other)
			changed = true
		case kept != server.Roots:
			server.Roots, changed = kept, true
			to.Servers[other] = server
		}
	}
	for at, a := range to.Authorities {
		certificates, err := cert.ParseCertsPEM([]byte(a.Certificate))
		if ended := err == nil && now.Sub(certificates[0].NotAfter) > endedAfter; ended && !a.Ended {
			to.Authorities[at].Ended, changed = true, true
		}
	}
	return changed
}

// current returns the certificates of a PEM text without those that ended longer than endedAfter ago.
func current(roots string, now time.Time) string {
	var kept []byte
	for block, rest := pem.Decode([]byte(roots)); block != nil; block, rest = pem.Decode(rest) {
		encoded := pem.EncodeToMemory(block)
		certificates, err := cert.ParseCertsPEM(encoded)
		if err == nil && now.Sub(certificates[0].NotAfter) <= endedAfter {
			kept = append(kept, encoded...)
		}
	}
	return string(kept)
}
