package tokensource

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// DefaultTimeout is how long a request for a token may take.
const DefaultTimeout = 10 * time.Second

// Config says whose tokens are asked for, and where. Server, Namespace and Account are required.
type Config struct {
	// Server is the connection to the server that issues tokens. Its holder must be allowed to create serviceaccounts/token
	// for the account.
	Server *rest.Config
	// Namespace and Account name the service account.
	Namespace, Account string
	// Audiences are those that the tokens are for. Without any they are for the server itself.
	Audiences []string
	// Expiration is how long tokens are to live; 0 leaves it to the server. The server may issue shorter ones.
	Expiration time.Duration
	// BoundTo is a Pod, Secret or Node with which the tokens end. Nil binds them to the account alone.
	BoundTo *authenticationv1.BoundObjectReference

	// Timeout bounds a request for a token; 0 means DefaultTimeout.
	Timeout time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Log is told when a token can't be renewed. Nil means that nothing is logged.
	Log *slog.Logger
}

// New returns a source of tokens by TokenRequest. The first one is asked for when it is needed.
func New(cfg Config) (*Source, error) {
	switch {
	case cfg.Server == nil:
		return nil, errors.New("tokensource: Config.Server is missing: give it the connection to the server that issues tokens")
	case cfg.Namespace == "" || cfg.Account == "":
		return nil, errors.New("tokensource: Config.Namespace and Config.Account name the service account, and one of them is missing")
	}
	base, _, err := rest.DefaultServerUrlFor(cfg.Server)
	if err != nil {
		return nil, fmt.Errorf("tokensource: the address of the server: %w", err)
	}
	client, err := rest.HTTPClientFor(cfg.Server)
	if err != nil {
		return nil, fmt.Errorf("tokensource: the connection to the server: %w", err)
	}
	own := *client // it may be http.DefaultClient
	// Where a redirect leads is not the server that was named, and the credentials would go there.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	target := *base
	target.Path = strings.TrimSuffix(target.Path, "/") + "/api/v1/namespaces/" + url.PathEscape(cfg.Namespace) + "/serviceaccounts/" + url.PathEscape(cfg.Account) + "/token"
	r := &requester{cfg: cfg, client: &own, url: target.String()}
	timeout := cfg.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return newSource(r.request, timeout, cfg.Now, cfg.Log), nil
}

// requester asks for tokens.
type requester struct {
	cfg    Config
	client *http.Client
	url    string
}

// maxAnswer bounds an answer.
const maxAnswer = 1 << 20

// request asks for a token. Its errors don't have the answer, in which there may be one.
func (r *requester) request(ctx context.Context) (*issued, error) {
	question := authenticationv1.TokenRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: authenticationv1.SchemeGroupVersion.String(), Kind: "TokenRequest"},
		Spec:     authenticationv1.TokenRequestSpec{Audiences: r.cfg.Audiences, BoundObjectRef: r.cfg.BoundTo},
	}
	if r.cfg.Expiration != 0 {
		seconds := int64(r.cfg.Expiration / time.Second)
		question.Spec.ExpirationSeconds = &seconds
	}
	body, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	asked := r.cfg.Now()
	response, err := r.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("the server can't be reached: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the answer ended early: %w", err)
	case response.StatusCode != http.StatusCreated && response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the server answered %d: %s", response.StatusCode, message(data))
	}
	var answer authenticationv1.TokenRequest
	if json.Unmarshal(data, &answer) != nil || answer.Status.Token == "" {
		return nil, errors.New("the server answered with something that has no token")
	}
	return scheduled(answer.Status.Token, asked, answer.Status.ExpirationTimestamp.Time), nil
}

// message returns what the server says of a failure.
func message(data []byte) string {
	var status metav1.Status
	if json.Unmarshal(data, &status) != nil || status.Message == "" {
		return "it doesn't say why"
	}
	return status.Message
}

// scheduled returns a token with its times. Its life is counted from when it was asked for, by this clock: the server's may be another
// one. end is used if the token doesn't tell its life.
func scheduled(token string, asked, end time.Time) *issued {
	t := &issued{token: token, end: end}
	from, until, ok := life(token)
	if ok {
		t.end = asked.Add(until.Sub(from))
	}
	if !t.end.IsZero() {
		part := renewAt - spread*rand.Float64() //nolint:gosec // nobody gains from guessing it
		t.renewal = asked.Add(time.Duration(part * float64(t.end.Sub(asked))))
	}
	return t
}

// life returns the claims iat and exp of a token, though nothing of it is verified.
func life(token string) (from, until time.Time, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return from, until, false
	}
	var claims struct {
		IssuedAt float64 `json:"iat"`
		Expires  float64 `json:"exp"`
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(data, &claims) != nil || claims.IssuedAt <= 0 || claims.Expires <= claims.IssuedAt || claims.Expires > 1<<40 {
		return from, until, false
	}
	return time.Unix(int64(claims.IssuedAt), 0), time.Unix(int64(claims.Expires), 0), true
}

// fileEvery is how often a file is read again while it is used.
const fileEvery = 10 * time.Second

// FromFile returns a source of the tokens in a file that another program replaces in time: the kubelet, or mintmark agent. The file is
// read again every ten seconds while it is used, and when a server has refused its token. While it can't be read, the last token is used
// until it ends.
func FromFile(path string) *Source {
	return newFileSource(path, time.Now)
}

func newFileSource(path string, now func() time.Time) *Source {
	return newSource(func(context.Context) (*issued, error) {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		token := strings.TrimSpace(string(data))
		if token == "" {
			return nil, fmt.Errorf("the file %s is empty", path)
		}
		t := &issued{token: token, renewal: now().Add(fileEvery)}
		if _, until, ok := life(token); ok {
			t.end = until
		}
		return t, nil
	}, DefaultTimeout, now, nil)
}
