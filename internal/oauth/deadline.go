package oauth

import (
	"context"
	"math"
	"strings"
	"time"

	oauthv1 "github.com/openshift/api/oauth/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
)

// maxConflicts is how often a token is read again because others write it, too.
const maxConflicts = 5

// putOff moves the deadline of a token on by what its last use grants.
func (i *Idle) putOff(ctx context.Context, u use) error {
	ctx, cancel := context.WithTimeout(ctx, idlePatience)
	defer cancel()
	var conflict error
	for range maxConflicts {
		token, err := i.Store.Get(ctx, u.name)
		if err != nil {
			return err
		}
		window, known, err := i.window(ctx, token.ClientName)
		if err != nil {
			return err
		}
		if !known || !extend(token, u.seen, window) {
			return nil
		}
		if conflict = i.Store.Update(ctx, token); !apierrors.IsConflict(conflict) {
			return conflict
		}
	}
	return conflict
}

// extend moves the deadline of a token on, unless it is at least that far already. A token without a
// deadline stays without one, and a window of 0 takes it away for good.
func extend(token *oauthv1.OAuthAccessToken, seen int64, window int32) bool {
	current := int64(token.InactivityTimeoutSeconds)
	if current == 0 {
		return false
	}
	var next int64
	if window != 0 {
		next = min(seen-token.CreationTimestamp.Unix()+int64(window), math.MaxInt32)
		if next <= current {
			return false
		}
	}
	token.InactivityTimeoutSeconds = int32(next)
	return true
}

// window returns for how many seconds tokens of a client may idle, 0 for ever. It is not known for a client that is gone: then
// the server's default holds if it sets a limit, and else the token keeps the deadline that it has. A token must not lose its
// limit because its client was deleted.
func (i *Idle) window(ctx context.Context, client string) (window int32, known bool, err error) {
	standard := int32(min(int64(i.Window/time.Second), math.MaxInt32))
	if strings.HasPrefix(client, serviceaccount.ServiceAccountUsernamePrefix) {
		return standard, true, nil // service accounts say nothing about it
	}
	record, err := i.Index.Clients.Lookup(ctx, "", client)
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsBadRequest(err):
		return standard, standard != 0, nil
	case err != nil:
		return 0, false, err
	case record.IdleWindow != nil:
		return *record.IdleWindow, true, nil
	}
	return standard, true, nil
}
