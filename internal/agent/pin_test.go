package agent_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mintmark/mintmark/internal/agent"
)

// TestPin: nothing is sent to a server whose authority does not have the hash, or whose certificate is not from it.
func TestPin(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	address := []net.IP{net.IPv4(127, 0, 0, 1)}
	good := issue(t, ca, &x509.Certificate{IPAddresses: address})
	past, future := time.Now().Add(-3*time.Hour), time.Now().Add(3*time.Hour)
	for name, test := range map[string]struct {
		pin   *authority
		chain []*authority
		want  string
	}{
		"another hash":              {other, []*authority{good, ca}, "has the hash of --ca-cert-hash, so nothing was sent to it"},
		"the hash of the leaf":      {good, []*authority{good, ca}, "has the hash of --ca-cert-hash"},
		"no authority in the chain": {ca, []*authority{good}, "has the hash of --ca-cert-hash"},
		// Anybody can send the certificate of an authority.
		"a certificate of another authority": {ca, []*authority{issue(t, other, &x509.Certificate{IPAddresses: address}), ca}, "is not from the authority"},
		"another host":                       {ca, []*authority{issue(t, ca, &x509.Certificate{DNSNames: []string{"tokens.example.com"}}), ca}, "is for other names"},
		"a clock ahead":                      {ca, []*authority{issue(t, ca, &x509.Certificate{IPAddresses: address, NotBefore: past, NotAfter: past.Add(time.Hour)}), ca}, "the clock of this machine says"},
		"a clock behind":                     {ca, []*authority{issue(t, ca, &x509.Certificate{IPAddresses: address, NotBefore: future, NotAfter: future.Add(time.Hour)}), ca}, "the clock of this machine says"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newRecorder(t, test.chain...)
			state, err := join(t, agent.Config{Server: server.URL, AuthorityHashes: []string{agent.HashAuthority(test.pin.certificate)}})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is\n%v\nwant\n%s", err, test.want)
			}
			server.handshakeOnly(t)
			if kept, err := filepath.Glob(filepath.Join(state, "*")); err != nil || len(kept) > 1 {
				t.Errorf("the state directory holds %v (%v), want nothing but the lock", kept, err)
			}
		})
	}
}

// TestPinHolds: what was pinned at the join holds for later connections, also if the hash is not given again.
func TestPinHolds(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	address := []net.IP{net.IPv4(127, 0, 0, 1)}
	server := newRecorder(t, issue(t, ca, &x509.Certificate{IPAddresses: address}), ca)
	dir := t.TempDir()
	config := agent.Config{
		Server: server.URL, NodeName: "vm1", BootstrapToken: bootstrapToken, RootDir: dir,
		AuthorityHashes: []string{agent.HashAuthority(ca.certificate)},
	}
	// The recorder answers nothing that is of use, so the join doesn't end.
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- agent.Run(ctx, config) }()
	until(t, func() bool {
		server.mu.Lock()
		defer server.mu.Unlock()
		return server.requests > 1
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	// Another server at the same address.
	other := newAuthority(t)
	impostor := newRecorder(t, issue(t, other, &x509.Certificate{IPAddresses: address}), other)
	config.Server, config.AuthorityHashes = impostor.URL, nil
	if err := agent.Run(t.Context(), config); err == nil || !strings.Contains(err.Error(), "is not from the authority in") {
		t.Errorf("the error is %v", err)
	}
	impostor.handshakeOnly(t)
	// The hash of the first one does not bring in the second.
	config.AuthorityHashes = []string{agent.HashAuthority(other.certificate)}
	if err := agent.Run(t.Context(), config); err == nil || !strings.Contains(err.Error(), "one of the two belongs to another server") {
		t.Errorf("the error is %v", err)
	}
}

// TestAuthorityFile: a file takes the place of a hash, and both together have to agree.
func TestAuthorityFile(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	server := newRecorder(t, issue(t, other, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}), other)
	file := filepath.Join(t.TempDir(), "ca.crt")
	writePEM(t, file, ca)
	for name, test := range map[string]struct {
		config agent.Config
		want   string
	}{
		"neither":               {agent.Config{}, "give its hash with --ca-cert-hash"},
		"the file of another":   {agent.Config{AuthorityFile: file}, "is not from the authority"},
		"both, and they differ": {agent.Config{AuthorityFile: file, AuthorityHashes: []string{agent.HashAuthority(other.certificate)}}, "one of the two belongs to another server"},
		"a file that is not":    {agent.Config{AuthorityFile: file + ".none"}, "cannot read the file of --certificate-authority"},
		"no hash":               {agent.Config{AuthorityHashes: []string{"sha256:abc"}}, "--ca-cert-hash must be sha256: and 64 hexadecimal digits"},
		"another algorithm":     {agent.Config{AuthorityHashes: []string{"sha1:" + strings.Repeat("0", 40)}}, "--ca-cert-hash must be sha256:"},
	} {
		t.Run(name, func(t *testing.T) {
			test.config.Server = server.URL
			if _, err := join(t, test.config); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is\n%v\nwant\n%s", err, test.want)
			}
		})
	}
	server.handshakeOnly(t)
}

func writePEM(t *testing.T, file string, a *authority) {
	t.Helper()
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// until waits for a condition.
func until(t *testing.T, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited for a minute")
		}
	}
}

// TestFlags: what is wrong with how an agent is started is said before anything is sent.
func TestFlags(t *testing.T) {
	t.Parallel()
	hash := []string{agent.HashAuthority(newAuthority(t).certificate)}
	for name, test := range map[string]struct {
		config agent.Config
		want   string
	}{
		"no server":                             {agent.Config{AuthorityHashes: hash}, "give it with --server"},
		"plain HTTP":                            {agent.Config{Server: "http://127.0.0.1:1"}, "must be an https URL"},
		"no URL":                                {agent.Config{Server: "127.0.0.1:7443"}, "must be a URL"},
		"a user in the URL":                     {agent.Config{Server: "https://me:secret@127.0.0.1:1"}, "must hold no user"},
		"a bad node name":                       {agent.Config{Server: "https://127.0.0.1:1", NodeName: "VM_1"}, "is no name of a node"},
		"a node name that leaves the directory": {agent.Config{Server: "https://127.0.0.1:1", NodeName: "../vm"}, "is no name of a node"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := join(t, test.config); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("the error is\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}
