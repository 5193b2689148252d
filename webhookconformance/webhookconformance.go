package webhookconformance

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// Versions are the versions of authentication.k8s.io in which a kube-apiserver can ask. The first is its default.
var Versions = []string{"v1beta1", "v1"}

// Options say what the webhook is asked. The zero value is good for the checks that need no good token.
type Options struct {
	// Token is a token that the webhook accepts. It is never part of a Result. Without it, checks that need one are skipped.
	Token string
	// Audience is the audience of the kube-apiserver, for which Token is good. Default: https://kubernetes.default.svc.
	Audience string
	// Versions are the versions in which the webhook is asked. Default: all of Versions.
	Versions []string
	// Timeout is how long an answer may take. Default: 10 seconds, after which API servers that delegate to a kube-apiserver
	// give up.
	Timeout time.Duration
}

// Result is the result of one check.
type Result struct {
	// Name of the check, such as v1/refused/status-code.
	Name string
	// Requirement is what kube-apiserver needs, in a sentence.
	Requirement string
	// Err says what the webhook did instead. It is nil if the check passed or was skipped. No error has a token in it.
	Err error
	// Remedy says how to mend it; empty if there is nothing to mend.
	Remedy string
	// Skipped says why the check was not made; empty if it was.
	Skipped string
}

// Run asks the webhook at config.Host, which is called exactly as it stands, and makes the checks in a fixed order, each when the
// loop asks for it. The configuration has the credentials and certificates as well, as those in the kubeconfig of a
// kube-apiserver.
func Run(ctx context.Context, config *rest.Config, options Options) iter.Seq[Result] {
	if options.Audience == "" {
		options.Audience = "https://kubernetes.default.svc"
	}
	if options.Timeout <= 0 {
		options.Timeout = 10 * time.Second
	}
	if len(options.Versions) == 0 {
		options.Versions = Versions
	}
	return func(yield func(Result) bool) {
		client, err := newClient(config)
		defer client.CloseIdleConnections()
		for _, version := range options.Versions {
			s := &suite{ctx: ctx, config: config, options: options, version: version, client: client, broken: err, known: map[string]*answer{}}
			for _, c := range checks() {
				if !yield(s.make(c)) {
					return
				}
			}
		}
	}
}

// newClient returns a client for the raw answers. It follows no redirects, as a kube-apiserver should not.
func newClient(config *rest.Config) (*http.Client, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return &http.Client{}, err
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own, nil
}

// check is a check with its name, what it is for, and what to do if it fails.
type check struct {
	name, requirement, remedy string
	run                       func(*suite) error
}

// skipped is the reason for which a check is not made.
type skipped string

func (s skipped) Error() string { return string(s) }

// suite is what the checks have found out so far about one version.
type suite struct {
	ctx     context.Context
	config  *rest.Config
	options Options
	version string
	client  *http.Client
	// broken is why there is no client.
	broken error
	// known are the answers by the question.
	known map[string]*answer
}

// make makes a check.
func (s *suite) make(c check) Result {
	result := Result{Name: s.version + "/" + c.name, Requirement: c.requirement}
	err := c.run(s)
	var skip skipped
	switch {
	case errors.As(err, &skip):
		result.Skipped = string(skip)
	case err != nil:
		result.Err, result.Remedy = s.withoutTokens(err), c.remedy
	}
	return result
}

// withoutTokens takes what was asked out of an error: a webhook may have repeated it.
func (s *suite) withoutTokens(err error) error {
	text := err.Error()
	for _, token := range []string{s.options.Token, s.altered(), s.swapped()} {
		if token != "" {
			text = strings.ReplaceAll(text, token, "[token]")
		}
	}
	return errors.New(text)
}
