package conformance

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"sigs.k8s.io/yaml"
)

// answer is what came back from the server. Body is decoded JSON or YAML, a string for other text, nil for binary data.
type answer struct {
	status int
	header http.Header
	raw    []byte
	body   any
	events []any
}

// do sends the request of a step and reads the answer.
func (s *session) do(ctx context.Context, st *Step) (*answer, error) {
	req, err := s.newRequest(ctx, st)
	if err != nil {
		return nil, err
	}
	client := s.clients[st.Cert]
	if client == nil {
		if client, err = s.client(st.Cert); err != nil {
			return nil, err
		}
		s.clients[st.Cert] = client
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if st.Events > 0 && a.status == http.StatusOK {
		return a, a.readEvents(resp.Body, st.Events)
	}
	if err := a.readBody(resp.Body); err != nil {
		return nil, err
	}
	if a.status == http.StatusCreated && req.URL.Query().Get("dryRun") != "All" {
		s.remember(st.Method, req.URL.RequestURI(), a.body)
	}
	return a, nil
}

// newRequest fills in the variables of a step.
func (s *session) newRequest(ctx context.Context, st *Step) (*http.Request, error) {
	path, err := s.expand(st.Path)
	if err != nil {
		return nil, err
	}
	body, err := s.requestBody(st)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, st.Method, s.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "conformance")
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	token, err := s.bearer(st)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for name, value := range st.Headers {
		if value, err = s.expand(value); err != nil {
			return nil, err
		}
		req.Header.Del(name)
		for line := range strings.SplitSeq(value, "\n") {
			if line != "" {
				req.Header.Add(name, line)
			}
		}
	}
	return req, nil
}

// identity is who a step speaks as.
func (st *Step) identity() string {
	if st.Cert != "" {
		return cmp.Or(st.As, "anonymous")
	}
	return cmp.Or(st.As, "admin")
}

// bearer returns the token that a step presents, if any.
func (s *session) bearer(st *Step) (string, error) {
	switch as := st.identity(); as {
	case "anonymous":
		return "", nil
	case "admin":
		return s.AdminToken, nil
	case "alice":
		return s.AliceToken, nil
	default:
		token, err := s.expand(as)
		if token != as { // what stands in the scenario itself is no secret
			s.secrets.add(token)
		}
		return token, err
	}
}

// requestBody returns the bytes to send.
func (s *session) requestBody(st *Step) ([]byte, error) {
	if st.BodyBase64 != "" {
		return base64.StdEncoding.DecodeString(st.BodyBase64)
	}
	if len(st.Body) == 0 {
		return nil, nil
	}
	text, err := s.expand(st.bodyText())
	return []byte(text), err
}

// bodyText is the body of a request before its variables are filled in.
func (st *Step) bodyText() string {
	var text string
	if json.Unmarshal(st.Body, &text) == nil {
		return text
	}
	var compact bytes.Buffer
	if json.Compact(&compact, st.Body) != nil {
		return string(st.Body)
	}
	return compact.String()
}

// request shows a step's request as the scenario writes it: variables are not filled in.
func (st *Step) request() string {
	if st.Forge != nil {
		return "make a token: " + plainText(st.Forge)
	}
	text := fmt.Sprintf("%s %s as %s", st.Method, st.Path, st.identity())
	if st.Cert != "" {
		text += " with certificate " + st.Cert
	}
	if len(st.Headers) > 0 {
		text += " " + plainText(st.Headers)
	}
	if body := cmp.Or(st.bodyText(), st.BodyBase64); body != "" {
		text += " " + shorten(body)
	}
	return text
}

func (a *answer) readBody(r io.Reader) error {
	if a.header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		r = z
	}
	var err error
	if a.raw, err = io.ReadAll(io.LimitReader(r, 32<<20)); err != nil {
		return err
	}
	media, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	switch {
	case len(a.raw) == 0, magicOf(a.raw) != "":
	case strings.HasSuffix(media, "json"):
		if a.body, err = decodeJSON(a.raw); err != nil {
			a.body = string(a.raw)
		}
	case strings.HasSuffix(media, "yaml"):
		text, err := yaml.YAMLToJSON(a.raw)
		if err != nil {
			return fmt.Errorf("the answer is not YAML: %w", err)
		}
		a.body, err = decodeJSON(text)
		return err
	default:
		// Some JSON documents are labelled as plain text.
		object, err := decodeJSON(a.raw)
		if _, ok := object.(map[string]any); ok && err == nil {
			a.body = object
		} else {
			a.body = string(a.raw)
		}
	}
	return nil
}

// readEvents reads watch events until there are enough or the stream ends.
func (a *answer) readEvents(r io.Reader, enough int) error {
	dec := json.NewDecoder(r)
	dec.UseNumber()
	for len(a.events) < enough {
		var event any
		if err := dec.Decode(&event); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("after %d events: %w", len(a.events), err)
		}
		a.events = append(a.events, event)
	}
	return nil
}

// magicOf names a binary encoding by its first bytes.
func magicOf(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte("k8s\x00")):
		return "protobuf"
	case bytes.HasPrefix(data, []byte("\xd9\xd9\xf7")):
		return "cbor"
	}
	return ""
}
