package tokenreview

import "sync/atomic"

// Stats are counts since the client was made, for a service's own metrics.
type Stats struct {
	// Hits are the tokens that were answered from the cache, and Shared those that waited for a review that was under way.
	Hits, Shared uint64
	// Requests are those that were sent for reviews, further attempts included, which are Retries.
	Requests, Retries uint64
	// Refused are the tokens that were refused without a review (Config.Keys).
	Refused uint64
	// Unavailable are the reviews without a verdict.
	Unavailable uint64
	// Events are those of the feed, Ended the cached verdicts that they ended, and Lost counts how often the feed could not go on
	// where it was, so that all verdicts ended.
	Events, Ended, Lost uint64
	// FeedWhole says that the feed tells of what ends now.
	FeedWhole bool
	// CachedBytes is the memory of the cached verdicts, and Cached how many there are.
	CachedBytes, Cached int
}

type counts struct {
	hits, shared, requests, retries, local, unavailable, events, ended, lost atomic.Uint64
}

// Stats returns the counts.
func (c *Client) Stats() Stats {
	s := &c.stats
	goodBytes, good := c.good.Size()
	badBytes, bad := c.bad.Size()
	return Stats{
		Hits: s.hits.Load(), Shared: s.shared.Load(), Requests: s.requests.Load(), Retries: s.retries.Load(), Refused: s.local.Load(),
		Unavailable: s.unavailable.Load(), Events: s.events.Load(), Ended: s.ended.Load(), Lost: s.lost.Load(),
		FeedWhole: c.now() < c.fresh.Load(), CachedBytes: goodBytes + badBytes, Cached: good + bad,
	}
}
