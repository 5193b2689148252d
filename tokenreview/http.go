package tokenreview

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

type userKey struct{}

// UserFrom returns the user whose token came with a request: for handlers behind Handler and the interceptors. It must not be
// changed.
func UserFrom(ctx context.Context) (user.Info, bool) {
	info, ok := ctx.Value(userKey{}).(user.Info)
	return info, ok
}

// Handler passes requests with a good bearer token on to next, with the user in the context (UserFrom) and without the header
// Authorization. Others it answers as RFC 6750 says: 401 with WWW-Authenticate for a token that is missing or refused. If there is no
// verdict, the answer is 503 with Retry-After. The answers have no reasons, which are for the service's log and not for strangers.
func Handler(tokens authenticator.Token, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, ok := bearer(r.Header["Authorization"])
		if !ok {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "a bearer token is needed", http.StatusUnauthorized)
			return
		}
		ctx, good, err := authenticate(r.Context(), tokens, token)
		switch {
		case err != nil:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "the token could not be reviewed, please try again later", http.StatusServiceUnavailable)
		case !good:
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			http.Error(w, "the token was refused", http.StatusUnauthorized)
		default:
			r = r.WithContext(ctx)
			r.Header = r.Header.Clone()
			r.Header.Del("Authorization")
			next.ServeHTTP(w, r)
		}
	})
}

// bearer returns the token of the one header Authorization. Two of them are as good as none: a proxy in between may have read the other.
func bearer(headers []string) (token string, ok bool) {
	if len(headers) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(strings.TrimSpace(headers[0]), " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "bearer") && token != "" && !strings.ContainsAny(token, " \t")
}

// authenticate returns a context with the user of a token. An error means that there is no verdict.
func authenticate(ctx context.Context, tokens authenticator.Token, token string) (context.Context, bool, error) {
	response, ok, err := tokens.AuthenticateToken(ctx, token)
	switch {
	case errors.Is(err, ErrUnavailable):
		return nil, false, err
	case err != nil || !ok || response == nil || response.User == nil:
		return nil, false, nil //nolint:nilerr // a refusal is a verdict
	}
	return context.WithValue(ctx, userKey{}, response.User), true, nil
}
