package webhookconformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

func (s *suite) checkRefusalCode() error {
	a, err := s.ask(s.unknown())
	if err != nil {
		return skipped("there is no answer")
	}
	if a.status < 200 || a.status > 206 {
		return fmt.Errorf("the answer about an unknown token has the status code %d", a.status)
	}
	return nil
}

// notAuthenticated checks that a token is not accepted. A refusal by status code is another check's affair.
func (s *suite) notAuthenticated(q question, what string) error {
	r, err := s.verdict(q)
	if err != nil {
		return err
	}
	if r.authenticated() {
		return fmt.Errorf("%s is authenticated", what)
	}
	return nil
}

func (s *suite) checkUnknown() error {
	r, err := s.verdict(s.unknown())
	if err != nil {
		return err
	}
	if r.authenticated() {
		return fmt.Errorf("an unknown token is authenticated as %.80q", text(r.user()["username"]))
	}
	return nil
}

func (s *suite) checkAltered() error {
	err := s.notAuthenticated(question{name: "altered", token: s.altered(), audiences: s.good().audiences}, "the good token with another character in it")
	if err != nil || s.swapped() == s.options.Token {
		return err
	}
	return s.notAuthenticated(question{name: "swapped", token: s.swapped(), audiences: s.good().audiences}, "the good token with letters in the other case")
}

func (s *suite) checkWhiteSpace() error {
	if err := s.optional(question{name: "blank", token: " ", audiences: s.good().audiences}, "a token of white space"); err != nil {
		return err
	}
	if s.options.Token == "" {
		return nil
	}
	return s.optional(question{name: "leading", token: " " + s.options.Token, audiences: s.good().audiences}, "the good token with a space in front")
}

func (s *suite) checkEmpty() error {
	return s.optional(question{name: "empty", audiences: s.good().audiences}, "a review without a token")
}

// optional checks that a review is not answered with yes. A kube-apiserver doesn't send it, so it may be refused in any way.
func (s *suite) optional(q question, what string) error {
	err := s.notAuthenticated(q, what)
	var skip skipped
	if errors.As(err, &skip) && s.known[q.name] != nil && s.known[q.name].err == nil {
		return nil
	}
	return err
}

func (s *suite) checkNoUser() error {
	r, err := s.verdict(s.unknown())
	if err != nil {
		return err
	}
	if r.authenticated() {
		return skipped("the unknown token is not refused")
	}
	for member, value := range r.user() {
		if empty := []string{`""`, "null", "[]", "{}"}; !slices.Contains(empty, string(value)) {
			return fmt.Errorf("the refusal has status.user.%.20s", member)
		}
	}
	return nil
}

func (s *suite) checkRefusalAudiences() error {
	r, err := s.verdict(s.unknown())
	if err != nil {
		return err
	}
	switch {
	case r.authenticated():
		return skipped("the unknown token is not refused")
	case text(r.Status["error"]) == "":
		return skipped("the refusal has no error")
	case len(r.audiences()) == 0:
		return errors.New("status.audiences is empty")
	case !slices.Contains(r.audiences(), s.options.Audience):
		return errors.New("status.audiences has none of the audiences that were asked for")
	}
	return nil
}

// isStrings reports whether a value is a list of strings and nothing else.
func isStrings(raw json.RawMessage) bool {
	var list []*string
	return json.Unmarshal(raw, &list) == nil && list != nil && !slices.Contains(list, nil)
}
