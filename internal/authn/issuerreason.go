package authn

import (
	"errors"
	"maps"
	"slices"

	"github.com/mintmark/mintmark/internal/foreigntoken"
	"github.com/mintmark/mintmark/internal/reason"
)

// noteStranger notes that a token is of none of the issuers.
func (g *generation) noteStranger(token string, notes *reason.Checks) {
	if notes == nil || len(g.byIssuer) == 0 {
		return
	}
	if issuer, ok := foreigntoken.Issuer(token); ok {
		notes.Note("openIDIssuer", errIssuer, reason.Quoted(slices.Sorted(maps.Keys(g.byIssuer))), reason.Quote(issuer))
	}
}

var errIssuer = errors.New("another issuer")

// note notes the verdict about a token of one of the issuers. The library makes its checks in one.
func (g *generation) note(token string, notes *reason.Checks, refused error) {
	if notes == nil {
		return
	}
	issuer, _ := foreigntoken.Issuer(token)
	notes.Note("openIDIssuer", nil, reason.Quoted(slices.Sorted(maps.Keys(g.byIssuer))), reason.Quote(issuer))
	notes.Note("token", refused, "", reason.Of(refused).Meaning())
}
