package authn

import (
	"errors"
	"net/http"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/foreigntoken"
	"github.com/mintmark/mintmark/internal/reason"
)

// errNameless refuses a user without a name. Upstream lets such users in, all of them as one and the same.
var errNameless = reason.New(reason.NamelessUser, "the credential is good, but its user has no name")

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
		if ok && err == nil && foreigntoken.Nameless(response.User.GetName()) {
			return nil, false, errNameless
		}
		return response, ok, err
	})
}
