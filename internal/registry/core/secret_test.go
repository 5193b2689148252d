package core

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/mintmark/mintmark/internal/registry"
)

func TestSecretCreate(t *testing.T) {
	const invalid = `Secret "s" is invalid: `
	for _, test := range []struct{ name, secret, want string }{
		{"empty", `{}`, ""},
		{"opaque", `{stringData: {a: b}}`, ""},
		{"own type without rules", `{type: example.com/mine}`, ""},
		{"bootstrap token without anything", `{type: bootstrap.kubernetes.io/token}`, ""},
		{
			"bad keys", `{stringData: {a/b: x, "..": y}}`,
			invalid + `[data[..]: Invalid value: "..": must not be '..', data[a/b]: Invalid value: "a/b": a valid config key must ` +
				`consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', ` +
				`regex used for validation is '[-._a-zA-Z0-9]+')]`,
		},
		{
			"too large", `{stringData: {a: "` + strings.Repeat("x", 1<<20) + `", b: y}}`,
			invalid + `data: Too long: may not be more than 1048576 bytes`,
		},
		{
			"token of no account", `{type: kubernetes.io/service-account-token}`,
			invalid + `metadata.annotations[kubernetes.io/service-account.name]: Required value`,
		},
		{
			"token", `{type: kubernetes.io/service-account-token, metadata: {annotations: {kubernetes.io/service-account.name: app}}}`,
			"",
		},
		{"dockercfg", `{type: kubernetes.io/dockercfg}`, invalid + `data[.dockercfg]: Required value`},
		{
			"not JSON", `{type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: "}"}}`,
			invalid + `data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid character '}' looking for beginning of value`,
		},
		{
			"nobody", `{type: kubernetes.io/basic-auth}`,
			invalid + `[data[username]: Required value, data[password]: Required value]`,
		},
		{"password alone", `{type: kubernetes.io/basic-auth, stringData: {password: x}}`, ""},
		{"no key", `{type: kubernetes.io/ssh-auth, stringData: {ssh-privatekey: ""}}`, invalid + `data[ssh-privatekey]: Required value`},
		{"certificate alone", `{type: kubernetes.io/tls, stringData: {tls.crt: ""}}`, invalid + `data[tls.key]: Required value`},
	} {
		t.Run(test.name, func(t *testing.T) {
			secret := parse[corev1.Secret](t, test.secret)
			secret.Name = "s"
			got, _ := create(secretStrategy{registry.NamespacedStrategy}, secret)
			diffText(t, "error", got, test.want)
		})
	}
}

func TestSecretWarnsOfUnusableKeyPair(t *testing.T) {
	secret := parse[corev1.Secret](t, `{metadata: {name: s}, type: kubernetes.io/tls, stringData: {tls.crt: x, tls.key: y}}`)
	_, warned := create(secretStrategy{registry.NamespacedStrategy}, secret)
	if len(warned) != 1 || warned[0] != "tls: failed to find any PEM data in certificate input" {
		t.Errorf("warnings: %q", warned)
	}
}

func TestSecretUpdate(t *testing.T) {
	const invalid = `Secret "s" is invalid: `
	for _, test := range []struct{ name, old, secret, want string }{
		{name: "data", old: `{stringData: {a: b}}`, secret: `{stringData: {a: c}}`},
		{name: "type", old: `{}`, secret: `{type: other}`, want: invalid + `type: Invalid value: "other": field is immutable`},
		{
			name: "frozen", old: `{stringData: {a: b}, immutable: true}`, secret: `{stringData: {a: c}}`,
			want: invalid + "[immutable: Forbidden: field is immutable when `immutable` is set, " +
				"data: Forbidden: field is immutable when `immutable` is set]",
		},
		{name: "label of a frozen secret", old: `{stringData: {a: b}, immutable: true}`, secret: `{metadata: {labels: {a: b}}, stringData: {a: b}, immutable: true}`},
		{name: "freeze", old: `{stringData: {a: b}}`, secret: `{stringData: {a: b}, immutable: true}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := secretStrategy{registry.NamespacedStrategy}
			old, secret := parse[corev1.Secret](t, test.old), parse[corev1.Secret](t, test.secret)
			old.Name, secret.Name = "s", "s"
			if got, _ := create(s, old); got != "" {
				t.Fatal(got)
			}
			got, _ := update(s, secret, old)
			diffText(t, "error", got, test.want)
		})
	}
}

// An update from inside the process isn't defaulted, and then no type means the type that is there.
func TestSecretKeepsType(t *testing.T) {
	s := secretStrategy{registry.NamespacedStrategy}
	old := parse[corev1.Secret](t, `{metadata: {name: s}, type: mine}`)
	if got, _ := create(s, old); got != "" {
		t.Fatal(got)
	}
	secret := old.DeepCopy()
	secret.Type = ""
	got, _ := update(s, secret, old)
	diffText(t, "error", got, "")
	diffText(t, "type", string(secret.Type), "mine")
}
