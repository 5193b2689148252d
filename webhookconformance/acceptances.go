package webhookconformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

func acceptanceChecks() []check {
	return []check{
		{
			"accepted/status-code", "An acceptance has a status code from 200 to 206.",
			"Answer 200 or 201. If it is 401 or 403, the webhook refuses the caller's own credentials, which are in the kubeconfig.", (*suite).checkAcceptanceCode,
		},
		{
			"accepted/good-token", "The good token is authenticated.",
			"Check that the token has not ended, and that it is for the audience that is asked for.", (*suite).checkGood,
		},
		{
			"accepted/username", "An acceptance names a user, who is not system:anonymous.",
			"Set status.user.username. A kube-apiserver takes an empty name as it is, and rules for it match nobody.", (*suite).checkUsername,
		},
		{
			"accepted/no-error", "An acceptance has no error.",
			"Leave status.error out where authenticated is true: clients differ in which of the two they believe.", (*suite).checkNoError,
		},
		{
			"accepted/groups", "status.user.groups is a list of strings, or left out.",
			`Write a list, such as ["developers"], even for one group, and leave it out rather than write null.`, (*suite).checkGroups,
		},
		{
			"accepted/extra", "status.user.extra has lists of strings under keys in lower case.",
			`Write "example.com/key": ["value"]. Keys travel as parts of header names, which have no case.`, (*suite).checkExtra,
		},
		{
			"accepted/service-account", "A service account has the name, the groups and the extra that Kubernetes gives it: relying parties take them apart.",
			"Write system:serviceaccount:NAMESPACE:NAME with the groups system:serviceaccounts and system:serviceaccounts:NAMESPACE, " +
				"one value under each key of authentication.kubernetes.io/, and JTI= before a credential id.", (*suite).checkServiceAccount,
		},
	}
}

// accepted returns the review of the good token, if it says yes.
func (s *suite) accepted() (*review, error) {
	r, err := s.verdict(s.good())
	if err != nil {
		return nil, err
	}
	if !r.authenticated() {
		return nil, skipped("the good token is not authenticated")
	}
	return r, nil
}

func (s *suite) checkAcceptanceCode() error {
	if s.options.Token == "" {
		return skipped("no good token was given")
	}
	a, err := s.ask(s.good())
	if err != nil {
		return skipped("there is no answer")
	}
	if a.status < 200 || a.status > 206 {
		return fmt.Errorf("the answer about the good token has the status code %d", a.status)
	}
	return nil
}

func (s *suite) checkGood() error {
	r, err := s.verdict(s.good())
	if err != nil {
		return err
	}
	if r.authenticated() {
		return nil
	}
	if reason := text(r.Status["error"]); reason != "" {
		return fmt.Errorf("it is refused: %.200s", s.withoutTokens(errors.New(reason)).Error())
	}
	return errors.New("it is refused, without an error")
}

func (s *suite) checkUsername() error {
	r, err := s.accepted()
	if err != nil {
		return err
	}
	switch name := text(r.user()["username"]); name {
	case "":
		return errors.New("status.user.username is empty, or no string")
	case "system:anonymous":
		return errors.New("status.user.username is system:anonymous")
	}
	return nil
}

func (s *suite) checkNoError() error {
	r, err := s.accepted()
	if err != nil {
		return err
	}
	if text(r.Status["error"]) != "" {
		return errors.New("status.error is not empty")
	}
	return nil
}

func (s *suite) checkGroups() error {
	r, err := s.accepted()
	if err != nil {
		return err
	}
	if groups, ok := r.user()["groups"]; ok && !isStrings(groups) {
		return errors.New("it is something else")
	}
	return nil
}

func (s *suite) checkServiceAccount() error {
	r, err := s.accepted()
	if err != nil {
		return err
	}
	name := text(r.user()["username"])
	if !strings.HasPrefix(name, "system:serviceaccount:") {
		return nil
	}
	parts := strings.Split(name, ":")
	if len(parts) != 4 || parts[2] == "" || parts[3] == "" {
		return errors.New("the name of the user does not have four parts")
	}
	var groups []string
	_ = json.Unmarshal(r.user()["groups"], &groups) // another check looks at their form
	for _, group := range []string{"system:serviceaccounts", "system:serviceaccounts:" + parts[2]} {
		if !slices.Contains(groups, group) {
			return fmt.Errorf("the group %.80s is missing", group)
		}
	}
	var extra map[string][]string
	_ = json.Unmarshal(r.user()["extra"], &extra)
	for _, key := range slices.Sorted(maps.Keys(extra)) {
		if strings.HasPrefix(key, "authentication.kubernetes.io/") && len(extra[key]) != 1 {
			return fmt.Errorf("%.80s has %d values", key, len(extra[key]))
		}
	}
	if id := extra["authentication.kubernetes.io/credential-id"]; id != nil && !strings.HasPrefix(id[0], "JTI=") {
		return errors.New("the credential id does not begin with JTI=")
	}
	return nil
}

func (s *suite) checkExtra() error {
	r, err := s.accepted()
	if err != nil {
		return err
	}
	raw, ok := r.user()["extra"]
	if !ok {
		return nil
	}
	var extra map[string]json.RawMessage
	if err := json.Unmarshal(raw, &extra); err != nil || extra == nil {
		return errors.New("it is no object")
	}
	for _, key := range slices.Sorted(maps.Keys(extra)) {
		if key != strings.ToLower(key) {
			return fmt.Errorf("the key %.80q is not in lower case", key)
		}
		if !isStrings(extra[key]) {
			return fmt.Errorf("the value of %.80q is no list of strings", key)
		}
	}
	return nil
}
