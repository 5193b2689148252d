package view

import (
	"context"
	"errors"
	"time"

	"golang.org/x/time/rate"
)

const (
	// readTimeout bounds how long a read waits for the storage. A reviewing client gives up after ten seconds; told early
	// that there is no verdict, it can ask again.
	readTimeout = 3 * time.Second
	// findsPerSecond and findBurst pace the reads of one resource that requests without an authenticated caller cause.
	findsPerSecond, findBurst = 50, 100
	// firstLook and lastLook are the pauses between looks at memory when no read is left: a third of a second in all, in
	// which a healthy watch brings what another replica wrote before.
	firstLook, lastLook = 5 * time.Millisecond, 160 * time.Millisecond
)

// UnpacedKey is the key under which the context of an authorized request has a value that is not nil.
type UnpacedKey struct{}

// errCrowded is the cause when a read found no place within its time.
var errCrowded = errors.New("too many reads wait for the store, or one waited too long")

// errPaced is the cause when too many reads were asked for.
var errPaced = errors.New("more reads than strangers may cause")

// Find returns the record of an object for a decision about a credential. A record in memory for which good holds is
// returned as it is. Otherwise the storage is read, since another replica may have written the object a moment ago, and
// its record is returned whatever good says of it.
//
// Reads are paced unless the context has a value for UnpacedKey: anybody can send a credential that nobody has issued.
// When no read is left, Find waits for the watch to bring a good record, and then returns Unavailable. It never takes a
// record from memory for which good does not hold: the credential may have been issued by another replica a moment ago.
func (v *View[T]) Find(ctx context.Context, namespace, name string, good func(T) bool) (T, error) {
	if record, ok := v.Get(namespace, name); ok && good(record) {
		return record, nil
	}
	if ctx.Value(UnpacedKey{}) != nil || v.pace.Allow() {
		return v.Read(ctx, namespace, name)
	}
	for pause := firstLook; pause <= lastLook; pause *= 2 {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		if record, ok := v.Get(namespace, name); ok && good(record) {
			return record, nil
		}
	}
	var none T
	return none, &Unavailable{v.resource, errPaced}
}

func newPace() *rate.Limiter { return rate.NewLimiter(findsPerSecond, findBurst) }
