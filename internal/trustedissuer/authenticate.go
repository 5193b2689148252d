package trustedissuer

import (
	"context"
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/foreigntoken"
	"github.com/mintmark/mintmark/internal/reason"
)

// refusal is why a token of an issuer is refused, or gets no verdict. The issuer's tokens are decided here alone: no other
// authenticator is asked about one that is refused.
type refusal struct{ error }

// Final returns the reason.
func (r refusal) Final() error { return r.error }

// Unwrap returns the reason.
func (r refusal) Unwrap() error { return r.error }

// AuthenticateToken returns whose a token is. A token of another issuer, or of none, is left to other authenticators.
func (i *Issuers) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	response, err := i.Explain(ctx, token, nil)
	if _, unknown := reason.IsInvalid(err); unknown {
		return nil, false, nil
	}
	return response, err == nil, err
}

// Explain does the same, and notes the checks; notes may be nil. The error for a token of another issuer, or of a tenant for
// which the question does not ask, is a reason.Invalid.
func (i *Issuers) Explain(ctx context.Context, token string, notes *reason.Checks) (*authenticator.Response, error) {
	notes.Begin("TrustedIssuer")
	if strings.Count(token, ".") != 2 {
		return nil, reason.Invalid(reason.UnknownToken)
	}
	asked, limited := authenticator.AudiencesFrom(ctx)
	if !limited {
		asked = i.APIAudiences
	}
	key := i.verdicts.keyOf(token)
	if known, ok := i.verdicts.get(key, i.Now()); ok && notes == nil && known.issuer.shownTo(asked) {
		i.own.hit.Inc()
		return i.answer(ctx, token, known, asked, nil)
	}
	of, err := i.find(ctx, token, asked, notes)
	if err != nil {
		return nil, err
	}
	i.own.miss.Inc()
	found, err := i.check(ctx, of, token, notes)
	if err != nil {
		return nil, refusal{err}
	}
	i.verdicts.add(key, found)
	return i.answer(ctx, token, found, asked, notes)
}

// find returns the issuer that a token names. An issuer of a tenant that the audiences do not ask for is treated as if it were not
// there, in every step.
func (i *Issuers) find(ctx context.Context, token string, asked authenticator.Audiences, notes *reason.Checks) (*issuer, error) {
	url, ok := foreigntoken.Issuer(token)
	if !ok {
		return nil, reason.Invalid(reason.UnknownToken)
	}
	of := i.known(url)
	if of == nil || !of.shownTo(asked) {
		if err := i.renewals.wait(ctx); err != nil {
			return nil, unavailable{err}
		}
		of = i.known(url)
	}
	noteIssuer(of, url, asked, notes)
	if of == nil || !of.shownTo(asked) {
		return nil, reason.Invalid(reason.UnknownToken)
	}
	return of, nil
}

// shownTo reports whether a question for audiences sees tokens of the issuer at all.
func (n *issuer) shownTo(asked authenticator.Audiences) bool {
	tenant := n.object.Spec.Tenant
	if tenant == nil {
		return true
	}
	return slices.ContainsFunc(asked, func(audience string) bool { return slices.Contains(tenant.Audiences, audience) })
}

// Knows reports whether a token names one of the issuers, which then alone decides about it.
func (i *Issuers) Knows(_ context.Context, token string) bool {
	url, ok := foreigntoken.Issuer(token)
	return ok && i.known(url) != nil
}

// check finds out whose a token of an issuer is.
func (i *Issuers) check(ctx context.Context, of *issuer, token string, notes *reason.Checks) (*verdict, error) {
	made, payload, err := of.verify(ctx, token, notes)
	if err != nil {
		return nil, err
	}
	found := &verdict{issuer: of, key: made}
	if of.object.Spec.Kubernetes != nil {
		err = i.readCluster(ctx, found, token, payload, notes)
	} else {
		err = i.readMapped(ctx, found, token, payload, notes)
	}
	if err != nil {
		return nil, err
	}
	found.audiences = i.goodFor(of, found.of)
	if slices.Equal(found.audiences, found.of) {
		found.of = found.audiences // they are in memory once
	}
	return found, nil
}

// goodFor returns those audiences of a token for which it can be good: the ones that the object lists. Names without a prefix are
// those of accounts here, so their tokens are good for no audience of this server.
func (i *Issuers) goodFor(of *issuer, audiences []string) authenticator.Audiences {
	spec := &of.object.Spec
	plainNames := spec.Kubernetes != nil && spec.Kubernetes.Prefix == ""
	var good authenticator.Audiences
	for _, audience := range spec.Audiences {
		if slices.Contains(audiences, audience) && !(plainNames && slices.Contains(i.APIAudiences, audience)) {
			good = append(good, audience)
		}
	}
	return good
}

// answer returns the response for the audiences that are asked for.
func (i *Issuers) answer(ctx context.Context, token string, known *verdict, asked authenticator.Audiences, notes *reason.Checks) (*authenticator.Response, error) {
	var err error
	good := known.audiences.Intersect(asked)
	if len(good) == 0 {
		err = refusal{reason.Errorf(reason.AudienceMismatch, "token audiences %q is invalid for the target audiences %q", known.of, asked)}
	}
	noteAudience(known, asked, err, notes)
	if err != nil {
		return nil, err
	}
	response := &authenticator.Response{Audiences: good, User: known.user}
	if known.issuer.object.Spec.LiveCheck == nil {
		return response, nil
	}
	return i.confirm(ctx, token, known, response, notes)
}

// confirm asks the cluster of the issuer.
func (i *Issuers) confirm(ctx context.Context, token string, known *verdict, verified *authenticator.Response, notes *reason.Checks) (*authenticator.Response, error) {
	if i.LiveCheck == nil {
		return nil, refusal{errNoLiveCheck}
	}
	response, err := i.LiveCheck.Confirm(ctx, known.issuer.object, token, verified.Audiences, verified, notes)
	if err != nil {
		return nil, refusal{err}
	}
	return response, nil
}

var errNoLiveCheck = reason.New(reason.LiveCheckNotSetUp, "the issuer's cluster can't be asked about the token: this server makes no live checks")
