package mintmark

import (
	"context"
	"errors"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/revocation"
)

// RevokeVerb is the verb on serviceaccounts that allows to take back all tokens of an account.
const RevokeVerb = "revoke"

// credentialKey is the key under which a context has the credential of a request.
type credentialKey struct{}

// credential is the bearer token that a request presents, and whether its credential was refused.
type credential struct {
	token   string
	refused bool
}

// WithPresented returns a context with the bearer token that a request presents.
func WithPresented(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, credentialKey{}, &credential{token: token})
}

func presented(ctx context.Context) string {
	if known, ok := ctx.Value(credentialKey{}).(*credential); ok {
		return known.token
	}
	return ""
}

// RefuseCredential notes that the credential of a request was refused, though the request goes on without it.
func RefuseCredential(ctx context.Context) {
	if known, ok := ctx.Value(credentialKey{}).(*credential); ok {
		known.refused = true
	}
}

// CredentialRefused reports whether that was noted.
func CredentialRefused(ctx context.Context) bool {
	known, ok := ctx.Value(credentialKey{}).(*credential)
	return ok && known.refused
}

// permit returns an error unless the caller may make a revocation:
//
//   - any, with the permission to create tokenrevocations;
//   - of all tokens of an account, with the permission to revoke that service account;
//   - of a token that the caller holds: whole in spec.token, or as the credential of the request.
//
// good is the user of spec.token; nil if it is not given or not good.
func (r *tokenRevocations) permit(ctx context.Context, obj *mintmarkv1alpha1.TokenRevocation) (good user.Info, err error) {
	caller, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewInternalError(errNoCaller)
	}
	spec := &obj.Spec
	var unknown error
	if spec.Token != "" {
		good, unknown = r.holder(ctx, spec.Token)
	}
	all := &authorizer.AttributesRecord{
		User: caller, Verb: "create", APIGroup: mintmarkv1alpha1.GroupName, APIVersion: mintmarkv1alpha1.SchemeGroupVersion.Version,
		Resource: "tokenrevocations", ResourceRequest: true,
	}
	decision, reason, err := r.Authorizer.Authorize(ctx, all)
	if decision == authorizer.DecisionAllow {
		return good, nil
	}
	if unknown != nil {
		return nil, unknown
	}
	if coversAccount(spec) {
		account := &authorizer.AttributesRecord{
			User: caller, Verb: RevokeVerb, APIVersion: "v1", Resource: "serviceaccounts", ResourceRequest: true,
			Namespace: spec.ServiceAccount.Namespace, Name: spec.ServiceAccount.Name,
		}
		if decision, _, _ := r.Authorizer.Authorize(ctx, account); decision == authorizer.DecisionAllow {
			return good, plain(obj)
		}
	}
	held, undecided := r.holds(ctx, spec, good)
	switch {
	case undecided != nil:
		return nil, undecided
	case held:
		return good, plain(obj)
	case err != nil:
		return nil, apierrors.NewInternalError(err)
	}
	return nil, responsewriters.ForbiddenStatusError(all, reason)
}

// plain refuses metadata from callers without the permission to create tokenrevocations: with finalizers, say, an entry could
// never be removed.
func plain(obj *mintmarkv1alpha1.TokenRevocation) error {
	if len(obj.Labels) > 0 || len(obj.Annotations) > 0 || len(obj.Finalizers) > 0 {
		return apierrors.NewBadRequest("metadata may have a name and nothing else, without the permission to create tokenrevocations")
	}
	return nil
}

// holds reports whether a spec is about one token, which the caller holds.
func (r *tokenRevocations) holds(ctx context.Context, spec *mintmarkv1alpha1.TokenRevocationSpec, good user.Info) (bool, error) {
	if len(alternatives(spec)) != 1 {
		return false, nil
	}
	if spec.Token != "" {
		return good != nil, nil
	}
	token := presented(ctx)
	if token == "" || spec.CredentialID == "" {
		return false, nil
	}
	says, named := revocation.Read(token), *spec
	normalize(&named, r.Issuers)
	whose := mintmarkv1alpha1.TokenRevocationSpec{CredentialID: says.ID, Issuer: says.Issuer}
	normalize(&whose, r.Issuers)
	if says.ID == "" || whose.CredentialID != named.CredentialID || whose.Issuer != named.Issuer {
		return false, nil
	}
	holder, err := r.holder(ctx, token)
	return holder != nil, err
}

// holder returns the user of a token, for whatever audience it is; nil if the token is no good. An error means that this is not
// known.
func (r *tokenRevocations) holder(ctx context.Context, token string) (user.Info, error) {
	audiences := append(slices.Clone([]string(r.Reviewer.APIAudiences)), revocation.Audiences(token)...)
	verdict, err := r.Reviewer.Decide(ctx, &authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences})
	if err == nil && verdict.Reason.Unanswered() {
		err = apierrors.NewServiceUnavailable("whose the token is can't be found out now, please try again: " + verdict.Reason.Meaning())
	}
	return verdict.User, err
}

// clockMargin is by how much the clocks of servers may differ.
const clockMargin = 5 * time.Minute

// expires returns when the last token that a spec covers has ended; nil if that is not known, or there is one without end.
// token is the one that was given, and good its user if it is good. The times of a token that is not good are not believed.
func (r *tokenRevocations) expires(ctx context.Context, spec *mintmarkv1alpha1.TokenRevocationSpec, token string, good user.Info) *metav1.Time {
	var end time.Time
	known := false
	if token != "" && good != nil {
		end, known = r.Ends.Token(ctx, token)
	}
	switch {
	case known, spec.TokenHash != "", spec.Subject != nil, spec.CredentialID != "" && spec.Issuer != "":
	case spec.CredentialID != "":
		end, known = r.Ends.Issued(ctx)
	case spec.ServiceAccount != nil:
		end, known = r.Ends.Account(ctx, spec.ServiceAccount.Namespace, spec.ServiceAccount.Name)
	case spec.KeyID != "" && slices.Contains(r.Issuers, spec.Issuer):
		end, known = r.Ends.Account(ctx, "", "")
	case spec.ClientCertificate != nil:
		end, known = r.Ends.Certificates(ctx)
	}
	// RFC 3339 ends with the year 9999.
	if !known || end.Year() > lastYear {
		return nil
	}
	expires := metav1.NewTime(end.Add(boundobject.Leeway + clockMargin)).Rfc3339Copy()
	return &expires
}

const lastYear = 9998

var errNoCaller = errors.New("the request has no caller")
