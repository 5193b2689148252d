package trustedissuer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/ptr"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/reason"
)

// TestClusterUsers: a cluster's token gives the user that a TokenReview of the cluster gives, with the prefix before names, and with
// its issuer.
func TestClusterUsers(t *testing.T) {
	s := newStranger(t, theURL)
	w := newWorld(t, Config{}, s)
	for _, prefix := range []string{"east:", ""} {
		w.put("east", s.url, func(spec *v1alpha1.TrustedIssuerSpec) { spec.Kubernetes.Prefix = prefix })
		response, err := w.ask(s.token(t, nil), "vault")
		if err != nil {
			t.Fatal(err)
		}
		want := &user.DefaultInfo{
			Name: prefix + account, UID: "u1",
			Groups: []string{prefix + "system:serviceaccounts", prefix + "system:serviceaccounts:shop", "system:authenticated"},
			Extra: map[string][]string{
				"authentication.kubernetes.io/credential-id": {"JTI=id1"},
				"authentication.kubernetes.io/node-name":     {"n1"}, "authentication.kubernetes.io/node-uid": {"nu1"},
				"authentication.kubernetes.io/pod-name": {"cart-1"}, "authentication.kubernetes.io/pod-uid": {"p1"},
				"authentication.mintmark.io/issuer": {theURL},
			},
		}
		got := response.User
		if diff := cmp.Diff(want, &user.DefaultInfo{Name: got.GetName(), UID: got.GetUID(), Groups: got.GetGroups(), Extra: got.GetExtra()}); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"vault"}, []string(response.Audiences)); diff != "" {
			t.Error(diff)
		}
	}
}

// TestClusterClaims: claims are checked as kube-apiserver checks them, and must be those of a token that one issues.
func TestClusterClaims(t *testing.T) {
	s := newStranger(t, theURL)
	w := newWorld(t, Config{}, s)
	w.put("east", s.url, nil)
	now := time.Now().Unix()
	own := func(changes map[string]any) map[string]any {
		claims := map[string]any{"namespace": "shop", "serviceaccount": map[string]any{"name": "cart", "uid": "u1"}}
		for name, value := range changes {
			claims[name] = value
		}
		return map[string]any{"kubernetes.io": claims}
	}
	for name, test := range map[string]struct {
		changes map[string]any
		want    string
	}{
		"within the leeway after its end":   {map[string]any{"exp": now - 50}, good},
		"beyond the leeway":                 {map[string]any{"exp": now - 70}, "Expired"},
		"within the leeway before it":       {map[string]any{"nbf": now + 50}, good},
		"not valid yet":                     {map[string]any{"nbf": now + 70}, "NotYetValid"},
		"issued in the future":              {map[string]any{"iat": now + 70}, "IssuedInFuture"},
		"no end":                            {map[string]any{"exp": nil}, "BadClaims"},
		"an end that is a text":             {map[string]any{"exp": "1"}, "BadClaims"},
		"no credential id":                  {map[string]any{"jti": nil}, good},
		"no audience":                       {map[string]any{"aud": nil}, "AudienceMismatch"},
		"one audience":                      {map[string]any{"aud": "vault"}, good},
		"another subject":                   {map[string]any{"sub": "system:serviceaccount:shop:other"}, "BadClaims"},
		"another namespace in the subject":  {map[string]any{"sub": "system:serviceaccount:kube-system:cart"}, "BadClaims"},
		"no subject":                        {map[string]any{"sub": nil}, "BadClaims"},
		"no claims of Kubernetes":           {map[string]any{"kubernetes.io": nil}, "BadClaims"},
		"a user as a namespace":             {own(map[string]any{"namespace": "shop:admin"}), "BadClaims"},
		"no account":                        {own(map[string]any{"serviceaccount": nil}), "BadClaims"},
		"no uid":                            {own(map[string]any{"serviceaccount": map[string]any{"name": "cart"}}), "BadClaims"},
		"a pod that is none":                {own(map[string]any{"pod": map[string]any{}}), "BadClaims"},
		"no pod":                            {own(nil), good},
		"another issuer's spelling of this": {map[string]any{"iss": theURL + "/"}, "UnknownToken"},
	} {
		if got := w.name(s.token(t, test.changes)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// TestClusterRules: rules of the object see the claims, and the user that the preset gives.
func TestClusterRules(t *testing.T) {
	s := newStranger(t, theURL)
	w := newWorld(t, Config{}, s)
	w.put("east", s.url, func(spec *v1alpha1.TrustedIssuerSpec) {
		spec.ClaimValidationRules = []v1alpha1.ClaimValidationRule{{Expression: "claims['kubernetes.io']['namespace'] != 'lab'", Message: "no lab"}}
		spec.UserValidationRules = []v1alpha1.UserValidationRule{
			{Expression: "user.username.startsWith('east:system:serviceaccount:')"},
			{Expression: "user.groups.exists(g, g == 'east:system:serviceaccounts:shop') && user.uid == 'u1'", Message: "only the shop"},
		}
	})
	if errs := Validate(&w.known(s.url).object.Spec, nil); len(errs) > 0 {
		t.Fatal(errs)
	}
	of := func(namespace string) string {
		return s.token(t, map[string]any{"sub": "system:serviceaccount:" + namespace + ":cart", "kubernetes.io": map[string]any{
			"namespace": namespace, "serviceaccount": map[string]any{"name": "cart", "uid": "u1"},
		}})
	}
	for namespace, want := range map[string]string{"shop": good, "lab": "IssuerRefused", "other": "IssuerRefused"} {
		if got := w.name(of(namespace)); got != want {
			t.Errorf("%s: %s, want %s", namespace, got, want)
		}
	}
}

// mapped is a spec whose users come from claims.
func mapped(spec *v1alpha1.TrustedIssuerSpec) {
	spec.Kubernetes = nil
	spec.ClaimMappings = &v1alpha1.ClaimMappings{
		Username: v1alpha1.PrefixedClaimOrExpression{Claim: "name", Prefix: ptr.To("")},
		Groups:   v1alpha1.PrefixedClaimOrExpression{Claim: "groups", Prefix: ptr.To("")},
	}
}

// TestMappedUsers: the library decides about claims, mappings and rules.
func TestMappedUsers(t *testing.T) {
	s := newStranger(t, theURL)
	w := newWorld(t, Config{}, s)
	w.put("oidc", s.url, func(spec *v1alpha1.TrustedIssuerSpec) {
		spec.Kubernetes, spec.Audiences, spec.AudienceMatchPolicy = nil, []string{"vault", "app"}, v1alpha1.AudienceMatchPolicyMatchAny
		spec.ClaimValidationRules = []v1alpha1.ClaimValidationRule{{Expression: "claims.level >= 2", Message: "level 2 or more is needed"}}
		spec.ClaimMappings = &v1alpha1.ClaimMappings{
			Username: v1alpha1.PrefixedClaimOrExpression{Expression: "'oidc:' + claims.name"},
			Groups:   v1alpha1.PrefixedClaimOrExpression{Expression: "claims.groups"},
			UID:      v1alpha1.ClaimOrExpression{Claim: "sub"},
			Extra:    []v1alpha1.ExtraMapping{{Key: "example.com/level", ValueExpression: "string(claims.level)"}},
		}
		spec.UserValidationRules = []v1alpha1.UserValidationRule{{Expression: "user.username != 'oidc:root'", Message: "not root"}}
	})
	token := func(changes map[string]any) string {
		all := map[string]any{"kubernetes.io": nil, "name": "ann", "groups": []string{"dev"}, "level": 2, "sub": "s1"}
		for name, value := range changes {
			all[name] = value
		}
		return s.token(t, all)
	}
	for range 2 { // a remembered verdict is the same
		response, err := w.ask(token(nil), "app", "vault")
		if err != nil {
			t.Fatal(err)
		}
		got := response.User
		want := &user.DefaultInfo{
			Name: "oidc:ann", UID: "s1", Groups: []string{"dev", "system:authenticated"},
			Extra: map[string][]string{"example.com/level": {"2"}, user.CredentialIDKey: {"JTI=id1"}},
		}
		if diff := cmp.Diff(want, &user.DefaultInfo{Name: got.GetName(), UID: got.GetUID(), Groups: got.GetGroups(), Extra: got.GetExtra()}); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"vault"}, []string(response.Audiences)); diff != "" {
			t.Error(diff)
		}
	}
	for name, test := range map[string]struct {
		changes map[string]any
		want    string
	}{
		"a rule about claims":   {map[string]any{"level": 1}, "IssuerRefused"},
		"a rule about users":    {map[string]any{"name": "root"}, "IssuerRefused"},
		"expired":               {map[string]any{"exp": time.Now().Unix() - 1}, "Expired"},
		"another audience":      {map[string]any{"aud": "other"}, "AudienceMismatch"},
		"an audience not asked": {map[string]any{"aud": "app"}, "AudienceMismatch"},
	} {
		if got := w.name(token(test.changes)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// TestIsolation: an issuer speaks for none of this server's own names, whichever prefix and claim make them, and however they are
// spelled.
func TestIsolation(t *testing.T) {
	s := newStranger(t, theURL)
	w := newWorld(t, Config{}, s)
	for name, test := range map[string]struct {
		prefix, user string
		groups       []string
		want         string
	}{
		"a plain user":               {user: "ann", groups: []string{"dev"}, want: "ann"},
		"a user of another alphabet": {user: "Аня", want: "Аня"},
		"an account of ours":         {user: account, want: "ReservedIdentity"},
		"a node":                     {user: "system:node:n1", want: "ReservedIdentity"},
		"anonymous":                  {user: "system:anonymous", want: "ReservedIdentity"},
		"in capitals":                {user: "System:admin", want: "ReservedIdentity"},
		"with a blank before":        {user: " system:admin", want: "ReservedIdentity"},
		"with a wide blank before":   {user: "\u3000system:admin", want: "ReservedIdentity"},
		"with a tab before":          {user: "\tsystem:admin", want: "ReservedIdentity"},
		"in full width":              {user: "ｓｙｓｔｅｍ：admin", want: "ReservedIdentity"},
		"with a long s":              {user: "ſyſtem:admin", want: "ReservedIdentity"},
		"with nothing inside":        {user: "sys\u200btem:admin", want: "ReservedIdentity"},
		"with a soft hyphen":         {user: "sys\u00adtem:admin", want: "ReservedIdentity"},
		"with a filler":              {user: "\u3164system:admin", want: "ReservedIdentity"},
		"with a selector":            {user: "s\ufe0fystem:admin", want: "ReservedIdentity"},
		"with a Mongolian selector":  {user: "\u180bsystem:admin", want: "ReservedIdentity"},
		"with a vowel of no shape":   {user: "sys\u17b4tem:admin", want: "ReservedIdentity"},
		"with a blank of music":      {user: "\U0001d159system:admin", want: "ReservedIdentity"},
		"a group of no shape":        {user: "ann", groups: []string{"system\u180d:masters"}, want: "ReservedIdentity"},
		"from right to left":         {user: "\u202esystem:admin", want: "ReservedIdentity"},
		"of prefix and claim":        {prefix: "sys", user: "tem:admin", want: "ReservedIdentity"},
		"of prefix and colon":        {prefix: "system", user: ":admin", want: "ReservedIdentity"},
		"behind a prefix":            {prefix: "east:", user: "system:admin", want: "east:system:admin"},
		"nameless":                   {user: " ", want: "NamelessUser"},
		"nameless behind a prefix":   {prefix: "east:", user: " ", want: "NamelessUser"},
		"masters":                    {user: "ann", groups: []string{"dev", "system:masters"}, want: "ReservedIdentity"},
		"masters in capitals":        {user: "ann", groups: []string{"SYSTEM:MASTERS"}, want: "ReservedIdentity"},
		"masters with a blank":       {user: "ann", groups: []string{"system:masters "}, want: "ReservedIdentity"},
		"all accounts":               {user: "ann", groups: []string{"system:serviceaccounts"}, want: "ReservedIdentity"},
		"authenticated":              {user: "ann", groups: []string{"system:authenticated"}, want: "ReservedIdentity"},
		"unauthenticated":            {user: "ann", groups: []string{"system:unauthenticated"}, want: "ReservedIdentity"},
	} {
		w.put("oidc", s.url, func(spec *v1alpha1.TrustedIssuerSpec) {
			mapped(spec)
			spec.ClaimMappings.Username.Prefix = &test.prefix
		})
		if got := w.name(s.token(t, map[string]any{"name": test.user, "groups": test.groups})); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// TestReservedKeys: extra keys of this server's domains are its own.
func TestReservedKeys(t *testing.T) {
	for key, want := range map[string]bool{
		"example.com/level": false, "notkubernetes.io/level": false, "kubernetes.io/x": true, "Kubernetes.io/x": true, "authentication.kubernetes.io/pod-name": true,
		"x.k8s.io/y": true, "authentication.mintmark.io/issuer": true, "mintmark.io/x": true, "scopes.authorization.openshift.io": true,
	} {
		if got := reservedKey(key); got != want {
			t.Errorf("%s: %v", key, got)
		}
		err := isolate(&user.DefaultInfo{Name: "ann", Extra: map[string][]string{key: {"a"}}}, noneGiven)
		if refused := reason.Of(err) == reason.ReservedIdentity; refused != (want && key != user.CredentialIDKey) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestDistributedClaims: a token names no address that is called.
func TestDistributedClaims(t *testing.T) {
	s := newStranger(t, theURL)
	w := newWorld(t, Config{}, s)
	w.put("oidc", s.url, mapped)
	elsewhere := map[string]any{
		"name": "ann", "_claim_names": map[string]string{"groups": "a"},
		"_claim_sources": map[string]any{"a": map[string]string{"endpoint": s.url + "/claims"}},
	}
	if got := w.name(s.token(t, elsewhere)); got != "IssuerRefused" || s.reads("/claims") != 0 {
		t.Errorf("%s, with %d calls", got, s.reads("/claims"))
	}
}
