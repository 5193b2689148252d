package agent

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/programpages"
)

const (
	// A certificate is renewed at a random point between these parts of its life, as a kubelet does it, so that nodes that joined
	// together don't ask together.
	renewFrom, renewTo = 0.7, 0.9
	// leastPart of its life is for how long a certificate is used at least: a tenth.
	leastPart = 10
	// longestWait bounds a wait, so that a clock that was set, or a machine that slept, is noticed.
	longestWait = time.Minute
	// A renewal that failed is tried again after a tenth of what is left of the life, within these bounds.
	firstRenewalRetry, lastRenewalRetry = 5 * time.Second, 10 * time.Minute
	// endedRenewalRetry is how long after a failure the renewal of a certificate that has ended by the clock is tried again.
	endedRenewalRetry = time.Minute
)

// renewAt draws the time at which a certificate is renewed.
func renewAt(certificate *tls.Certificate) time.Time {
	life := certificate.Leaf.NotAfter.Sub(certificate.Leaf.NotBefore)
	part := renewFrom + (renewTo-renewFrom)*rand.Float64() //nolint:gosec // no secret
	return certificate.Leaf.NotBefore.Add(time.Duration(part * float64(life)))
}

// latestNow is the time on the clock of this machine or on that of the server, which dates certificates, whichever is later: a clock
// that is behind must not let a certificate end.
func (a *Agent) latestNow() time.Time { return a.clock.Now().Add(max(-a.connection.status().skew, 0)) }

// keepCertificate renews the client certificate until the context ends.
func (a *Agent) keepCertificate(ctx context.Context) {
	due := renewAt(a.connection.current())
	for a.sleepUntil(ctx, due) {
		err := a.renewCertificate(ctx)
		now, current := a.latestNow(), a.connection.current()
		if ctx.Err() != nil {
			return
		}
		a.metrics.certificateRenewed(err)
		if err == nil {
			klog.FromContext(ctx).Info("The client certificate was renewed", "node", a.node, "notAfter", current.Leaf.NotAfter)
			programpages.Release() // a renewal uses more of the program than anything else
			due = renewAt(current)
			// By a clock that is ahead by more than the life of certificates, each of them is due at once.
			due = later(due, now.Add(current.Leaf.NotAfter.Sub(current.Leaf.NotBefore)/leastPart))
			continue
		}
		retry := renewalRetry(current.Leaf.NotAfter.Sub(now), err)
		klog.FromContext(ctx).Error(err, "The client certificate is not renewed yet; it is tried again", "node", a.node, "notAfter", current.Leaf.NotAfter, "in", retry)
		due = now.Add(retry)
	}
}

// renewalRetry is how long after a failure the renewal of a certificate is tried again, with so much left of its life. Once it has
// ended and the server refuses it, only another join helps.
func renewalRetry(left time.Duration, err error) time.Duration {
	switch {
	case left <= 0 && apierrors.IsUnauthorized(err):
		return lastRenewalRetry
	case left <= 0:
		return endedRenewalRetry
	}
	return min(max(left/10, firstRenewalRetry), lastRenewalRetry)
}

// renewCertificate gets a new certificate for a new key, and uses it once it is kept.
func (a *Agent) renewCertificate(ctx context.Context) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, approvalPatience)
	defer cancel()
	request := &certificateRequest{client: a.client, clock: a.clock, node: a.node, key: key}
	pair, err := request.pairPEM(ctx)
	if err != nil {
		return err
	}
	certificate, err := tls.X509KeyPair(pair, pair)
	if err != nil {
		return err
	}
	if err := a.state.Write(certificateFile, pair); err != nil {
		return errors.New("the new certificate can't be kept, so the old one is used on: " + err.Error())
	}
	a.connection.use(&certificate)
	return nil
}

// sleepUntil waits for a time. It reports false if the context ends before.
func (a *Agent) sleepUntil(ctx context.Context, due time.Time) bool {
	for {
		left := due.Sub(a.latestNow())
		if left <= 0 {
			return ctx.Err() == nil
		}
		if !a.sleep(ctx, min(left, longestWait)) {
			return false
		}
	}
}

// sleep waits. It reports false if the context ends before.
func (a *Agent) sleep(ctx context.Context, pause time.Duration) bool {
	timer := a.clock.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
