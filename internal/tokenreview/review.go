// Package tokenreview decides TokenReview: POST /apis/authentication.k8s.io/v1/tokenreviews. It tells to which user a token
// belongs and which of the asked audiences it is good for.
package tokenreview

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"unicode"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/audittrail"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/view"
)

// errInvalid stands first in the error of a refused token, as kube-apiserver has it; clients match on it.
var errInvalid = errors.New(reason.InvalidText)

// Config holds the parts that a Reviewer needs.
type Config struct {
	// Authenticator knows the tokens. It finds the audiences that are asked for in the context.
	Authenticator authenticator.Token
	// APIAudiences are the audiences of a review that names none.
	APIAudiences authenticator.Audiences
	// ReasonAlone has the error of a refused token be the reason and nothing before it, and leaves a text that is no
	// credential at all without one. So does OpenShift's endpoint.
	ReasonAlone bool
	// Audited has the audit event of a review say which token was reviewed, and the verdict.
	Audited bool
	// Views tells how old the truth behind a verdict is; nil if that doesn't matter.
	Views Views
}

// Explainer is an Authenticator that notes its checks. It decides as AuthenticateToken does.
type Explainer interface {
	Explain(ctx context.Context, token string, notes *reason.Checks) (*authenticator.Response, error)
}

// Views are the live views that an Authenticator decides by.
type Views interface {
	// Stamp returns an instant at which all views were proved current.
	Stamp() view.Stamp
	// Current reports whether a decision that was begun at the stamp is still within the bound of staleness.
	Current(view.Stamp) bool
}

// errOld is the error of a verdict that took so long that the views may have been wrong, as after the process was stopped
// for a while in the middle of it.
var errOld = &apierrors.StatusError{ErrStatus: metav1.Status{
	Status:  metav1.StatusFailure,
	Code:    http.StatusServiceUnavailable,
	Reason:  metav1.StatusReasonServiceUnavailable,
	Message: "the verdict took too long to still be true, please try again",
	Details: &metav1.StatusDetails{RetryAfterSeconds: 1},
}}

// Unavailable is an error of an authenticator that could not find out whose a token is. The token may be good, so there is
// no verdict about it.
type Unavailable interface {
	error
	Unavailable()
}

// Reviewer reviews tokens. It is safe for concurrent use.
type Reviewer struct{ Config }

// New returns a reviewer.
func New(cfg Config) *Reviewer {
	reviews() // so that the series are there before the first review
	return &Reviewer{cfg}
}

// Verdict is the user of a token, and those of the asked audiences that the token is good for; or a refusal.
type Verdict struct {
	// User is nil if the token is refused.
	User      user.Info
	Audiences authenticator.Audiences
	// Error is why the token is refused, as clients get it.
	Error string
	// Reason is the code of the verdict. A code of the verdict Undecided comes with an error.
	Reason reason.Code
}

// Review returns the verdict about a token as the API has it, and counts it. An error means that there is none, not that
// the token is refused.
func (r *Reviewer) Review(ctx context.Context, spec *authenticationv1.TokenReviewSpec) (authenticationv1.TokenReviewStatus, error) {
	verdict, err := r.Decide(ctx, spec)
	if verdict.Reason != reason.None {
		Count(verdict.final(ctx))
	}
	return verdict.Status(), err
}

// Decide returns the verdict about a token. An error means that there is none, not that the token is refused. Where the
// verdict becomes an answer, it is to be counted.
func (r *Reviewer) Decide(ctx context.Context, spec *authenticationv1.TokenReviewSpec) (Verdict, error) {
	return r.Explain(ctx, spec, nil)
}

// Explain does the same, and has the checks noted; notes may be nil.
func (r *Reviewer) Explain(ctx context.Context, spec *authenticationv1.TokenReviewSpec, notes *reason.Checks) (Verdict, error) {
	verdict, err := r.decide(ctx, spec, notes)
	if r.Audited && spec.Token != "" {
		note(ctx, spec.Token, &verdict)
	}
	return verdict, err
}

// note annotates the audit event of a review.
func note(ctx context.Context, text string, verdict *Verdict) {
	token, _ := firstWord(text)
	audittrail.NoteReview(ctx, token, verdict.final(ctx), verdict.User)
}

// final returns the reason code of a verdict. One that comes after the deadline does not count.
func (v *Verdict) final(ctx context.Context) reason.Code {
	if ctx.Err() != nil {
		return reason.Undecided
	}
	return v.Reason
}

func (r *Reviewer) decide(ctx context.Context, spec *authenticationv1.TokenReviewSpec, notes *reason.Checks) (Verdict, error) {
	if spec.Token == "" {
		return Verdict{}, errNoToken()
	}
	asked := r.asked(spec)
	return r.about(asking(ctx, asked), spec.Token, asked, notes)
}

// errNoToken is the error of a review without a token.
func errNoToken() error {
	return apierrors.NewBadRequest("token is required for TokenReview in authentication")
}

// asked returns the audiences that a review is about.
func (r *Reviewer) asked(spec *authenticationv1.TokenReviewSpec) authenticator.Audiences {
	if len(spec.Audiences) == 0 {
		return r.APIAudiences
	}
	return spec.Audiences
}

// about returns the verdict about the text of a token, in a context for the audiences that are asked for. One that was good at an
// instant too long ago is none.
func (r *Reviewer) about(ctx context.Context, text string, asked authenticator.Audiences, notes *reason.Checks) (Verdict, error) {
	begun := r.stamp()
	verdict, err := r.anyAge(ctx, text, asked, notes)
	if verdict.User != nil && !r.current(begun) {
		return Verdict{Reason: reason.Undecided}, errOld
	}
	return verdict, err
}

func (r *Reviewer) stamp() (begun view.Stamp) {
	if r.Views != nil {
		begun = r.Views.Stamp()
	}
	return begun
}

func (r *Reviewer) current(begun view.Stamp) bool { return r.Views == nil || r.Views.Current(begun) }

// anyAge is about, however long it takes.
func (r *Reviewer) anyAge(ctx context.Context, text string, asked authenticator.Audiences, notes *reason.Checks) (Verdict, error) {
	token, ok := firstWord(text)
	if !ok {
		return r.refuseNothing(), nil
	}
	response, ok, err := r.ask(ctx, token, notes)
	if why := NoVerdict(err); why != nil {
		return Verdict{Reason: undecided(err)}, why
	}
	if err != nil || !ok {
		return r.refuse(err), nil
	}
	if len(asked) > 0 && len(asked.Intersect(response.Audiences)) == 0 {
		return Verdict{Reason: reason.Undecided}, apierrors.NewInternalError(errors.New("error validating audiences"))
	}
	return Verdict{User: response.User, Audiences: response.Audiences, Reason: reason.Accepted}, nil
}

// undecided returns the reason code for an error without a verdict.
func undecided(err error) reason.Code {
	if code := reason.Of(err); code.Verdict() == v1alpha1.VerdictUndecided {
		return code
	}
	return reason.Undecided
}

// ask asks the authenticator, and for the checks if they are to be noted.
func (r *Reviewer) ask(ctx context.Context, token string, notes *reason.Checks) (*authenticator.Response, bool, error) {
	if notes == nil {
		return r.Authenticator.AuthenticateToken(ctx, token)
	}
	explainer, ok := r.Authenticator.(Explainer)
	if !ok {
		return r.Authenticator.AuthenticateToken(ctx, token)
	}
	response, err := explainer.Explain(ctx, token, notes)
	return response, err == nil, err
}

// Status is the verdict as the API has it.
func (v Verdict) Status() authenticationv1.TokenReviewStatus {
	if v.User == nil {
		return authenticationv1.TokenReviewStatus{Error: v.Error}
	}
	return authenticationv1.TokenReviewStatus{Authenticated: true, User: userInfo(v.User), Audiences: v.Audiences}
}

// firstWord reads the token as it would be read from an Authorization header behind "Bearer ": blanks around it do not
// count, and what follows it after a blank doesn't either. A token that begins with a blank is no credential at all.
func firstWord(token string) (string, bool) {
	token = strings.TrimRightFunc(token, unicode.IsSpace)
	word, _, _ := strings.Cut(token, " ")
	return word, strings.TrimSpace(word) != ""
}

// refuse returns the verdict about a token that is unknown, or no longer good.
func (r *Reviewer) refuse(err error) Verdict {
	if err == nil {
		err = reason.Invalid(reason.UnknownToken)
	}
	return Verdict{Error: r.text(err), Reason: CodeOf(err)}
}

// text is the error that clients get.
func (r *Reviewer) text(err error) string {
	switch {
	case r.ReasonAlone, err.Error() == errInvalid.Error():
		return utilerrors.NewAggregate([]error{err}).Error()
	case several(err):
		return utilerrors.NewAggregate([]error{errInvalid, err}).Error()
	}
	// It is as the library writes it.
	return "[" + errInvalid.Error() + ", " + err.Error() + "]"
}

// CodeOf returns the reason code for the error of an authenticator.
func CodeOf(err error) reason.Code {
	if code := reason.Of(err); code != reason.None {
		return code
	}
	return reason.AuthenticatorFailed
}

// several reports whether an error holds more than one reason, or one that may.
func several(err error) bool {
	list, ok := errors.AsType[utilerrors.Aggregate](err)
	if !ok {
		return false
	}
	reasons := list.Errors()
	return len(reasons) != 1 || several(reasons[0])
}

// refuseNothing returns the verdict about a text without a credential.
func (r *Reviewer) refuseNothing() Verdict {
	if r.ReasonAlone {
		return Verdict{Reason: reason.NoCredential}
	}
	return r.refuse(reason.Invalid(reason.NoCredential))
}

// NoVerdict returns an API error if an authenticator's error says, or one of its parts does, that it could not find out
// whose a token is; nil if it is a refusal, or no error at all.
func NoVerdict(err error) error {
	if err == nil {
		return nil
	}
	if one, ok := errors.AsType[Unavailable](err); ok {
		if status, ok := one.(apierrors.APIStatus); ok {
			return &apierrors.StatusError{ErrStatus: status.Status()}
		}
		return apierrors.NewInternalError(one)
	}
	if several, ok := errors.AsType[utilerrors.Aggregate](err); ok {
		for _, err := range several.Errors() {
			if one := NoVerdict(err); one != nil {
				return one
			}
		}
	}
	return nil
}

func userInfo(info user.Info) authenticationv1.UserInfo {
	out := authenticationv1.UserInfo{Username: info.GetName(), UID: info.GetUID(), Groups: info.GetGroups()}
	for key, values := range info.GetExtra() {
		if out.Extra == nil {
			out.Extra = map[string]authenticationv1.ExtraValue{}
		}
		out.Extra[key] = values
	}
	return out
}
