package options_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/options"
)

func parse(t *testing.T, args ...string) (apiserver.Config, error) {
	t.Helper()
	opts := options.New()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	groups := opts.Flags()
	for _, name := range groups.Order {
		flags.AddFlagSet(groups.FlagSets[name])
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return opts.Config()
}

func TestDefaults(t *testing.T) {
	cfg, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Serving.BindAddress.String(); got != "127.0.0.1" {
		t.Errorf("listens on %s", got)
	}
	if cfg.Serving.BindPort != 7443 {
		t.Errorf("listens on port %d", cfg.Serving.BindPort)
	}
	if diff := cmp.Diff(apiserver.Tokens{Lookup: true, SigningKeyLead: 24 * time.Hour}, cfg.Tokens); diff != "" {
		t.Errorf("tokens:\n%s", diff)
	}
	if len(cfg.Storage.StorageConfig.Transport.ServerList) != 0 {
		t.Error("there is an external etcd")
	}
	if !cfg.Authentication.Anonymous || !cfg.Authentication.PublicIssuer || !cfg.Authentication.BootstrapTokens {
		t.Errorf("authentication: %+v", cfg.Authentication)
	}
	if !cfg.NodeRestriction {
		t.Error("NodeRestriction is off")
	}
}

// New has the one place for defaults: to add the flags changes none.
func TestOneDefault(t *testing.T) {
	before, err := options.New().Config()
	if err != nil {
		t.Fatal(err)
	}
	after, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	// The options of the library, whose flags have their defaults from the fields, hold functions.
	for _, cfg := range []*apiserver.Config{&before, &after} {
		cfg.Server, cfg.Serving, cfg.Storage, cfg.Audit, cfg.Tracing = nil, nil, nil, nil, nil
	}
	if diff := cmp.Diff(before, after, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestControllers(t *testing.T) {
	for list, want := range map[string]sets.Set[string]{
		"*":                                   sets.New(controller.Names()...),
		"":                                    {},
		"namespace-controller":                sets.New("namespace-controller"),
		"*,-pod-garbage-collector-controller": sets.New(controller.Names()...).Delete("pod-garbage-collector-controller"),
	} {
		cfg, err := parse(t, "--controllers="+list)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sets.List(want), sets.List(cfg.Controllers)); diff != "" {
			t.Errorf("--controllers=%s:\n%s", list, diff)
		}
	}
}

func TestRefused(t *testing.T) {
	for flags, want := range map[string]string{
		"--service-account-issuer=":                             "service-account-issuer should not be an empty string",
		"--service-account-issuer=a --service-account-issuer=a": `service-account-issuer "a" is already specified`,
		"--service-account-issuer=:a":                           `service-account-issuer ":a" contained a ':' but was not a valid URL`,
		"--service-account-max-token-expiration=59m":            "the service-account-max-token-expiration must be between 1 hour and 2^32 seconds",
		"--service-account-jwks-uri=http://a":                   "service-account-jwks-uri requires https scheme, parsed as: http://a",
		"--service-account-key-file=a":                          "give the signing key, too",
		"--data-dir=":                                           "--data-dir must name a directory",
		"--tls-private-key-file=a":                              "--tls-cert-file and --tls-private-key-file go together",
		"--event-ttl=-1s":                                       "the store counts in whole seconds",
		"--event-ttl=1500ms":                                    "the store counts in whole seconds",
		"--etcd-cafile=a":                                       "for an external etcd",
		"--controllers=-nobody":                                 `"nobody" is not a controller; the controllers are`,
		"--encryption-provider-config-automatic-reload=true":    "must be set with --encryption-provider-config",
		"--max-requests-inflight=-1":                            "--max-requests-inflight can not be negative value",
	} {
		_, err := parse(t, strings.Fields(flags)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", flags, err, want)
		}
	}
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	_, err := parse(t, "--data-dir=", "--service-account-issuer=", "--controllers=nobody")
	for _, want := range []string{"--data-dir", "service-account-issuer", "nobody"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not speak of %s", err, want)
		}
	}
}

func TestLimits(t *testing.T) {
	cfg, err := parse(t, "--service-account-max-token-expiration=1h", "--service-account-issuer=kubernetes/serviceaccount", "--api-audiences=a,b")
	if err != nil {
		t.Fatal(err)
	}
	want := apiserver.Tokens{
		SigningKeyLead: 24 * time.Hour,
		Issuers:        []string{"kubernetes/serviceaccount"}, APIAudiences: []string{"a", "b"}, Lookup: true, MaxExpiration: time.Hour,
	}
	if diff := cmp.Diff(want, cfg.Tokens); diff != "" {
		t.Error(diff)
	}
}

func TestAuthorizationModes(t *testing.T) {
	for _, test := range []struct {
		args []string
		want []string
		err  string
	}{
		{want: []string{"Node", "RBAC"}},
		{args: []string{"--authorization-mode=RBAC"}, want: []string{"RBAC"}},
		{args: []string{"--authorization-mode=Node,RBAC"}, want: []string{"Node", "RBAC"}},
		{args: []string{"--authorization-mode=AlwaysAllow"}, want: []string{"AlwaysAllow"}},
		{args: []string{"--authorization-mode=AlwaysAllow", "--bind-address=::1"}, want: []string{"AlwaysAllow"}},
		{args: []string{"--authorization-mode=AlwaysAllow", "--bind-address=0.0.0.0"}, err: "say it twice"},
		{args: []string{"--authorization-mode=RBAC,AlwaysAllow", "--bind-address=192.0.2.1"}, err: "say it twice"},
		{args: []string{"--authorization-mode=AlwaysAllow,AlwaysAllow", "--bind-address=0.0.0.0"}, want: []string{"AlwaysAllow"}},
		{args: []string{"--authorization-mode=RBAC,RBAC"}, err: `Duplicate value: "RBAC"`},
		{args: []string{"--authorization-mode=ABAC"}, err: "ABAC is not supported"},
		{args: []string{"--authorization-mode=Chaos"}, err: `Unsupported value: "Chaos"`},
		{args: []string{"--authorization-mode=Webhook"}, err: "config file not passed"},
		{args: []string{"--authorization-webhook-config-file=x"}, err: "without mode Webhook"},
		{args: []string{"--authorization-config=x", "--authorization-mode=Node"}, err: "can not be specified when"},
		{args: []string{"--authorization-config=/nowhere"}, err: "no such file"},
		{args: []string{"--authorization-config=x", "--authorization-mode=Node,RBAC"}, err: "can not be specified when"},
		{args: []string{"--authorization-config=x", "--authorization-webhook-version=v1beta1"}, err: "can not be specified when"},
	} {
		cfg, err := parse(t, test.args...)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%v: %v", test.args, err)
			}
			continue
		}
		var got []string
		for _, a := range cfg.Authorizers {
			got = append(got, string(a.Type))
		}
		if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
			t.Errorf("%v: %v\n%s", test.args, err, diff)
		}
	}
}

// NodeRestriction is on unless it is turned off; plugins that don't exist, or that are in both lists, are refused.
func TestAdmissionPlugins(t *testing.T) {
	for _, test := range []struct {
		args []string
		off  bool
		err  string
	}{
		{},
		{args: []string{"--enable-admission-plugins=NodeRestriction,NamespaceLifecycle"}},
		{args: []string{"--enable-admission-plugins="}},
		{args: []string{"--authorization-mode=RBAC"}},
		{args: []string{"--disable-admission-plugins=NodeRestriction"}, off: true},
		{args: []string{"--enable-admission-plugins=ServiceAccount"}, err: `enable-admission-plugins plugin "ServiceAccount" is unknown`},
		{args: []string{"--disable-admission-plugins=noderestriction"}, err: `disable-admission-plugins plugin "noderestriction" is unknown`},
		{args: []string{"--enable-admission-plugins=CertificateApproval,CertificateSigning,CertificateSubjectRestriction"}},
		{args: []string{"--disable-admission-plugins=CertificateSubjectRestriction"}, err: `plugin "CertificateSubjectRestriction" can't be turned off`},
		{args: []string{"--disable-admission-plugins=NamespaceLifecycle"}, err: `disable-admission-plugins plugin "NamespaceLifecycle" can't be turned off`},
		{
			args: []string{"--enable-admission-plugins=NodeRestriction", "--disable-admission-plugins=NodeRestriction"},
			err:  "[NodeRestriction] in enable-admission-plugins and disable-admission-plugins overlapped",
		},
	} {
		cfg, err := parse(t, test.args...)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%v: error %v, want %q", test.args, err, test.err)
			}
			continue
		}
		if err != nil || cfg.NodeRestriction == test.off {
			t.Errorf("%v: NodeRestriction %v, error %v", test.args, cfg.NodeRestriction, err)
		}
	}
}

func TestAuthorizationConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "authorization.yaml")
	text := `apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- {type: Node, name: node}
- {type: AlwaysAllow, name: everything}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := parse(t, "--authorization-config="+file)
	if err != nil || len(cfg.Authorizers) != 2 || cfg.Authorizers[1].Name != "everything" {
		t.Errorf("%v, %v", cfg.Authorizers, err)
	}
	if _, err := parse(t, "--authorization-config="+file, "--bind-address=0.0.0.0"); err == nil {
		t.Error("everything is allowed to everybody")
	}
}

// TestRotationPeriod refuses periods that leave no time for a lead, and one for keys that are not the server's.
func TestRotationPeriod(t *testing.T) {
	for flags, words := range map[string]string{
		"--signing-key-rotation-period=1h":                                            "twice --signing-key-lead-time",
		"--signing-key-rotation-period=5m --signing-key-lead-time=1s":                 "at least 10m0s",
		"--signing-key-rotation-period=-1h":                                           "must be 0, or at least",
		"--signing-key-rotation-period=720h --service-account-signing-key-file=x.key": "it manages none",
	} {
		if _, err := parse(t, strings.Fields(flags)...); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", flags, err)
		}
	}
	if cfg, err := parse(t, "--signing-key-rotation-period=720h"); err != nil || cfg.Tokens.SigningKeyRotation != 720*time.Hour {
		t.Errorf("%v, %v", cfg.Tokens.SigningKeyRotation, err)
	}
}
