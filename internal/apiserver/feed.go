package apiserver

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/feed"
	"github.com/mintmark/mintmark/internal/revocation"
	"github.com/mintmark/mintmark/internal/trustedissuer"
)

// newFeed returns the feed of tokenreviewevents. Its sources are all views by which reviews are decided. configuration returns the
// digest of what is configured besides keys, and now is the clock of proofs.
func newFeed(views *views, index *boundobject.Index, revoked *revocation.Set, trusted *trustedissuer.Issuers, keys *keys, openShift *openShift,
	configuration func() string, now func() time.Time,
) *feed.Feed {
	f := feed.New(feed.Config{
		Views: views.set, Issuers: keys.issuers, Now: now,
		Configuration: func() string {
			ids := keys.ring.KeyIDs()
			slices.Sort(ids)
			sum := sha256.Sum256([]byte(configuration() + "\n" + strings.Join(ids, "\n")))
			return hex.EncodeToString(sum[:8])
		},
	})
	f.FollowObjects(index)
	f.FollowRevocations(revoked)
	f.FollowIssuers(trusted.View)
	f.FollowKeys(views.keys)
	if openShift != nil {
		f.FollowOAuth(openShift.index)
	}
	return f
}
