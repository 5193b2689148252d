// Package tokenrequest decides TokenRequest: POST /api/v1/namespaces/{namespace}/serviceaccounts/{name}/token.
//
// A request is defaulted, validated, bound to live objects, made into claims and signed. Nothing is stored.
package tokenrequest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/warning"

	"github.com/mintmark/mintmark/internal/audittrail"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/serviceaccount"
)

const (
	// minExpiration is the shortest life that kube-apiserver lets a request ask for.
	minExpiration = 10 * time.Minute
	// injectedExpiration is what the ServiceAccount admission plugin asks for on behalf of pods that mount a token: an
	// hour, and seven seconds by which such requests are told from others.
	injectedExpiration = 3607 * time.Second
	// extendedLife is the life of a token with that expiration, for clients that never read it again.
	extendedLife = 365 * 24 * time.Hour
)

// Signer makes a token of claims. It must be safe for concurrent use, and must not sign with a key that isn't yet
// published.
type Signer interface {
	// Sign returns the token. algorithm is the one that is asked for; if it is empty, or no key signs with it yet, the
	// token has another one. end is the end of the token. An error that is one of the API is answered as it is.
	Sign(ctx context.Context, algorithm string, claims []byte, end time.Time) (string, error)
}

// Config says how tokens are issued.
type Config struct {
	// Issuer is the iss claim.
	Issuer string
	// APIAudiences are the audiences of a token whose request names none.
	APIAudiences authenticator.Audiences
	// MaxExpiration is the longest life of a token; 0 means no limit.
	MaxExpiration time.Duration
	// MinExpiration is the shortest life that a request may ask for; 0 means ten minutes.
	MinExpiration time.Duration
	// Extend has tokens that pods mount live for a year, or for ExtendedLimit if that is shorter and not 0.
	Extend        bool
	ExtendedLimit time.Duration
	// Algorithms say with which algorithm the tokens for an audience are signed; for others it is the signer's choice.
	Algorithms map[string]string
	Index      *boundobject.Index
	Signer     Signer
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Issuer issues tokens. It is safe for concurrent use.
type Issuer struct{ Config }

// New returns an issuer.
func New(cfg Config) *Issuer {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MinExpiration == 0 {
		cfg.MinExpiration = minExpiration
	}
	return &Issuer{cfg}
}

// Validate is a further check of the request, made when it has all its defaults and before anything is bound.
type Validate func(context.Context, *authenticationv1.TokenRequest) error

// Issue fills the request for a token of a service account, and its status with the token. Clients see from the error
// which check failed first, so the order is kube-apiserver's.
func (i *Issuer) Issue(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest, validate Validate) error {
	if err := checkNames(namespace, name, request); err != nil {
		return err
	}
	account, err := i.Index.ServiceAccounts.Lookup(ctx, namespace, name)
	if err != nil {
		return err
	}
	if err := checkUID(name, account.UID, request); err != nil {
		return err
	}
	// The time is taken before the signing, so the expiration in the answer is never later than the token's.
	now := i.Now()
	i.complete(request, namespace, name, account.UID, now)
	if err := i.checkSpec(request); err != nil {
		return err
	}
	algorithm, err := i.algorithm(request)
	if err != nil {
		return err
	}
	if err := validate(ctx, request); err != nil {
		return err
	}
	binding, err := i.Index.Bind(ctx, boundobject.Binding{
		Namespace:      namespace,
		ServiceAccount: boundobject.Ref{Name: name, UID: account.UID},
	}, request.Spec.BoundObjectRef)
	if err != nil {
		return err
	}
	i.shorten(ctx, request)
	return i.sign(ctx, request, binding, algorithm, now)
}

// shorten keeps the request within the server's limit.
func (i *Issuer) shorten(ctx context.Context, request *authenticationv1.TokenRequest) {
	limit := int64(i.MaxExpiration.Seconds())
	if asked := *request.Spec.ExpirationSeconds; limit > 0 && asked > limit {
		warning.AddWarning(ctx, "", fmt.Sprintf("requested expiration of %d seconds shortened to %d seconds", asked, limit))
		request.Spec.ExpirationSeconds = &limit
	}
}

// life returns how long the token lives, and after what time its use is noted as stale: zero for never.
func (i *Issuer) life(request *authenticationv1.TokenRequest, binding boundobject.Binding) (life, warnAfter time.Duration) {
	asked := time.Duration(*request.Spec.ExpirationSeconds) * time.Second
	mounted := i.Extend && binding.Pod != (boundobject.Ref{}) && asked == injectedExpiration
	if !mounted {
		return asked, 0
	}
	for _, audience := range request.Spec.Audiences {
		if !i.APIAudiences.Has(audience) {
			return asked, 0
		}
	}
	if limit := i.ExtendedLimit; limit > 0 && limit < extendedLife {
		return limit, asked
	}
	return extendedLife, asked
}

func (i *Issuer) sign(ctx context.Context, request *authenticationv1.TokenRequest, binding boundobject.Binding, algorithm string, now time.Time) error {
	life, warnAfter := i.life(request, binding)
	id := uuid.NewString()
	claims := serviceaccount.NewClaims(i.Issuer, id, binding, request.Spec.Audiences, now, life, warnAfter)
	token, err := i.Signer.Sign(ctx, algorithm, claims.Encode(), time.Unix(claims.Expiry.Seconds, 0))
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return err
	}
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("failed to generate token: %w", err))
	}
	audittrail.NoteIssued(ctx, &audittrail.Issued{
		ID: id, Binding: binding, Audiences: request.Spec.Audiences, Expires: now.Add(life), Token: token,
	})
	request.Status = authenticationv1.TokenRequestStatus{
		Token: token,
		// An extended life isn't told, so that a client still reads the token again in time.
		ExpirationTimestamp: metav1.NewTime(now.Add(time.Duration(*request.Spec.ExpirationSeconds) * time.Second)),
	}
	return nil
}
