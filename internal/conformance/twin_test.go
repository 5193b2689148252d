package conformance

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
)

// twin is a server that shares a store with another one and must answer as that one does. It gets each request about tokens that
// the other gets.
type twin struct {
	url *url.URL
	// asked is how many requests it was sent, and granted how many of them it answered with success.
	asked, granted atomic.Int64
	// explained is how many verdicts were compared with their explanation.
	explained atomic.Int64
}

// lag is how long the twin may take to see what was written through the other server.
const lag = 10 * time.Second

// through sends on the requests, and those about tokens to the twin as well.
func (w *twin) through(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if request.Method != http.MethodPost || !aboutTokens(request.URL.Path) {
			return next.RoundTrip(request)
		}
		sent, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, errors.Join(err, request.Body.Close())
		}
		want, got, err := exchange(next, request, request.URL, sent)
		if err != nil {
			return nil, errors.Join(err, request.Body.Close())
		}
		compared, err := explained(next, request, sent, got)
		if err != nil {
			return nil, err
		}
		if compared {
			w.explained.Add(1)
		}
		there := *request.URL
		there.Host = w.url.Host
		late := time.Now().Add(lag)
		for {
			_, other, err := exchange(next, request, &there, sent)
			if err != nil {
				return nil, err
			}
			difference := got.differs(other, request.Header.Get("Audit-Id") != "")
			switch {
			case difference == "":
				w.asked.Add(1)
				if other.status == http.StatusCreated {
					w.granted.Add(1)
				}
				return want, nil
			case time.Now().After(late):
				return nil, errors.New("the other transport answers differently: " + difference)
			}
			if err := sleep(request.Context(), 0.05); err != nil {
				return nil, err
			}
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func aboutTokens(path string) bool {
	return strings.HasSuffix(path, "/tokenreviews") || strings.Contains(path, "/serviceaccounts/") && strings.HasSuffix(path, "/token")
}

// reply holds the parts of an answer that are compared.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// exchange sends a request somewhere. The answer can be read once more.
func exchange(next http.RoundTripper, request *http.Request, to *url.URL, body []byte) (*http.Response, *reply, error) {
	copied := request.Clone(request.Context())
	copied.URL, copied.Host = to, ""
	copied.Body = io.NopCloser(bytes.NewReader(body))
	response, err := next.RoundTrip(copied)
	if err != nil {
		return nil, nil, err
	}
	got, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(got))
	return response, &reply{response.StatusCode, response.Header.Clone(), got}, nil
}

// differs describes how another answer differs, but for the parts that may differ.
func (r *reply) differs(other *reply, named bool) string {
	headers := [2]http.Header{r.header.Clone(), other.header.Clone()}
	for i, header := range headers {
		header.Del("Date")
		// A reason may hold a time, which is not always as long.
		if header.Get("Content-Length") == strconv.Itoa(len([]*reply{r, other}[i].body)) {
			header.Set("Content-Length", "the body's")
		}
		if !named {
			if header.Get("Audit-Id") == "" {
				return "an answer without an Audit-Id"
			}
			header.Del("Audit-Id")
		}
	}
	if r.status != other.status {
		return fmt.Sprintf("status %d, and %d: %s", r.status, other.status, newMask().text(string(other.body)))
	}
	if diff := gocmp.Diff(headers[0], headers[1]); diff != "" {
		return newMask().text(diff)
	}
	if bytes.Equal(r.body, other.body) {
		return ""
	}
	mine, err := fresh(r.body)
	yours, otherErr := fresh(other.body)
	if err := cmp.Or(err, otherErr); err != nil {
		return err.Error()
	}
	return newMask().text(gocmp.Diff(mine, yours))
}

var (
	freshToken = regexp.MustCompile(`eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+`)
	freshClock = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \+0000 UTC m=\+\d+\.\d+`)
	freshTime  = regexp.MustCompile(`(?:creation|expiration)Timestamp":"([^"]*)"`)
)

// fresh is an answer with a token that has just been issued, without what differs from one token to the next: its
// bytes with the token and the times taken out, and what the token says, counted from its iat.
func fresh(body []byte) (map[string]any, error) {
	if magicOf(body) == "protobuf" {
		return freshProtobuf(body)
	}
	// Some reasons say when they were given.
	text := freshClock.ReplaceAllString(string(body), "TIME")
	token := freshToken.FindString(text)
	if token == "" {
		return map[string]any{"body": text}, nil
	}
	out := map[string]any{"token": newNormaliser("").token(token)}
	text = strings.ReplaceAll(text, token, "TOKEN")
	for i, match := range freshTime.FindAllStringSubmatch(text, -1) {
		at, err := time.Parse(time.RFC3339, match[1])
		if err != nil {
			return nil, err
		}
		out[fmt.Sprint("time ", i)] = afterIssue(token, at)
		text = strings.Replace(text, match[1], "TIME", 1)
	}
	out["body"] = text
	return out, nil
}

// afterIssue is how long after the iat of a token a time is, a second more or less.
func afterIssue(token string, at time.Time) string {
	_, claims, err := decodeJWT(token)
	issued, ok := unix(claims["iat"])
	if err != nil || !ok {
		return "no iat"
	}
	return at.Sub(issued).Round(10 * time.Second).String()
}

func freshProtobuf(body []byte) (map[string]any, error) {
	object, kind, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	if err != nil {
		return nil, err
	}
	request, ok := object.(*authenticationv1.TokenRequest)
	if !ok {
		return map[string]any{"body": string(body)}, nil
	}
	out := map[string]any{
		"kind": kind.String(), "length": len(body), "token": newNormaliser("").token(request.Status.Token),
		"time": afterIssue(request.Status.Token, request.Status.ExpirationTimestamp.Time),
	}
	request.Status.Token, request.Status.ExpirationTimestamp, request.CreationTimestamp = "", metav1.Time{}, metav1.Time{}
	out["object"] = *request
	return out, nil
}

func TestReplies(t *testing.T) {
	answer := func(status int, body string, headers ...string) *reply {
		r := &reply{status, http.Header{"Audit-Id": {"x"}, "Date": {time.Now().String()}}, []byte(body)}
		for _, header := range headers {
			r.header.Add(header, "v")
		}
		return r
	}
	part := func(object string) string { return encode([]byte(object)) }
	now := time.Now().Unix()
	token := func(iat, life int64, subject string) string {
		claims := fmt.Sprintf(`{"iat":%d,"exp":%d,"sub":%q}`, iat, iat+life, subject)
		return fmt.Sprintf(`{"status":{"token":"%s.%s.%s","expirationTimestamp":"%s"}}`, part(`{"alg":"ES256"}`), part(claims),
			part("signature"+claims), time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}
	for name, test := range map[string]struct {
		one, other *reply
		same       bool
	}{
		"the same":       {answer(200, "{}", "Warning"), answer(200, "{}", "Warning"), true},
		"status":         {answer(200, ""), answer(201, ""), false},
		"body":           {answer(200, "{}"), answer(200, "{}\n"), false},
		"header":         {answer(200, "", "Warning"), answer(200, ""), false},
		"twice a header": {answer(200, "", "Warning"), answer(200, "", "Warning", "Warning"), false},
		"fresh tokens":   {answer(201, token(now, 60, "a")), answer(201, token(now+1, 60, "a")), true},
		"life":           {answer(201, token(now, 60, "a")), answer(201, token(now, 70, "a")), false},
		"claims":         {answer(201, token(now, 60, "a")), answer(201, token(now, 60, "b")), false},
		"around a token": {answer(201, token(now, 60, "a")), answer(201, token(now, 60, "a")+"\n"), false},
	} {
		if difference := test.one.differs(test.other, false); (difference == "") != test.same {
			t.Errorf("%s: %q", name, difference)
		}
	}
	other := answer(200, "")
	other.header.Set("Audit-Id", "y")
	if answer(200, "").differs(other, true) == "" {
		t.Error("another Audit-Id than the one given")
	}
}
