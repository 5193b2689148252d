package reason

// Result is the result of one check.
type Result uint8

// Results of checks. Not reached means that an earlier check decided, or took away what this one looks at.
const (
	NotReached Result = iota
	Passed
	Failed
)

// Check is one check of a review.
type Check struct {
	Name   string
	Result Result
	// Expected is what the check wants, and Found what the token has or what is stored.
	Expected, Found string
}

// Checks has the checks of one review, in the order in which they are made. Authenticators write into it. A review that is not
// explained has none: then the pointer is nil, and the authenticators write nothing and stop at the first refusal.
//
// No check has a token, or the signature of one, in it.
type Checks struct {
	// Authenticator is the one that decided; empty if none knows the token.
	Authenticator string

	asked string
	begun int
	list  []Check
}

// Begin begins the checks of an authenticator.
func (c *Checks) Begin(authenticator string) {
	if c != nil {
		c.asked, c.begun = authenticator, len(c.list)
	}
}

// Decided says that the authenticator whose checks were begun last has decided. The checks of the others are of no interest
// then.
func (c *Checks) Decided() {
	if c != nil {
		c.Authenticator, c.list, c.begun = c.asked, c.list[c.begun:], 0
	}
}

// Plan names the checks that come next. They are not reached until they are noted. Planned checks that were not reached are
// planned anew.
func (c *Checks) Plan(names ...string) {
	for len(c.list) > c.begun && c.list[len(c.list)-1].Result == NotReached {
		c.list = c.list[:len(c.list)-1]
	}
	for _, name := range names {
		c.list = append(c.list, Check{Name: name})
	}
}

// Note notes a check: that it passed, or, with an error, that it failed.
func (c *Checks) Note(name string, err error, expected, found string) {
	check := Check{Name: name, Result: Passed, Expected: expected, Found: found}
	if err != nil {
		check.Result = Failed
	}
	for i := c.begun; i < len(c.list); i++ {
		if c.list[i].Name == name && c.list[i].Result == NotReached {
			c.list[i] = check
			return
		}
	}
	c.list = append(c.list, check)
}

// List returns the checks.
func (c *Checks) List() []Check { return c.list }

// First keeps the first refusal of several checks. A review stops at it; an explanation makes the later checks, too.
type First struct {
	// Err is the first refusal.
	Err error
	// All has the later checks made.
	All bool
}

// Stop takes the result of a check, and reports whether the review ends with it.
func (f *First) Stop(err error) bool {
	if err == nil {
		return false
	}
	if f.Err == nil {
		f.Err = err
	}
	return !f.All
}
