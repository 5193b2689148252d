package trustedissuer

import (
	"context"
	"strings"
	"time"
	"unsafe"

	apimachineryvalidation "k8s.io/apimachinery/pkg/api/validation"
	serviceaccountuser "k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/revocation"
	"github.com/mintmark/mintmark/internal/serviceaccount"
)

// readCluster finds out which service account of its cluster a token stands for. The claims must be those of a token that the
// cluster's API server has issued: kube-apiserver looks the account up by them, which can't be done here.
func (i *Issuers) readCluster(ctx context.Context, found *verdict, token string, payload []byte, notes *reason.Checks) error {
	of := found.issuer
	claims, err := serviceaccount.ReadClaims(payload)
	if err == nil {
		err = checkClaims(&claims, of.object.Spec.URL)
	}
	noteClaims(err, notes)
	if err != nil {
		return err
	}
	if err := serviceaccount.CheckTimes(&claims, i.Now(), notes); err != nil {
		return err
	}
	found.of = claims.Audiences
	found.until = time.Unix(claims.Expiry.Seconds, 0).Add(boundobject.Leeway)
	if len(of.object.Spec.ClaimValidationRules) > 0 || len(of.object.Spec.UserValidationRules) > 0 {
		// The library gives no leeway.
		found.until = found.until.Add(-boundobject.Leeway)
		_, err := i.askLibrary(ctx, of, token, payload)
		if notes != nil {
			notes.Note("rules", err, "the rules of the TrustedIssuer hold", reason.Of(err).Meaning())
		}
		if err != nil {
			return err
		}
	}
	account := newClusterUser(of, found.key.id, &claims)
	err = isolate(&user.DefaultInfo{Name: account.GetName(), Groups: account.own()}, account.given)
	noteIsolation(account, err, notes)
	found.user = account
	return err
}

// Texts of claims that no API server writes into a token.
var (
	errOtherIssuer = reason.New(reason.BadClaims, "service account token claims could not be validated: the claim iss has two readings")
	errSubject     = reason.New(reason.BadClaims, "sub claim is invalid")
	errNoUID       = reason.New(reason.BadClaims, "serviceAccountUID claim is missing")
	errNoEnd       = reason.New(reason.BadClaims, "exp claim is missing")
	errNoNames     = reason.New(reason.BadClaims, "the kubernetes.io claims name no namespace or no service account")
	errDangling    = reason.New(reason.BadClaims, boundobject.ErrInvalidated.Error())
)

// checkClaims checks the claims that kube-apiserver checks by looking objects up.
func checkClaims(c *serviceaccount.Claims, url string) error {
	namespace, name := c.Binding.Namespace, c.Binding.ServiceAccount.Name
	switch {
	case c.Issuer != url:
		return errOtherIssuer
	case len(apimachineryvalidation.ValidateNamespaceName(namespace, false)) > 0, len(apimachineryvalidation.ValidateServiceAccountName(name, false)) > 0:
		return errNoNames
	case !serviceaccountuser.MatchesUsername(namespace, name, c.Subject):
		return errSubject
	case c.Binding.ServiceAccount.UID == "":
		return errNoUID
	case !c.Expiry.Given:
		return errNoEnd
	case c.Dangling():
		return errDangling
	}
	return nil
}

// The places of the texts of a clusterUser.
const (
	placeName = iota
	placeGroup
	placeUID
	placeExtra
)

// extraKeys are the keys of the extra that a cluster's API server gives, in their order.
var extraKeys = [...]string{
	user.CredentialIDKey, serviceaccountuser.NodeNameKey, serviceaccountuser.NodeUIDKey, serviceaccountuser.PodNameKey, serviceaccountuser.PodUIDKey,
}

// clusterUser is a service account of a cluster, as a user. There may be a hundred thousand of them in memory, so all of its texts
// are in one.
type clusterUser struct {
	issuer   *issuer
	keyID    string
	text     string
	ends     [placeExtra + len(extraKeys)]uint32
	issuedAt int64
	dated    bool
}

var (
	_ user.Info         = (*clusterUser)(nil)
	_ revocation.Holder = (*clusterUser)(nil)
)

func newClusterUser(of *issuer, keyID string, c *serviceaccount.Claims) *clusterUser {
	prefix := of.prefix()
	texts := [placeExtra + len(extraKeys)]string{
		placeName:  prefix + serviceaccountuser.MakeUsername(c.Binding.Namespace, c.Binding.ServiceAccount.Name),
		placeGroup: prefix + serviceaccountuser.MakeNamespaceGroupName(c.Binding.Namespace),
		placeUID:   string(c.Binding.ServiceAccount.UID),
	}
	for _, pair := range c.Extra() {
		for place, key := range extraKeys {
			if key == pair[0] {
				texts[placeExtra+place] = pair[1]
			}
		}
	}
	u := &clusterUser{issuer: of, keyID: keyID, issuedAt: c.IssuedAt.Seconds, dated: c.IssuedAt.Given}
	u.text = strings.Join(texts[:], "")
	end := 0
	for place, text := range texts {
		end += len(text)
		u.ends[place] = uint32(end)
	}
	return u
}

func (n *issuer) prefix() string {
	if n.object.Spec.Kubernetes == nil {
		return ""
	}
	return n.object.Spec.Kubernetes.Prefix
}

func (u *clusterUser) at(place int) string {
	begin := uint32(0)
	if place > 0 {
		begin = u.ends[place-1]
	}
	return u.text[begin:u.ends[place]]
}

// GetName returns the user name.
func (u *clusterUser) GetName() string { return u.at(placeName) }

// GetUID returns the uid of the service account in its cluster.
func (u *clusterUser) GetUID() string { return u.at(placeUID) }

// own returns the groups that come from the token.
func (u *clusterUser) own() []string {
	group := u.at(placeGroup)
	return []string{group[:len(u.issuer.prefix())+len(serviceaccountuser.AllServiceAccountsGroup)], group}
}

// given reports whether a name without a prefix is one that the preset gives.
func (u *clusterUser) given(name string) bool {
	return u.issuer.prefix() == "" && (name == u.GetName() || name == u.at(placeGroup) || name == serviceaccountuser.AllServiceAccountsGroup)
}

// GetGroups returns the groups.
func (u *clusterUser) GetGroups() []string { return append(u.own(), user.AllAuthenticated) }

// GetExtra returns what else is known: the token's credential id, the objects that it is bound to, and its issuer.
func (u *clusterUser) GetExtra() map[string][]string {
	extra := map[string][]string{}
	for _, pair := range u.SortedExtra() {
		extra[pair[0]] = []string{pair[1]}
	}
	return extra
}

// SortedExtra returns the same, in the order of the keys, each with its one value.
func (u *clusterUser) SortedExtra() [][2]string {
	extra := make([][2]string, 0, len(extraKeys)+1)
	for place, key := range extraKeys {
		if value := u.at(placeExtra + place); value != "" {
			extra = append(extra, [2]string{key, value})
		}
	}
	return append(extra, [2]string{v1alpha1.IssuerKey, u.Issuer()})
}

// Issuer returns the issuer of the token.
func (u *clusterUser) Issuer() string { return u.issuer.object.Spec.URL }

// Credential returns what the token says that a revocation can go by. It names no account: those are this server's.
func (u *clusterUser) Credential() revocation.Credential {
	return revocation.Credential{
		Foreign: true, Issuer: u.Issuer(), Subject: u.GetName()[len(u.issuer.prefix()):],
		ID: strings.TrimPrefix(u.at(placeExtra), revocation.IDPrefix), KeyID: u.keyID, IssuedAt: u.issuedAt, Dated: u.dated,
	}
}

func (u *clusterUser) size() int { return int(unsafe.Sizeof(*u)) + len(u.text) }
