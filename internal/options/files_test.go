package options_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every flag that names a file says so, with the file, if the file is no good.
func TestFilesThatAreNoGood(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("empty", "")
	write("garbage", "garbage\n")
	if err := os.Mkdir(filepath.Join(dir, "directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	const all, readable = "missing directory empty garbage", "missing directory"
	for flag, test := range map[string]struct{ also, contents string }{
		"client-ca-file":                           {contents: all},
		"requestheader-client-ca-file":             {contents: all},
		"token-auth-file":                          {contents: readable},
		"authentication-config":                    {contents: all},
		"authentication-token-webhook-config-file": {contents: all},
		"oidc-ca-file":                             {contents: all, also: "--oidc-issuer-url=https://a --oidc-client-id=b"},
		"authorization-config":                     {contents: all},
		"authorization-webhook-config-file":        {contents: "empty garbage", also: "--authorization-mode=Webhook"},
		"encryption-provider-config":               {contents: all},
		"audit-policy-file":                        {contents: all},
		"audit-webhook-config-file":                {contents: all},
		"audit-log-path":                           {contents: "directory"},
		"tracing-config-file":                      {contents: "directory garbage"},
	} {
		for _, content := range strings.Fields(test.contents) {
			path := filepath.Join(dir, content)
			_, err := parse(t, append(strings.Fields(test.also), "--"+flag+"="+path)...)
			if err == nil || !strings.Contains(err.Error(), "--"+flag) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "Go value") {
				t.Errorf("--%s, %s: error %v, want it to name flag and file", flag, content, err)
			}
		}
	}
}

// A pair of files names the one that is no good, and what is wrong with it.
func TestKeyPairsThatAreNoGood(t *testing.T) {
	keys := filepath.Join("..", "signingkey", "testdata", "keys")
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	certificate, key := filepath.Join(keys, "ec-certificate.pem"), filepath.Join(keys, "ec-sec1.pem")
	for name, test := range map[string]struct{ certificate, key, flag, file, want string }{
		"no certificate":        {garbage, key, "--tls-cert-file", garbage, "holds no certificates in PEM"},
		"a missing certificate": {garbage + "s", key, "--tls-cert-file", garbage + "s", "no such file"},
		"no key":                {certificate, garbage, "--tls-private-key-file", garbage, "failed to find any PEM data in key input"},
		"a directory":           {certificate, keys, "--tls-private-key-file", keys, "is a directory"},
		"an encrypted key":      {certificate, filepath.Join(keys, "ec-pkcs8-encrypted.pem"), "--tls-private-key-file", "ec-pkcs8-encrypted.pem", "is encrypted, and the server asks for no passphrase"},
		"an encrypted old key":  {certificate, filepath.Join(keys, "rsa-pkcs1-encrypted.pem"), "--tls-private-key-file", "rsa-pkcs1-encrypted.pem", "is encrypted"},
		"another's key":         {certificate, filepath.Join(keys, "rsa-pkcs8.pem"), "--tls-private-key-file", "rsa-pkcs8.pem", "does not match"},
	} {
		_, err := parse(t, "--tls-cert-file="+test.certificate, "--tls-private-key-file="+test.key)
		for _, want := range []string{test.flag, test.file, test.want} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q in it", name, err, want)
			}
		}
		if _, err := parse(t, "--tls-sni-cert-key="+test.certificate+","+test.key); err == nil || !strings.Contains(err.Error(), "--tls-sni-cert-key") || !strings.Contains(err.Error(), test.file) {
			t.Errorf("%s: error %v, want --tls-sni-cert-key and %s in it", name, err, test.file)
		}
	}
	if _, err := parse(t, "--tls-cert-file="+certificate, "--tls-private-key-file="+key); err != nil {
		t.Error(err)
	}
}

// A kubeconfig whose certificates can't be used is named, wherever it is for.
func TestKubeconfigsWithoutAuthority(t *testing.T) {
	const kubeconfig = `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],
users: [{name: u, user: {}}], clusters: [{name: c, cluster: {server: "https://127.0.0.1:1", AUTHORITY}}]}`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, authority := range []string{"certificate-authority-data: Z2FyYmFnZQ==", "certificate-authority: ca.pem", "certificate-authority: none.pem"} {
		path := filepath.Join(dir, "kubeconfig")
		if err := os.WriteFile(path, []byte(strings.Replace(kubeconfig, "AUTHORITY", authority, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		config := filepath.Join(dir, "authorization.yaml")
		if err := os.WriteFile(config, []byte(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- type: Webhook
  name: hook
  webhook: {timeout: 3s, subjectAccessReviewVersion: v1, matchConditionSubjectAccessReviewVersion: v1, failurePolicy: Deny, authorizedTTL: 1s, unauthorizedTTL: 1s,
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: `+path+`}}
`), 0o600); err != nil {
			t.Fatal(err)
		}
		for flag, args := range map[string][]string{
			"--authentication-token-webhook-config-file": {"--authentication-token-webhook-config-file=" + path},
			"--audit-webhook-config-file":                {"--audit-webhook-config-file=" + path},
			"--authorization-webhook-config-file":        {"--authorization-webhook-config-file=" + path, "--authorization-mode=Webhook"},
			"--authorization-config":                     {"--authorization-config=" + config},
		} {
			_, err := parse(t, args...)
			if err == nil || !strings.Contains(err.Error(), flag) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s, %s: error %v, want it to name flag and file", flag, authority, err)
			}
		}
	}
}
