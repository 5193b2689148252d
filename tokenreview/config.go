package tokenreview

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/tokensource"
)

// Defaults of Config.
const (
	DefaultCacheBytes  = 16 << 20
	DefaultShortTTL    = 10 * time.Second
	DefaultLongTTL     = 5 * time.Minute
	DefaultFailureTTL  = 5 * time.Second
	DefaultMaxSilence  = 5 * time.Second
	DefaultTimeout     = 10 * time.Second
	DefaultMaxInFlight = 64
	DefaultMaxRate     = 1000
)

// Config says which server reviews, for whom, and how long its verdicts are kept. Only Server is required.
type Config struct {
	// Server is the connection to the server that reviews: Mintmark or any Kubernetes API server. Its rate limits (QPS, Burst,
	// RateLimiter) and its Timeout are not used; those below are. A token file or certificate files that it names are read again
	// when they change.
	Server *rest.Config
	// Audiences are those that the tokens must be for: a token is good if it is for one of them. Every service should have one
	// of its own. Without any, a token must be for the server that reviews. Audiences in a context
	// (authenticator.WithAudiences) take their place, unless there are none in it.
	Audiences []string

	// CacheBytes bounds the memory of verdicts, an eighth of it for refusals. With a negative value nothing is kept.
	CacheBytes int
	// ShortTTL is how long a token is accepted after its review where no feed tells of its end. A negative value caches nothing
	// without a feed.
	ShortTTL time.Duration
	// LongTTL is how long a token is accepted after its review while the feed tells of its end.
	LongTTL time.Duration
	// FailureTTL is how long a token is refused after its review. A negative value caches no refusals.
	FailureTTL time.Duration
	// MaxSilence is for how long the feed may prove nothing. Then it counts as broken: it is begun anew, and ShortTTL holds until
	// it is whole again.
	MaxSilence time.Duration
	// WithoutFeed has the client not ask for a feed.
	WithoutFeed bool

	// Timeout bounds a review, its further attempts included.
	Timeout time.Duration
	// MaxInFlight bounds the requests that are under way at a time, MaxRate those of a second.
	MaxInFlight int
	MaxRate     float64
	// Gather has reviews that come within a millisecond share one request, if the server is a Mintmark. It costs each of them up to that
	// time, and saves much when hundreds of new tokens come at once.
	Gather bool

	// Keys has the client check signatures before it asks for a review. Nil means that the server checks them all.
	Keys *Keys

	// Log is told when the feed comes and goes. Nil means that nothing is logged.
	Log *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Keys says how signatures are checked without a call. A token that its issuer can't have signed is refused at once, so
// that made-up tokens cause no reviews. A good signature is not enough: the token is still reviewed.
//
// The keys are read when a token first needs them, and again when a token names an unknown one, at most every ten
// seconds. While they can't be read, tokens are reviewed without the check.
type Keys struct {
	// Issuer is the claim iss of the tokens that are checked. Empty means the issuer that the server's discovery document names.
	Issuer string
	// URL is where the JSON Web Key Set is. Empty means that of the server, /openid/v1/jwks, asked with the client's own credentials.
	URL string
	// OnlyIssuer refuses all tokens of other issuers, and those that are no JWTs, without a review.
	OnlyIssuer bool
}

// New returns a client. Close ends its work in the background.
func New(cfg Config) (*Client, error) {
	if cfg.Server == nil {
		return nil, errors.New("tokenreview: Config.Server is missing: give it the connection to the server that reviews")
	}
	cfg.setDefaults()
	if cfg.MaxSilence < 0 || cfg.Timeout < 0 || cfg.MaxInFlight < 0 || cfg.MaxRate < 0 {
		return nil, errors.New("tokenreview: Config.MaxSilence, Timeout, MaxInFlight and MaxRate can't be negative: leave them out for the defaults")
	}
	cfg.Audiences = slices.Clone(cfg.Audiences)
	connection := rest.CopyConfig(cfg.Server)
	connection.Timeout = 0 // watches are long; reviews have a deadline of their own
	// A connection that has died without a word is given up with the request on it. One of HTTP/2 would be used on.
	connection.NextProtos = []string{"http/1.1"}
	var credentials *tokensource.Source
	if file := connection.BearerTokenFile; file != "" {
		// The library would read the file again after a minute only.
		credentials = tokensource.FromFile(file)
		connection.BearerToken, connection.BearerTokenFile = "", ""
		connection.Wrap(credentials.Transport)
	}
	base, _, err := rest.DefaultServerUrlFor(connection)
	if err != nil {
		return nil, fmt.Errorf("tokenreview: the address of the server: %w", err)
	}
	client, err := rest.HTTPClientFor(connection)
	if err != nil {
		return nil, fmt.Errorf("tokenreview: the connection to the server: %w", err)
	}
	// Where a redirect leads is not the server that was named, and the token would go there.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return newClient(cfg, &server{base: base, http: client, credentials: credentials}), nil
}

func (cfg *Config) setDefaults() {
	orDefault(&cfg.CacheBytes, DefaultCacheBytes)
	orDefault(&cfg.ShortTTL, DefaultShortTTL)
	orDefault(&cfg.LongTTL, DefaultLongTTL)
	orDefault(&cfg.FailureTTL, DefaultFailureTTL)
	orDefault(&cfg.MaxSilence, DefaultMaxSilence)
	orDefault(&cfg.Timeout, DefaultTimeout)
	orDefault(&cfg.MaxInFlight, DefaultMaxInFlight)
	orDefault(&cfg.MaxRate, DefaultMaxRate)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
}

func orDefault[T comparable](value *T, fallback T) {
	var none T
	if *value == none {
		*value = fallback
	}
}

// server is where requests go.
type server struct {
	base *url.URL
	http *http.Client
	// credentials is the source of the client's own token if that is in a file.
	credentials *tokensource.Source
}

// path returns the URL of a path of the server.
func (s *server) path(path string) string {
	u := *s.base
	u.Path = strings.TrimSuffix(u.Path, "/") + path
	return u.String()
}
