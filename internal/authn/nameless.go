package authn

import (
	"errors"
	"net/http"
	"strings"
	"unicode"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/reason"
)

// errNameless refuses a user without a name. Upstream lets such users in, all of them as one and the same.
var errNameless = reason.New(reason.NamelessUser, "the credential is good, but its user has no name")

// nameless reports whether a user name has no visible character.
func nameless(name string) bool {
	// Names that begin with an ASCII letter, which is almost all of them, need no further look.
	if name != "" && name[0] > ' ' && name[0] < 0x7f {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return unicode.IsPrint(r) && r != ' ' })
}

// withReason gives the errors of an authenticator a code, unless they have one.
func withReason(requests authenticator.Request, code reason.Code) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		response, ok, err := requests.AuthenticateRequest(r)
		if _, several := errors.AsType[utilerrors.Aggregate](err); err != nil && !several && reason.Of(err) == reason.None {
			err = reason.With(code, err)
		}
		return response, ok, err
	})
}

// named refuses requests whose user has no name.
func named(requests authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		response, ok, err := requests.AuthenticateRequest(r)
		if ok && err == nil && nameless(response.User.GetName()) {
			return nil, false, errNameless
		}
		return response, ok, err
	})
}
