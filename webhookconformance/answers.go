package webhookconformance

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/url"
)

func (s *suite) checkAnswers() error {
	_, err := s.ask(s.unknown())
	return err
}

func (s *suite) checkEncrypted() error {
	target, err := url.Parse(s.config.Host)
	if err != nil {
		return err
	}
	if target.Scheme == "https" {
		return nil
	}
	if ip := net.ParseIP(target.Hostname()); ip != nil && ip.IsLoopback() || target.Hostname() == "localhost" {
		return skipped("the webhook is on the same machine")
	}
	return fmt.Errorf("it begins with %q", target.Scheme)
}

// each calls a function with the answers of both kinds that there are.
func (s *suite) each(f func(what string, a *answer) error) error {
	seen := false
	for _, q := range []question{s.unknown(), s.good()} {
		if q.token == "" {
			continue
		}
		a, err := s.ask(q)
		if err != nil {
			continue
		}
		seen = true
		if err := f("the answer about "+about[q.name], a); err != nil {
			return err
		}
	}
	if !seen {
		return skipped("there is no answer")
	}
	return nil
}

// about says what a question is about.
var about = map[string]string{"unknown": "an unknown token", "good": "the good token"}

// eachVerdict does the same with the answers that have a good status code.
func (s *suite) eachVerdict(f func(what string, a *answer) error) error {
	seen := false
	err := s.each(func(what string, a *answer) error {
		if a.status < 200 || a.status > 206 {
			return nil
		}
		seen = true
		return f(what, a)
	})
	if err == nil && !seen {
		return skipped("no answer has a status code from 200 to 206")
	}
	return err
}

// eachReview does the same with the reviews in them.
func (s *suite) eachReview(f func(what string, r *review) error) error {
	return s.eachVerdict(func(what string, a *answer) error {
		r, err := read(a.body)
		if err != nil {
			return skipped("an answer is no review")
		}
		return f(what, r)
	})
}

func (s *suite) checkStaysOpen() error {
	return s.each(func(what string, a *answer) error {
		if a.closes {
			return fmt.Errorf("%s ends the connection", what)
		}
		return nil
	})
}

func (s *suite) checkNoRedirect() error {
	return s.each(func(what string, a *answer) error {
		if a.status >= 300 && a.status < 400 {
			return fmt.Errorf("%s has the status code %d", what, a.status)
		}
		return nil
	})
}

func (s *suite) checkInTime() error {
	for _, q := range []question{s.unknown(), s.good()} {
		if a := s.known[q.name]; a != nil && a.took > s.options.Timeout {
			return fmt.Errorf("the answer about %s took longer than %v", about[q.name], s.options.Timeout)
		}
	}
	return s.each(func(what string, a *answer) error {
		if a.took > s.options.Timeout {
			return fmt.Errorf("%s took longer than %v", what, s.options.Timeout)
		}
		return nil
	})
}

func (s *suite) checkContentType() error {
	return s.eachVerdict(func(what string, a *answer) error {
		if !a.isJSON() {
			return fmt.Errorf("%s has the Content-Type %q, which a kube-apiserver does not read", what, a.header.Get("Content-Type"))
		}
		return nil
	})
}

func (s *suite) checkJSON() error {
	return s.eachVerdict(func(what string, a *answer) error {
		if _, err := read(a.body); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

func (s *suite) checkKind() error {
	return s.eachReview(func(what string, r *review) error {
		if kind := text(r.Kind); kind != "TokenReview" {
			return fmt.Errorf("%s has the kind %.40q", what, kind)
		}
		return nil
	})
}

func (s *suite) checkVersion() error {
	want := "authentication.k8s.io/" + s.version
	return s.eachReview(func(what string, r *review) error {
		if version := text(r.APIVersion); version != want {
			return fmt.Errorf("%s has the apiVersion %.60q, not %q", what, version, want)
		}
		return nil
	})
}

func (s *suite) checkStatus() error {
	return s.eachReview(func(what string, r *review) error {
		if r.Status == nil {
			return fmt.Errorf("%s has no status", what)
		}
		switch said := string(r.Status["authenticated"]); said {
		case "", "true", "false":
			return nil
		}
		return fmt.Errorf("status.authenticated of %s is neither true nor false", what)
	})
}

func (s *suite) checkNoToken() error {
	return s.each(func(what string, a *answer) error {
		for _, token := range []string{unknownToken, s.options.Token} {
			if token != "" && bytes.Contains(a.body, []byte(token)) {
				return fmt.Errorf("%s has the token in it", what)
			}
		}
		return nil
	})
}

func (s *suite) checkFurtherMembers() error {
	plain, err := s.ask(s.unknown())
	if err != nil {
		return skipped("there is no answer")
	}
	q := s.unknown()
	q.name, q.further = "further", true
	a, err := s.ask(q)
	if err != nil {
		return errors.New("a review with further members has no answer")
	}
	if a.status != plain.status {
		return fmt.Errorf("a review with further members is answered with the status code %d, and one without with %d", a.status, plain.status)
	}
	return nil
}
