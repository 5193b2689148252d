package oauth

import (
	"context"
	"errors"
	"time"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/revocation"
	"github.com/mintmark/mintmark/internal/view"
)

// LookupText is the text of the refusal of a token that is not stored, or that must be as if it was not.
const LookupText = "token lookup failed"

// Why a token is refused. Clients match on the texts.
var (
	errLookup    = reason.New(reason.UnknownToken, LookupText)
	errOldFormat = reason.New(reason.BadShape, "old and insecure token format")
	errExpired   = reason.New(reason.Expired, "token is expired")
	errTimedOut  = reason.New(reason.IdleTooLong, "token timed out")
)

// Config holds the parts that an Authenticator needs.
type Config struct {
	Index *Index
	// APIAudiences are the audiences of this server. A token is good for them and for no others.
	APIAudiences authenticator.Audiences
	// Idle notes which tokens are used.
	Idle *Idle
	// Secrets and Namespaces are where the secret of kube:admin is looked for.
	Secrets    *view.View[boundobject.Secret]
	Namespaces *view.View[boundobject.Namespace]
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Authenticator tells to which user a token belongs.
type Authenticator struct{ Config }

var _ authenticator.Token = (*Authenticator)(nil)

// New returns an authenticator.
func New(cfg Config) *Authenticator {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Authenticator{cfg}
}

// AuthenticateToken returns the user of a token, or the reason for refusing it. Clients see from the reason which check failed
// first, so the order is that of OpenShift's oauth-apiserver: token, user, end, uid, idleness, audiences.
func (a *Authenticator) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	response, err := a.explain(ctx, token, nil)
	return response, err == nil, err
}

// explain does the same and notes the checks, up to the first refusal. With notes, which may be nil, the token does not count
// as used.
func (a *Authenticator) explain(ctx context.Context, token string, notes *reason.Checks) (*authenticator.Response, error) {
	known, err := a.find(ctx, token)
	if notes != nil {
		notes.Note("token", err, "a token that is stored", "")
	}
	if err != nil {
		return nil, err
	}
	owner, err := a.owner(ctx, &known, notes)
	var audiences authenticator.Audiences
	if err == nil {
		audiences, err = a.audiences(ctx, notes)
	}
	switch {
	case err == nil:
		return &authenticator.Response{Audiences: audiences, User: holder{owner, known.Created}}, nil
	case known.UserName == KubeAdmin:
		// OpenShift looks for kube:admin among the users as well, where no object can have that name.
		err = utilerrors.NewAggregate([]error{errNotAUser, err})
	}
	return nil, err
}

// holder is the user of a token.
type holder struct {
	user.Info
	issuedAt int64
}

// Credential returns what a revocation can go by besides the text of the token.
func (h holder) Credential() revocation.Credential {
	return revocation.Credential{IssuedAt: h.issuedAt, Dated: true}
}

// owner returns the user of a token that is good.
func (a *Authenticator) owner(ctx context.Context, token *found, notes *reason.Checks) (info user.Info, err error) {
	if token.UserName == KubeAdmin {
		info, err = a.kubeAdmin(ctx, token, notes == nil)
	} else {
		info, err = a.user(ctx, token, notes == nil)
	}
	if notes != nil {
		notes.Note("user", err, reason.Quote(token.UserName)+" with the UID of the token, which is neither expired nor idle", reason.Of(err).Meaning())
	}
	return info, err
}

// found is a token that is stored, and under which name.
type found struct {
	name string
	AccessToken
}

// find looks a token up. Tokens without the prefix have not been stored for years, so they are looked for in memory alone:
// an object of that name gives another reason.
func (a *Authenticator) find(ctx context.Context, token string) (found, error) {
	name, ok := ObjectName(token)
	if !ok {
		if _, ok := a.Index.AccessTokens.Get("", token); ok {
			return found{}, errOldFormat
		}
		return found{}, errLookup
	}
	record, err := a.Index.AccessTokens.Find(ctx, "", name, func(AccessToken) bool { return true })
	return found{name, record}, maskNotFound(err)
}

// maskNotFound keeps the name of a token that is not there out of the reason.
func maskNotFound(err error) error {
	if _, ok := errors.AsType[*view.Unavailable](err); err == nil || ok {
		return err
	}
	return errLookup
}

// userGone gives a failed lookup of a user its reason code, unless the store did not answer.
func userGone(err error) error {
	if reason.Of(err) == reason.Undecided {
		return err
	}
	return reason.With(reason.UserGone, err)
}

// user returns the User of a token, if the token is good.
func (a *Authenticator) user(ctx context.Context, token *found, used bool) (user.Info, error) {
	if token.UserName == "" {
		return nil, reason.New(reason.BadClaims, "resource name may not be empty")
	}
	known, err := a.Index.Users.Find(ctx, "", token.UserName, func(u User) bool { return u.UID == token.UserUID })
	if err != nil {
		return nil, userGone(err)
	}
	if err := a.check(ctx, token, known.UID, used); err != nil {
		return nil, err
	}
	return &user.DefaultInfo{
		Name:   token.UserName,
		UID:    known.UID,
		Groups: a.Index.memberships.of(token.UserName),
		Extra:  token.Extra,
	}, nil
}

// check returns the reason why a token is no longer good. A good token counts as used, if this is a use, even if the request
// is refused later.
func (a *Authenticator) check(ctx context.Context, token *found, uid string, used bool) error {
	now := a.Now()
	if token.ended(now) {
		return errExpired
	}
	if uid != token.UserUID {
		return reason.Errorf(reason.UserRecreated, "user.UID (%s) does not match token.userUID (%s)", uid, token.UserUID)
	}
	if token.idle(now) {
		// It may have been used elsewhere: another replica puts the deadline off, and its write may be on its way here.
		current, err := a.Index.AccessTokens.Find(ctx, "", token.name, func(t AccessToken) bool { return !t.idle(now) })
		if err != nil {
			return maskNotFound(err)
		}
		if token.AccessToken = current; token.idle(now) {
			return errTimedOut
		}
	}
	if used && token.IdleAfter > 0 && (token.ExpiresIn == 0 || token.ExpiresIn > int64(token.IdleAfter)) {
		a.Idle.Used(token.name, &token.AccessToken, now)
	}
	return nil
}

// ended reports whether a token's life is over, or it is being deleted.
func (t *AccessToken) ended(now time.Time) bool {
	return t.Deleted || t.ExpiresIn > 0 && after(now, t.Created, t.ExpiresIn)
}

// idle reports whether a token has not been used for too long.
func (t *AccessToken) idle(now time.Time) bool {
	return t.IdleAfter != 0 && after(now, t.Created, int64(t.IdleAfter))
}

// after reports whether now is later than so many seconds from a start, which is in Unix seconds. It counts in seconds,
// since there are lives that end far beyond what time.Time can add up.
func after(now time.Time, start, seconds int64) bool {
	past := now.Unix() - start
	return past > seconds || past == seconds && now.Nanosecond() > 0
}

// audiences returns those of the asked audiences that tokens are good for.
func (a *Authenticator) audiences(ctx context.Context, notes *reason.Checks) (authenticator.Audiences, error) {
	asked, ok := authenticator.AudiencesFrom(ctx)
	if !ok {
		return a.APIAudiences, nil
	}
	good := a.APIAudiences.Intersect(asked)
	if notes != nil && len(good) > 0 {
		notes.Note("audience", nil, reason.Quoted(asked), reason.Quoted(a.APIAudiences))
	}
	if len(good) == 0 && len(a.APIAudiences) > 0 {
		return nil, reason.Errorf(reason.AudienceMismatch, "token audiences %q is invalid for the target audiences %q", a.APIAudiences, asked)
	}
	return good, nil
}
