package authz

import (
	"testing"

	apiserverconfig "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// withCertificate is a user who came with a client certificate.
type withCertificate struct{ user.DefaultInfo }

func (*withCertificate) FromClientCertificate() {}

func certificateOf(name string) user.Info {
	return &withCertificate{user.DefaultInfo{Name: name}}
}

// TestOpenShiftCaller: a kube-apiserver of OpenShift may do one thing, whatever the modes say.
func TestOpenShiftCaller(t *testing.T) {
	const name = "system:serviceaccount:openshift-oauth-apiserver:openshift-authenticator"
	nobody := []apiserverconfig.AuthorizerConfiguration{{Type: ModeAlwaysDeny}}
	asked := func(change func(*authorizer.AttributesRecord)) authorizer.AttributesRecord {
		a := authorizer.AttributesRecord{
			User: certificateOf(name), Verb: "create", ResourceRequest: true,
			APIGroup: "oauth.openshift.io", APIVersion: "v1", Resource: "tokenreviews",
		}
		change(&a)
		return a
	}
	for what, test := range map[string]struct {
		change func(*authorizer.AttributesRecord)
		off    bool
		want   authorizer.Decision
	}{
		"it":              {func(*authorizer.AttributesRecord) {}, false, authorizer.DecisionAllow},
		"another version": {func(a *authorizer.AttributesRecord) { a.APIVersion = "v2" }, false, authorizer.DecisionAllow},
		"a name":          {func(a *authorizer.AttributesRecord) { a.Name = "x" }, false, authorizer.DecisionAllow},
		"not served":      {func(*authorizer.AttributesRecord) {}, true, authorizer.DecisionNoOpinion},
		"somebody else":   {func(a *authorizer.AttributesRecord) { a.User = certificateOf(name + "2") }, false, authorizer.DecisionNoOpinion},
		"a group of that name": {func(a *authorizer.AttributesRecord) {
			a.User = &withCertificate{user.DefaultInfo{Name: "eve", Groups: []string{name}}}
		}, false, authorizer.DecisionNoOpinion},
		"a service account of that name": {func(a *authorizer.AttributesRecord) { a.User = &user.DefaultInfo{Name: name} }, false, authorizer.DecisionNoOpinion},
		"one that says it has a certificate": {func(a *authorizer.AttributesRecord) {
			a.User = &user.DefaultInfo{Name: name, Extra: map[string][]string{user.CredentialIDKey: {"X509SHA256=00"}}}
		}, false, authorizer.DecisionNoOpinion},
		"another verb":          {func(a *authorizer.AttributesRecord) { a.Verb = "list" }, false, authorizer.DecisionNoOpinion},
		"another group":         {func(a *authorizer.AttributesRecord) { a.APIGroup = "authentication.k8s.io" }, false, authorizer.DecisionNoOpinion},
		"another resource":      {func(a *authorizer.AttributesRecord) { a.Resource = "oauthclients" }, false, authorizer.DecisionNoOpinion},
		"a subresource":         {func(a *authorizer.AttributesRecord) { a.Subresource = "status" }, false, authorizer.DecisionNoOpinion},
		"a namespace":           {func(a *authorizer.AttributesRecord) { a.Namespace = "x" }, false, authorizer.DecisionNoOpinion},
		"a path of that name":   {func(a *authorizer.AttributesRecord) { a.ResourceRequest = false }, false, authorizer.DecisionNoOpinion},
		"nobody, and no answer": {func(a *authorizer.AttributesRecord) { a.User = nil }, false, authorizer.DecisionNoOpinion},
	} {
		t.Run(what, func(t *testing.T) {
			z, err := New(Config{Authorizers: nobody, OpenShift: !test.off})
			if err != nil {
				t.Fatal(err)
			}
			if decision, reason, err := z.Authorize(t.Context(), asked(test.change)); decision != test.want || err != nil {
				t.Errorf("%v, %q, %v", decision, reason, err)
			}
		})
	}
}

// TestOpenShiftCallersRules: it is told its own rule, and others aren't.
func TestOpenShiftCallersRules(t *testing.T) {
	for name, test := range map[string]struct {
		user user.Info
		want int
	}{
		"it":                             {certificateOf(openShiftCallerName), 1},
		"somebody else":                  {certificateOf("eve"), 0},
		"a service account of that name": {&user.DefaultInfo{Name: openShiftCallerName}, 0},
	} {
		want := test.want
		rules, urls, incomplete, err := openShiftCaller{}.RulesFor(t.Context(), test.user, "")
		if len(rules) != want || len(urls) > 0 || incomplete || err != nil {
			t.Errorf("%s: %v, %v, %t, %v", name, rules, urls, incomplete, err)
		}
	}
}
