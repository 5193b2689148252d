package mintmark

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// TrustVerb is the verb on trustedissuers that allows to say which tokens of an issuer are accepted, and as whom.
const TrustVerb = "trust"

// anyExtra is the subresource of userextras that a rule about every key of extra covers.
const anyExtra = "*"

// permit returns an error unless the caller of a request may have an issuer trusted, besides being allowed to write the object.
// The issuer can name any user, so the caller needs the verb trust, or must be allowed to impersonate every user. The secret of
// the live check must be one that the caller may read.
func (s *trustedIssuers) permit(ctx context.Context, name string, spec *mintmarkv1alpha1.TrustedIssuerSpec) error {
	caller, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return apierrors.NewInternalError(errNoCaller)
	}
	trust := &authorizer.AttributesRecord{
		User: caller, Verb: TrustVerb, APIGroup: mintmarkv1alpha1.GroupName, APIVersion: mintmarkv1alpha1.SchemeGroupVersion.Version,
		Resource: "trustedissuers", Name: name, ResourceRequest: true,
	}
	allowed, err := s.allows(ctx, trust)
	if err == nil && !allowed {
		allowed, err = s.mayImpersonateAll(ctx, caller)
	}
	switch {
	case err != nil:
		return err
	case !allowed:
		return responsewriters.ForbiddenStatusError(trust, "a trusted issuer can name any user: this takes the verb trust, or the right to impersonate "+
			"all users, groups, uids, userextras and serviceaccounts")
	case spec.LiveCheck == nil:
		return nil
	}
	return s.permitSecret(ctx, caller, &spec.LiveCheck.KubeconfigSecret)
}

// permitSecret returns an error unless the caller may read the secret of a live check. Without this check an object could use a
// credential that its author has no access to.
func (s *trustedIssuers) permitSecret(ctx context.Context, caller user.Info, secret *mintmarkv1alpha1.SecretReference) error {
	read := &authorizer.AttributesRecord{
		User: caller, Verb: "get", APIVersion: "v1", Resource: "secrets", Namespace: secret.Namespace, Name: secret.Name, ResourceRequest: true,
	}
	if secret.Namespace == "" || secret.Name == "" {
		return nil // the validation says so
	}
	allowed, err := s.allows(ctx, read)
	if err != nil || allowed {
		return err
	}
	return responsewriters.ForbiddenStatusError(read, "spec.liveCheck.kubeconfigSecret must be a secret that you may get")
}

// mayImpersonateAll reports whether a caller may impersonate every user, with every group, uid and extra: the checks of
// kube-apiserver's impersonation (k8s.io/apiserver/pkg/endpoints/filters/impersonation), without a name.
func (s *trustedIssuers) mayImpersonateAll(ctx context.Context, caller user.Info) (bool, error) {
	for _, what := range []struct{ group, version, resource, subresource string }{
		{"", "v1", "users", ""},
		{"", "v1", "groups", ""},
		{"", "v1", "serviceaccounts", ""},
		{authenticationv1.GroupName, "v1", "uids", ""},
		{authenticationv1.GroupName, "v1", "userextras", anyExtra},
	} {
		allowed, err := s.allows(ctx, &authorizer.AttributesRecord{
			User: caller, Verb: "impersonate", APIGroup: what.group, APIVersion: what.version, Resource: what.resource,
			Subresource: what.subresource, ResourceRequest: true,
		})
		if err != nil || !allowed {
			return false, err
		}
	}
	return true, nil
}

// allows asks the authorizer. An error of it counts only if nothing allowed the request.
func (s *trustedIssuers) allows(ctx context.Context, asked authorizer.Attributes) (bool, error) {
	decision, _, err := s.Authorizer.Authorize(ctx, asked)
	if decision == authorizer.DecisionAllow {
		return true, nil
	}
	if err != nil {
		return false, apierrors.NewInternalError(err)
	}
	return false, nil
}
