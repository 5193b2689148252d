package reason

import (
	"errors"
	"fmt"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// coded is an error with a code. Its text is that of the error alone.
type coded struct {
	error
	code Code
}

// Unwrap returns the error.
func (c coded) Unwrap() error { return c.error }

// Reason returns the code.
func (c coded) Reason() Code { return c.code }

// New returns an error with a code. Its text is what clients get.
func New(code Code, text string) error { return coded{errors.New(text), code} }

// Errorf formats an error with a code.
func Errorf(code Code, format string, args ...any) error {
	return coded{fmt.Errorf(format, args...), code}
}

// With gives an error a code; nil stays nil. The error must not be an Aggregate of apimachinery: those are told by their
// type when texts are joined.
func With(code Code, err error) error {
	if err == nil {
		return nil
	}
	return coded{err, code}
}

// InvalidText is the text of a refusal for which clients get no reason. Clients match on it.
const InvalidText = "invalid bearer token"

// Invalid returns the refusal with a code for which clients get no reason. It takes no memory.
func Invalid(code Code) error { return invalid[code] }

var invalid = func() (all [Count]error) {
	for code := range all {
		all[code] = New(Code(code), InvalidText)
	}
	return all
}()

// IsInvalid reports whether an error comes from Invalid, and with which code.
func IsInvalid(err error) (Code, bool) {
	known, ok := err.(coded) //nolint:errorlint // it is not wrapped
	return known.code, ok && err == invalid[known.code]
}

// Of returns the code of an error, or of one that it wraps. Of several errors one without a verdict comes first, then the first
// refusal of an authenticator that knows the token. It is None for an error that has no code.
func Of(err error) Code {
	for err != nil {
		switch e := err.(type) { //nolint:errorlint // it unwraps step by step
		case interface{ Reason() Code }:
			return e.Reason()
		case interface{ Unavailable() }:
			return Undecided
		case interface{ Errors() []error }:
			return ofAll(e.Errors())
		case interface{ Unwrap() []error }:
			return ofAll(e.Unwrap())
		}
		err = errors.Unwrap(err)
	}
	return None
}

func ofAll(errs []error) Code {
	first := None
	for _, err := range errs {
		code := Of(err)
		if code.Verdict() == v1alpha1.VerdictUndecided {
			return code
		}
		if first.stranger() && !code.stranger() || first == None {
			first = code
		}
	}
	return first
}
