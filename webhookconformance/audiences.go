package webhookconformance

import (
	"errors"
	"fmt"
	"slices"
)

func audienceChecks() []check {
	return []check{
		{
			"audiences/not-empty", "An acceptance says for which of the audiences that were asked for the token is good.",
			"Set status.audiences to the audiences in spec.audiences that the token is good for. Empty, it means all audiences of whoever asks.", (*suite).checkAudiences,
		},
		{
			"audiences/not-echoed", "An audience that the token is not good for is left out, though it was asked for.",
			"Intersect spec.audiences with the audiences of the token; do not copy them.", (*suite).checkNotEchoed,
		},
		{
			"audiences/foreign", "A token is not accepted for an audience that it is not good for.",
			"Refuse a token that is good for none of spec.audiences. A webhook that knows nothing of audiences must answer with those of the cluster that it serves.", (*suite).checkForeign,
		},
		{
			"audiences/not-remembered", "A verdict for one audience does not decide for another.",
			"Cache verdicts under token and audiences, not under the token alone.", (*suite).checkNotRemembered,
		},
	}
}

func (s *suite) checkAudiences() error {
	r, err := s.accepted()
	if err != nil {
		return err
	}
	switch got := r.audiences(); {
	case len(got) == 0:
		return errors.New("status.audiences is empty")
	case !slices.Contains(got, s.options.Audience):
		return errors.New("status.audiences does not have the audience that was asked for, so a kube-apiserver refuses the token without a word")
	}
	return nil
}

func (s *suite) checkNotEchoed() error {
	if _, err := s.accepted(); err != nil {
		return err
	}
	q := s.good()
	q.name, q.audiences = "both", []string{foreignAudience, s.options.Audience}
	r, err := s.verdict(q)
	if err != nil {
		return err
	}
	if slices.Contains(r.audiences(), foreignAudience) && r.authenticated() {
		return fmt.Errorf("status.audiences has %s, which no token is for", foreignAudience)
	}
	return nil
}

// foreign asks about the good token for another audience.
func (s *suite) foreign(name string) error {
	q := s.good()
	q.name, q.audiences = name, []string{foreignAudience}
	r, err := s.verdict(q)
	if err != nil {
		return err
	}
	switch got := r.audiences(); {
	case !r.authenticated():
	case len(got) == 0:
		return fmt.Errorf("it is accepted for %s without audiences, which a kube-apiserver takes for its own", foreignAudience)
	case slices.Contains(got, foreignAudience):
		return fmt.Errorf("it is accepted for %s", foreignAudience)
	}
	return nil
}

func (s *suite) checkForeign() error {
	if _, err := s.accepted(); err != nil {
		return err
	}
	return s.foreign("foreign")
}

// checkNotRemembered asks for the two audiences in turn, so that each question comes behind one about the other.
func (s *suite) checkNotRemembered() error {
	if _, err := s.accepted(); err != nil {
		return err
	}
	fresh := s.foreign("foreign-again")
	again := s.good()
	again.name = "good-again"
	r, err := s.verdict(again)
	if err != nil {
		return err
	}
	if !r.authenticated() {
		return errors.New("the good token is refused after it was refused for another audience")
	}
	if !slices.Contains(r.audiences(), s.options.Audience) && len(r.audiences()) > 0 {
		return errors.New("after it was reviewed for another audience, the good token's audiences are that one's")
	}
	var skip skipped
	if fresh != nil && !errors.As(fresh, &skip) && s.foreign("foreign") == nil {
		return errors.New("after it was accepted for its own audience, the good token is accepted for another")
	}
	return nil
}
