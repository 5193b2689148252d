package options

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	apiserverconfig "k8s.io/apiserver/pkg/apis/apiserver"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/yaml"
)

// validateFiles checks the files that flags name. Its errors name flag and file; the library's errors leave out one or the
// other.
func (o *Options) validateFiles() []error {
	c := &o.config
	a := &c.Authentication
	var errs []error
	for _, f := range []struct {
		flag, path string
		check      func(data []byte) error
	}{
		{"client-ca-file", a.ClientCAFile, checkAuthorities},
		{"requestheader-client-ca-file", a.RequestHeader.ClientCAFile, checkAuthorities},
		{"oidc-ca-file", o.issuer.caFile, checkAuthorities},
		{"token-auth-file", a.TokenFile, nil},
		{"authentication-token-webhook-config-file", a.Webhook.KubeconfigFile, checkKubeconfig(a.Webhook.KubeconfigFile)},
		{"audit-webhook-config-file", c.Audit.WebhookOptions.ConfigFile, checkKubeconfig(c.Audit.WebhookOptions.ConfigFile)},
		{"audit-policy-file", c.Audit.PolicyFile, checkObject},
		{"encryption-provider-config", c.Storage.EncryptionProviderConfigFilepath, checkObject},
		{"tracing-config-file", c.Tracing.ConfigFile, checkObjectOrNothing},
	} {
		if f.path == "" {
			continue
		}
		errs = append(errs, fileError(f.flag, f.path, checkFile(f.path, f.check)))
	}
	if path := c.Audit.LogOptions.Path; path != "" && path != "-" {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			errs = append(errs, fileError("audit-log-path", path, errors.New("it is a directory")))
		}
	}
	serving := c.Serving.ServerCert.CertKey
	errs = append(errs, checkKeyPair("tls-cert-file", serving.CertFile, "tls-private-key-file", serving.KeyFile))
	for _, pair := range c.Serving.SNICertKeys {
		errs = append(errs, checkKeyPair("tls-sni-cert-key", pair.CertFile, "tls-sni-cert-key", pair.KeyFile))
	}
	return errs
}

// fileError adds flag and file to an error.
func fileError(flag, path string, err error) error {
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), path):
		return fmt.Errorf("--%s: %w", flag, err)
	}
	return fmt.Errorf("--%s: %w (in the file %s)", flag, err, path)
}

// checkFile reads a file and checks its content. A pipe can be read only once, so it is not read here.
func checkFile(path string, check func(data []byte) error) error {
	if info, err := os.Stat(path); err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeCharDevice) != 0 {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil || check == nil {
		return err
	}
	return check(data)
}

var errEmpty = errors.New("it is empty")

// checkAuthorities accepts a bundle of certificates in PEM.
func checkAuthorities(data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return errEmpty
	}
	if _, err := cert.ParseCertsPEM(data); err != nil {
		return fmt.Errorf("it holds no certificates in PEM (-----BEGIN CERTIFICATE-----): %w", err)
	}
	return nil
}

// checkKubeconfig accepts a kubeconfig that names a server and certificates that can be loaded.
func checkKubeconfig(path string) func([]byte) error {
	return func(data []byte) error {
		if len(bytes.TrimSpace(data)) == 0 {
			return errEmpty
		}
		if err := checkObject(data); err != nil {
			return err
		}
		config, err := webhookutil.LoadKubeconfig(path, nil)
		if err != nil {
			return err
		}
		if _, err := rest.TLSConfigFor(config); err != nil {
			return fmt.Errorf("its certificates can't be used: %w", err)
		}
		return nil
	}
}

// checkObject accepts an API object in YAML or JSON.
func checkObject(data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return errEmpty
	}
	var object runtime.TypeMeta
	if err := yaml.Unmarshal(data, &object); err != nil {
		return errors.New("it is no object in YAML or JSON, with apiVersion and kind")
	}
	return nil
}

func checkObjectOrNothing(data []byte) error {
	if err := checkObject(data); !errors.Is(err, errEmpty) {
		return err
	}
	return nil
}

// checkWebhooks checks the kubeconfigs that authorizers are called with.
func (f *authorizationFlags) checkWebhooks(authorizers []apiserverconfig.AuthorizerConfiguration) []error {
	flag := webhookConfigFlag
	if f.configFile != "" {
		flag = configFlag
	}
	var errs []error
	for _, a := range authorizers {
		if a.Webhook != nil && a.Webhook.ConnectionInfo.KubeConfigFile != nil {
			path := *a.Webhook.ConnectionInfo.KubeConfigFile
			errs = append(errs, fileError(flag, path, checkFile(path, checkKubeconfig(path))))
		}
	}
	return errs
}

// checkKeyPair refuses a certificate and a key that can't be read or do not belong together.
func checkKeyPair(certFlag, certFile, keyFlag, keyFile string) error {
	if certFile == "" || keyFile == "" {
		return nil
	}
	var certificate, key []byte
	if err := fileError(certFlag, certFile, checkFile(certFile, func(data []byte) error {
		certificate = data
		return checkAuthorities(data)
	})); err != nil {
		return err
	}
	if err := fileError(keyFlag, keyFile, checkFile(keyFile, func(data []byte) error {
		key = data
		return checkEncrypted(data)
	})); err != nil || certificate == nil || key == nil {
		return err
	}
	if _, err := tls.X509KeyPair(certificate, key); err != nil {
		return fmt.Errorf("--%s and --%s: %w (in the files %s and %s)", certFlag, keyFlag, err, certFile, keyFile)
	}
	return nil
}

// checkEncrypted refuses a key that only a passphrase opens.
func checkEncrypted(data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return errEmpty
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return errors.New("the key is encrypted, and the server asks for no passphrase: decrypt it with 'openssl pkey -in OLD -out NEW', into a file that only the server may read")
		}
	}
}
