package webhookconformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// unknownToken is a token that no webhook should know.
	unknownToken = "webhookconformance.no-such-token"
	// foreignAudience is an audience that no token is for.
	foreignAudience = "https://conformance.invalid"
	// maxAnswer is how much of an answer is read.
	maxAnswer = 1 << 20
)

// question is a review as a kube-apiserver sends it.
type question struct {
	name      string
	token     string
	audiences []string
	// further has members that the webhook doesn't know.
	further bool
}

// answer is what came back.
type answer struct {
	err    error // that there is no answer
	status int
	header http.Header
	body   []byte
	// closes says that the connection ends with the answer.
	closes bool
	took   time.Duration
}

// questions about a token that is not known, and about the one that is.
func (s *suite) unknown() question {
	return question{name: "unknown", token: unknownToken, audiences: []string{s.options.Audience}}
}

func (s *suite) good() question {
	return question{name: "good", token: s.options.Token, audiences: []string{s.options.Audience}}
}

// altered is the good token with another character in the last third.
func (s *suite) altered() string {
	token := s.options.Token
	if len(token) < 3 {
		return ""
	}
	at := len(token) - 1 - len(token)/6
	other := byte('A')
	if token[at] == other {
		other = 'B'
	}
	return token[:at] + string(other) + token[at+1:]
}

// swapped is the good token with upper and lower case exchanged.
func (s *suite) swapped() string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r ^ ('a' - 'A')
		}
		return r
	}, s.options.Token)
}

// ask asks a question once, and returns the same answer from then on.
func (s *suite) ask(q question) (*answer, error) {
	if s.broken != nil {
		return nil, s.broken
	}
	a := s.known[q.name]
	if a == nil {
		a = s.send(q)
		s.known[q.name] = a
	}
	return a, a.err
}

// verdict asks a question and reads the review in the answer. A check of the form of answers has its own errors for what is
// wrong there, so that other checks are skipped.
func (s *suite) verdict(q question) (*review, error) {
	if q.token == "" && q.name != "empty" {
		return nil, skipped("no good token was given")
	}
	a, err := s.ask(q)
	if err != nil {
		return nil, skipped("there is no answer")
	}
	if a.status < 200 || a.status > 206 {
		return nil, skipped(fmt.Sprintf("the answer has the status code %d", a.status))
	}
	r, err := read(a.body)
	if err != nil {
		return nil, skipped("the answer is no review")
	}
	return r, nil
}

func (s *suite) body(q question) []byte {
	spec := map[string]any{"token": q.token, "audiences": q.audiences}
	object := map[string]any{
		"kind": "TokenReview", "apiVersion": "authentication.k8s.io/" + s.version, "metadata": map[string]any{}, "spec": spec,
		"status": map[string]any{"user": map[string]any{}},
	}
	if q.further {
		object["metadata"] = map[string]any{"creationTimestamp": nil, "name": "of-a-later-version"}
		spec["memberOfALaterVersion"] = map[string]any{"a": []int{1}}
	}
	text, _ := json.Marshal(object) // it always can
	return text
}

// send sends a question as a kube-apiserver does.
func (s *suite) send(q question) *answer {
	// A little more than is allowed, to tell a slow answer from none.
	ctx, cancel := context.WithTimeout(s.ctx, 2*s.options.Timeout)
	defer cancel()
	target, err := url.Parse(s.config.Host)
	if err != nil {
		return &answer{err: err}
	}
	query := target.Query()
	query.Set("timeout", "30s")
	target.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(s.body(q)))
	if err != nil {
		return &answer{err: err}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, */*")
	request.Header.Set("User-Agent", "kube-apiserver (webhookconformance)")
	began := time.Now()
	response, err := s.client.Do(request)
	if err != nil {
		return &answer{err: err}
	}
	defer func() { _ = response.Body.Close() }()
	a := &answer{status: response.StatusCode, header: response.Header, closes: response.Close || !response.ProtoAtLeast(1, 1)}
	a.body, a.err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	a.took = time.Since(began)
	return a
}

// isJSON reports whether an answer says that it is JSON.
func (a *answer) isJSON() bool {
	media, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	return err == nil && strings.EqualFold(media, "application/json")
}

// review is a TokenReview as it came, before it is read into a type.
type review struct {
	Kind       json.RawMessage            `json:"kind"`
	APIVersion json.RawMessage            `json:"apiVersion"`
	Status     map[string]json.RawMessage `json:"status"`
}

// read reads the one object in a body.
func read(body []byte) (*review, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	r := &review{}
	if err := decoder.Decode(r); err != nil {
		return nil, errors.New("it is no JSON object with a status that is an object")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind the object")
	}
	return r, nil
}

// text returns a string, or nothing where there is none.
func text(raw json.RawMessage) string {
	var value string
	_ = json.Unmarshal(raw, &value)
	return value
}

// authenticated reports whether the review says yes.
func (r *review) authenticated() bool { return string(r.Status["authenticated"]) == "true" }

func (r *review) audiences() []string {
	var list []string
	_ = json.Unmarshal(r.Status["audiences"], &list)
	return list
}

// user returns the members of the user.
func (r *review) user() map[string]json.RawMessage {
	var user map[string]json.RawMessage
	_ = json.Unmarshal(r.Status["user"], &user)
	return user
}
