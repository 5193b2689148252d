package serviceaccount

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/reason"
)

// audiences returns those of the asked audiences that the token is for.
func (a *Authenticator) audiences(ctx context.Context, of []string, subject string, notes *reason.Checks) (authenticator.Audiences, error) {
	if len(of) == 0 {
		if notes == nil {
			// The audience makes a token old-style, not the issuer.
			audit.AddAuditAnnotation(ctx, "authentication.k8s.io/legacy-token", subject)
			metrics.LegacyTokens.WithContext(ctx).Inc()
		}
		of = a.APIAudiences
	}
	asked, ok := authenticator.AudiencesFrom(ctx)
	if !ok {
		asked = a.APIAudiences
	}
	good := authenticator.Audiences(of).Intersect(asked)
	refused := len(good) == 0 && len(a.APIAudiences) != 0
	noteAudience(of, asked, refused, notes)
	if refused {
		return nil, reason.Errorf(reason.AudienceMismatch, "token audiences %q is invalid for the target audiences %q", of, asked)
	}
	return good, nil
}

// CheckTimes checks nbf, exp and iat, in this order and with the leeway of RFC 7519 sections 4.1.4 and 4.1.5: a token
// is good up to and including a minute after its end. A time that the token doesn't name is not checked.
func CheckTimes(c *Claims, now time.Time, notes *reason.Checks) error {
	early, late := now.Add(boundobject.Leeway), now.Add(-boundobject.Leeway)
	unborn := c.NotBefore.Given && before(early, c.NotBefore.Seconds)
	ended := c.Expiry.Given && after(late, c.Expiry.Seconds)
	future := c.IssuedAt.Given && before(early, c.IssuedAt.Seconds)
	if notes != nil {
		noteEarly(checkNotBefore, c.NotBefore, now, unborn, notes)
		noteExpiry(c.Expiry, now, ended, notes)
		noteEarly(checkIssuedAt, c.IssuedAt, now, future, notes)
	}
	switch {
	case unborn:
		return reason.New(reason.NotYetValid, "service account token is not valid yet")
	case ended:
		return reason.New(reason.Expired, "service account token has expired")
	case future:
		return reason.New(reason.IssuedInFuture, "service account token is issued in the future")
	}
	return nil
}

// before and after compare a time with seconds of a token. They count in seconds, since far from now there are seconds
// that time.Time wraps around to the other end of time.
func before(t time.Time, seconds int64) bool { return t.Unix() < seconds }

func after(t time.Time, seconds int64) bool {
	return t.Unix() > seconds || t.Unix() == seconds && t.Nanosecond() > 0
}

// noteAge counts tokens with an extended life. One that should have been replaced by now gets an audit annotation.
func noteAge(ctx context.Context, c *Claims, now time.Time) {
	threshold := c.WarnAfter.Seconds
	if threshold == 0 {
		return
	}
	if !after(now, threshold) {
		metrics.ValidTokens.WithContext(ctx).Inc()
		return
	}
	audit.AddAuditAnnotation(ctx, "authentication.k8s.io/stale-token",
		fmt.Sprintf("subject: %s, seconds after warning threshold: %.0f", c.Subject, now.Sub(time.Unix(threshold, 0)).Seconds()))
	metrics.StaleTokens.WithContext(ctx).Inc()
}
