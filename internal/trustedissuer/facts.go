package trustedissuer

import (
	"fmt"
	"time"

	"k8s.io/utils/ptr"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// Facts are what this process knows of an issuer, for the status of its object.
type Facts struct {
	// Conflict says in words why another issuer with the same URL is used instead; empty if this one is used.
	Conflict string
	// Inline says that the keys are those in the object, which are never read from elsewhere.
	Inline bool
	// KeyIDs are the ids of the keys, as they were read last.
	KeyIDs []string
	// Read is when the keys were read last, and Tried when that was last tried; zero if not yet.
	Read, Tried time.Time
	// Failure is why the last read failed; nil if it did not.
	Failure error
	// Next is when the keys are read again on schedule; zero if they are not.
	Next time.Time
}

// Facts returns what is known of an object, and whether the object is known at all.
func (i *Issuers) Facts(name string) (facts Facts, ok bool) {
	i.mu.Lock()
	object, ok := i.objects[name]
	if !ok {
		i.mu.Unlock()
		return Facts{}, false
	}
	url := object.Spec.URL
	used := i.used(url)
	i.mu.Unlock()
	switch {
	case used == nil:
		facts.Conflict = "the url is an issuer of this server's own tokens, which are checked with its own keys; delete this object"
		return facts, true
	case used.Name != name:
		facts.Conflict = fmt.Sprintf("the TrustedIssuer %s has the same url and is older, so it is used; delete one of the two", used.Name)
		return facts, true
	case i.Configured != nil && i.Configured(url):
		facts.Conflict = "the configuration file (--authentication-config, or --oidc-issuer-url) has the same issuer, so that is used; delete this object or take the issuer out there"
		return facts, true
	}
	if known := i.known(url); known != nil {
		known.keys.tell(&facts)
	}
	return facts, true
}

// Holder returns the name of an object with a URL, the one that is used if there are several; empty if there is none.
func (i *Issuers) Holder(url string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if used := i.used(url); used != nil {
		return used.Name
	}
	return ""
}

// Namesake returns the name of an object, other than the named one, whose users' names have a prefix; empty if there is none. An object
// that makes names by an expression has none.
func (i *Issuers) Namesake(name, prefix string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	found := ""
	for other, object := range i.objects {
		if other != name && PrefixOf(&object.Spec) == prefix && (found == "" || other < found) {
			found = other
		}
	}
	return found
}

// PrefixOf returns what is put before the names of an issuer's users, as far as the spec says it; empty if there is nothing.
func PrefixOf(spec *v1alpha1.TrustedIssuerSpec) string {
	switch {
	case spec.Kubernetes != nil:
		return spec.Kubernetes.Prefix
	case spec.ClaimMappings != nil:
		return ptr.Deref(spec.ClaimMappings.Username.Prefix, "")
	}
	return ""
}

func (k *keys) tell(facts *Facts) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := k.known.Load()
	facts.Inline, facts.KeyIDs, facts.Read = k.inline, known.ids(), known.read
	facts.Tried, facts.Failure, facts.Next = k.tried, k.failure, k.next
}
