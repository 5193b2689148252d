package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// foreign denies everything to users of trusted issuers who have names of this server's own users. A TokenReview gives such names
// to the accounts of a cluster without a prefix, and the issuer with them (v1alpha1.IssuerKey). Without this denial a relying party
// that asks for a review of the token and then for an access review would give an account of the cluster the rights of the account
// of the same name here. The same goes for one that impersonates the user. It is asked before all modes, and before the members of
// system:masters are let through.
type foreign struct {
	// own are the issuers of this server. A user of one of them is this server's own.
	own []string
}

// Authorize denies, or has no opinion.
func (f foreign) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if why := f.denial(a.GetUser()); why != "" {
		return authorizer.DecisionDeny, why, nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// RulesFor returns no rules, and an error for users to whom everything is denied.
func (f foreign) RulesFor(_ context.Context, u user.Info, _ string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	if why := f.denial(u); why != "" {
		return nil, nil, false, errors.New(why)
	}
	return nil, nil, false, nil
}

// maxIssuerShown bounds the text of an access review that its answer repeats.
const maxIssuerShown = 200

// denial says why a user is denied everything; "" for others.
func (f foreign) denial(u user.Info) string {
	if u == nil {
		return ""
	}
	issuers, said := issuersOf(u)
	if !said || !hasOwnName(u) {
		return ""
	}
	other := slices.IndexFunc(issuers, func(issuer string) bool { return !slices.Contains(f.own, issuer) })
	switch {
	case len(issuers) == 0:
		return fmt.Sprintf("the user's extra has %s without an issuer", v1alpha1.IssuerKey)
	case other < 0:
		return ""
	}
	return fmt.Sprintf("the user is of the issuer %.*q and has a name or group of this server's own users: "+
		"set spec.kubernetes.prefix of the TrustedIssuer, and bind roles to the names with that prefix", maxIssuerShown, issuers[other])
}

// sortedExtra is a user whose extra can be read without making a map.
type sortedExtra interface{ SortedExtra() [][2]string }

// issuersOf returns what the extra of a user says about the issuer, and whether it says anything. Upper and lower case make no
// difference in the key, as in the headers that some relying parties carry it in.
func issuersOf(u user.Info) (issuers []string, said bool) {
	if sorted, ok := u.(sortedExtra); ok {
		for _, pair := range sorted.SortedExtra() {
			if pair[0] == v1alpha1.IssuerKey {
				return []string{pair[1]}, true
			}
		}
		return nil, false
	}
	for key, values := range u.GetExtra() {
		if strings.EqualFold(key, v1alpha1.IssuerKey) {
			issuers, said = append(issuers, values...), true
		}
	}
	return issuers, said
}

// ownPrefix begins the names of this server's own users and groups.
const ownPrefix = "system:"

// hasOwnName reports whether the name or a group of a user is one of this server's own. All users that have proved who they are have
// the group system:authenticated.
func hasOwnName(u user.Info) bool {
	return strings.HasPrefix(u.GetName(), ownPrefix) || slices.ContainsFunc(u.GetGroups(), func(group string) bool {
		return strings.HasPrefix(group, ownPrefix) && group != user.AllAuthenticated
	})
}
