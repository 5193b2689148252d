package trustedissuer

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"

	"github.com/mintmark/mintmark/internal/foreigntoken"
	"github.com/mintmark/mintmark/internal/outbound"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/revocation"
)

// rules is the library's authenticator of an issuer, which is made when the first token comes.
type rules struct {
	once          sync.Once
	authenticator authenticator.Token
	err           error
}

// library returns the library's authenticator. It knows no keys: proven tells it which tokens are signed.
func (i *Issuers) library(of *issuer) (authenticator.Token, error) {
	of.rules.once.Do(func() {
		config := authenticatorOf(&of.object.Spec)
		client, err := outbound.NewClient("", func(http.RoundTripper) http.RoundTripper { return noCalls{} })
		if err != nil {
			of.rules.err = err
			return
		}
		config.Issuer.DiscoveryURL, config.Issuer.CertificateAuthority = "", ""
		of.rules.authenticator, of.rules.err = oidc.New(i.reads.lifetime, oidc.Options{
			JWTAuthenticator: config, KeySet: proven{}, Compiler: compiler(), Client: client,
			SupportedSigningAlgs: of.algorithms(), DisallowedIssuers: i.OwnIssuers, APIServerID: i.ServerID,
		})
	})
	if of.rules.err != nil {
		return nil, reason.New(reason.IssuerRefused, "the rules of the issuer can't be used; validate its TrustedIssuer by writing it again")
	}
	return of.rules.authenticator, nil
}

// proofKey is the key under which a context has the proof that a token is signed.
type proofKey struct{}

type proof struct {
	token   string
	payload []byte
}

// proven is the key set of the library's authenticators. It finds the signature of a token verified.
type proven struct{}

var errUnproven = errors.New("the signature was not verified")

// VerifySignature returns the payload of a token whose signature was verified before.
func (proven) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	if known, ok := ctx.Value(proofKey{}).(*proof); ok && known.token == token {
		return known.payload, nil
	}
	return nil, errUnproven
}

// noCalls is the transport of authenticators that call nobody.
type noCalls struct{}

var errNoCalls = errors.New("distributed claims of trusted issuers are not followed")

// RoundTrip fails.
func (noCalls) RoundTrip(*http.Request) (*http.Response, error) { return nil, errNoCalls }

// askLibrary has the library decide about the claims of a token whose signature is good.
func (i *Issuers) askLibrary(ctx context.Context, of *issuer, token string, payload []byte) (user.Info, error) {
	known, err := i.library(of)
	if err != nil {
		return nil, err
	}
	if mappings := of.object.Spec.ClaimMappings; mappings != nil && distributed(payload, mappings.Groups.Claim) {
		return nil, reason.With(reason.IssuerRefused, errNoCalls)
	}
	response, ok, err := known.AuthenticateToken(context.WithValue(ctx, proofKey{}, &proof{token, payload}), token)
	switch {
	case err != nil:
		return nil, reason.With(foreigntoken.Reason(err), err)
	case !ok:
		return nil, reason.New(reason.IssuerRefused, "oidc: the token names another issuer")
	}
	return response.User, nil
}

// distributed reports whether a claim is to be read from elsewhere (OpenID Connect Core 1.0 section 5.6.2). The place is the
// token's choice, so it is not called.
func distributed(payload []byte, claim string) bool {
	var claims struct {
		Names map[string]any `json:"_claim_names"`
	}
	if claim == "" || json.Unmarshal(payload, &claims) != nil {
		return false
	}
	_, named := claims.Names[claim]
	return named
}

// readMapped finds out whose a token is by the mappings of the object.
func (i *Issuers) readMapped(ctx context.Context, found *verdict, token string, payload []byte, notes *reason.Checks) error {
	of := found.issuer
	u, err := i.askLibrary(ctx, of, token, payload)
	noteClaims(err, notes)
	if err != nil {
		return err
	}
	if foreigntoken.Nameless(strings.TrimPrefix(u.GetName(), PrefixOf(&of.object.Spec))) {
		return errNameless
	}
	err = isolate(u, noneGiven)
	noteIsolation(u, err, notes)
	if err != nil {
		return err
	}
	found.of, found.until = revocation.Audiences(token), foreigntoken.End(token)
	groups := slices.Clip(append(slices.Clone(u.GetGroups()), user.AllAuthenticated))
	says := revocation.Read(token)
	says.Foreign, says.KeyID = true, found.key.id
	found.user = &mappedUser{
		DefaultInfo: user.DefaultInfo{Name: u.GetName(), UID: u.GetUID(), Groups: groups, Extra: u.GetExtra()}, says: says,
	}
	return nil
}

var errNameless = reason.New(reason.NamelessUser, "the credential is good, but its user has no name")

// mappedUser is a user whom the mappings of an object give.
type mappedUser struct {
	user.DefaultInfo
	says revocation.Credential
}

var (
	_ user.Info         = (*mappedUser)(nil)
	_ revocation.Holder = (*mappedUser)(nil)
)

// Credential returns what the token says that a revocation can go by.
func (m *mappedUser) Credential() revocation.Credential { return m.says }

// Issuer returns the issuer of the token.
func (m *mappedUser) Issuer() string { return m.says.Issuer }

// mappedBytes is about what a mapped user takes beside its texts, and mapBytes what a small map takes.
const mappedBytes, mapBytes = 320, 360

func (m *mappedUser) size() int {
	size := mappedBytes + len(m.Name) + len(m.UID) + len(m.says.Issuer) + len(m.says.Subject) + len(m.says.ID)
	for _, group := range m.Groups {
		size += textBytes + len(group)
	}
	if len(m.Extra) > 0 {
		size += mapBytes
	}
	for key, values := range m.Extra {
		size += textBytes + len(key)
		for _, value := range values {
			size += textBytes + len(value)
		}
	}
	return size
}
