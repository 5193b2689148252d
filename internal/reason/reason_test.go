package reason_test

import (
	"errors"
	"fmt"
	"regexp"
	"testing"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/mintmark/mintmark/internal/reason"
)

// TestCodes: every code has a name of its own, as Kubernetes writes reasons, and a meaning.
func TestCodes(t *testing.T) {
	seen := map[string]bool{}
	for _, code := range reason.All() {
		if name := code.String(); !regexp.MustCompile(`^[A-Z][A-Za-z]+$`).MatchString(name) || seen[name] {
			t.Errorf("code %d has the name %q", code, name)
		}
		if meaning := code.Meaning(); !regexp.MustCompile(`^[A-Z].*\.$`).MatchString(meaning) {
			t.Errorf("%s means %q, want a sentence", code, meaning)
		}
		seen[code.String()] = true
	}
	if len(seen) != reason.Count-1 {
		t.Errorf("%d names for %d codes", len(seen), reason.Count-1)
	}
}

// unavailable marks an error that is no refusal.
type unavailable struct{ error }

func (unavailable) Unavailable() {}

// TestOf finds codes in errors. The text is that of the error that got the code.
func TestOf(t *testing.T) {
	expired, unknown, plain := reason.New(reason.Expired, "expired"), reason.Invalid(reason.UnknownToken), errors.New("plain")
	unread := unavailable{errors.New("unread")}
	for _, test := range []struct {
		name string
		err  error
		want reason.Code
	}{
		{"nothing", nil, reason.None},
		{"no code", plain, reason.None},
		{"a code", expired, reason.Expired},
		{"a code for nothing", reason.With(reason.Expired, nil), reason.None},
		{"formatted", reason.Errorf(reason.PodGone, "%s is gone: %w", "pod", plain), reason.PodGone},
		{"wrapped", fmt.Errorf("check: %w", expired), reason.Expired},
		{"another code outside", reason.With(reason.PodGone, expired), reason.PodGone},
		{"unavailable", unread, reason.Undecided},
		{"unavailable, wrapped", fmt.Errorf("find: %w", unread), reason.Undecided},
		{"several", utilerrors.NewAggregate([]error{plain, expired, unread}), reason.Undecided},
		{"several, nested", utilerrors.NewAggregate([]error{utilerrors.NewAggregate([]error{plain}), utilerrors.NewAggregate([]error{expired})}), reason.Expired},
		{"several, joined", errors.Join(plain, expired), reason.Expired},
		{"unknown to the first", utilerrors.NewAggregate([]error{unknown, expired}), reason.Expired},
		{"unknown to the last", utilerrors.NewAggregate([]error{expired, unknown}), reason.Expired},
		{"a certificate that another knows", utilerrors.NewAggregate([]error{reason.Invalid(reason.CertificateRefused), reason.Invalid(reason.Revoked)}), reason.Revoked},
		{"unknown to all", utilerrors.NewAggregate([]error{plain, unknown}), reason.UnknownToken},
	} {
		if got := reason.Of(test.err); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if text := reason.Invalid(reason.Revoked).Error(); text != "invalid bearer token" {
		t.Errorf("text %q", text)
	}
	wrapped := reason.With(reason.PodGone, plain)
	if wrapped.Error() != "plain" || !errors.Is(wrapped, plain) {
		t.Errorf("%q doesn't stand for %q", wrapped, plain)
	}
}
