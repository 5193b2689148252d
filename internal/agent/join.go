package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/util/keyutil"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"
	"k8s.io/klog/v2"
)

// askAdministrator is the way out of a join that was refused.
const askAdministrator = "an administrator makes a new bootstrap token with 'mintmark node add"

const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// join finds the server and has the agent hold a client certificate: that of the state directory, else a new one for the
// bootstrap token.
func (a *Agent) join(ctx context.Context) error {
	certificate, err := a.state.certificate()
	if err != nil {
		return err
	}
	if err := a.nameNode(certificate); err != nil {
		return err
	}
	server, err := a.findServer()
	if err != nil {
		return err
	}
	authorities, err := a.findAuthorities(ctx, server)
	if err != nil {
		return err
	}
	c, err := newConnection(server, authorities, a.config.UserAgent, a.clock)
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.connection = c
	a.mu.Unlock()
	if usable, err := a.usable(ctx, certificate); err != nil {
		return err
	} else if !usable {
		if certificate, err = a.bootstrap(ctx); err != nil {
			return err
		}
	}
	a.connection.use(certificate)
	return a.state.keepServer(server, a.node)
}

// nameNode settles the name of the node: that of the certificate, else the one given.
func (a *Agent) nameNode(certificate *tls.Certificate) error {
	a.node = a.config.NodeName
	if certificate != nil {
		kept := nodeOf(certificate)
		if a.node != "" && a.node != kept {
			return fmt.Errorf("the state directory %s belongs to the node %s, and --node-name is %s: name another directory with --state-dir, or leave --node-name out", a.state.Path(""), kept, a.node)
		}
		a.node = kept
	}
	if a.node == "" {
		return errors.New("the name of the node is missing: give it with --node-name, as 'mintmark node add NAME' prints it")
	}
	if problems := validation.IsDNS1123Subdomain(a.node); len(problems) > 0 {
		return fmt.Errorf("--node-name %q is no name of a node: %s", a.node, strings.Join(problems, "; "))
	}
	return nil
}

// findServer returns the server that is given, else that of the last join.
func (a *Agent) findServer() (*url.URL, error) {
	if a.config.Server != "" {
		return parseServer(a.config.Server)
	}
	server, err := a.state.server()
	if err == nil && server == nil {
		err = errors.New("the server is missing: give it with --server, as 'mintmark node add' prints it")
	}
	return server, err
}

// findAuthorities returns the authorities by which the server is known: those of the last join, those of a file, or the one that the
// server presents, if it has a pinned hash.
func (a *Agent) findAuthorities(ctx context.Context, server *url.URL) ([]byte, error) {
	pins, err := parsePins(a.config.AuthorityHashes)
	if err != nil {
		return nil, err
	}
	kept, err := a.state.Read(authorityFile)
	if err != nil {
		return nil, err
	}
	given, source := kept, a.state.Path(authorityFile)
	if a.config.AuthorityFile != "" {
		source = a.config.AuthorityFile
		if given, err = os.ReadFile(source); err != nil {
			return nil, fmt.Errorf("cannot read the file of --certificate-authority: %w", err)
		}
	}
	switch {
	case given != nil:
		err = checkAuthority(given, pins, source)
	case len(pins) == 0:
		return nil, errors.New("the server's certificate authority is not known here: give its hash with --ca-cert-hash, as 'mintmark node add' prints it, or its file with --certificate-authority")
	default:
		err = a.patiently(ctx, func() error {
			given, err = fetchAuthority(ctx, server, pins, a.clock.Now)
			return a.explainTLS(server, err)
		})
	}
	if err != nil || sameAuthorities(given, kept) {
		return given, err
	}
	return given, a.state.Write(authorityFile, given)
}

// usable reports whether the kept certificate will do. The server is asked if there is a bootstrap token, so that a node which was
// removed and added again joins anew, and if the certificate has ended by the clock of this machine, which may be wrong.
func (a *Agent) usable(ctx context.Context, certificate *tls.Certificate) (bool, error) {
	token := a.config.BootstrapToken != ""
	if certificate == nil && !token {
		return false, fmt.Errorf("this node has not joined yet: start the agent with --bootstrap-token; %s %s'", askAdministrator, a.node)
	}
	if certificate == nil {
		return false, nil
	}
	over := ended(certificate, a.clock.Now())
	if !over && !token {
		return true, nil
	}
	a.connection.use(certificate)
	client, err := a.connection.client()
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err = client.CoreV1().Nodes().Get(ctx, a.node, metav1.GetOptions{})
	// A node that was not registered is not found; other errors, such as 503, tell nothing of the certificate.
	accepted := err == nil || apierrors.IsNotFound(err) || apierrors.IsForbidden(err)
	if over && !token && !accepted {
		return false, fmt.Errorf("the certificate of this node ended at %s, so it has to join again: %s %s --rejoin' (if the clock of this machine is right)",
			certificate.Leaf.NotAfter.Format(time.RFC3339), askAdministrator, a.node)
	}
	return accepted || !over && !apierrors.IsUnauthorized(err), nil
}

// bootstrap gets the first certificate for the bootstrap token.
func (a *Agent) bootstrap(ctx context.Context) (*tls.Certificate, error) {
	token := a.config.BootstrapToken
	id, _, ok := strings.Cut(token, ".")
	if !ok || !bootstraputil.IsValidBootstrapToken(token) {
		return nil, errors.New("the bootstrap token is not one: it has six characters, a dot and sixteen characters, of a to z and 0 to 9, as 'mintmark node add' prints it")
	}
	a.connection.use(nil)
	client, err := a.connection.bootstrapClient(token)
	if err != nil {
		return nil, err
	}
	key, err := a.joinKey()
	if err != nil {
		return nil, err
	}
	public, err := spki(key)
	if err != nil {
		return nil, err
	}
	// The name follows from the key and the token, so an agent that was killed finds its request again.
	sum := sha256.Sum256(append(public, id+"/"+a.node...))
	request := &certificateRequest{client: client, clock: a.clock, node: a.node, key: key, name: "node-csr-" + base64.RawURLEncoding.EncodeToString(sum[:])}
	klog.FromContext(ctx).Info("Joining", "server", a.connection.server.String(), "node", a.node)
	var pair []byte
	if err := a.patiently(ctx, func() error {
		pair, err = request.pairPEM(ctx)
		return a.explainJoin(err)
	}); err != nil {
		return nil, err
	}
	if err := a.state.Write(certificateFile, pair); err != nil {
		return nil, fmt.Errorf("the certificate of this node can't be kept: %w", err)
	}
	a.connection.close()
	certificate, err := tls.X509KeyPair(pair, pair)
	return &certificate, errors.Join(err, a.state.Remove(joinKeyFile))
}

// joinKey returns the key of an earlier try, else a new one, which is kept before it is used.
func (a *Agent) joinKey() (*ecdsa.PrivateKey, error) {
	data, err := a.state.Read(joinKeyFile)
	if err != nil {
		return nil, err
	}
	if data != nil {
		key, err := parseKey(data)
		if err != nil {
			return nil, a.state.damaged(joinKeyFile, err)
		}
		return key, nil
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	if data, err = keyutil.MarshalPrivateKeyToPEM(key); err != nil {
		return nil, err
	}
	if err := a.state.Write(joinKeyFile, data); err != nil {
		return nil, fmt.Errorf("the key of this node can't be kept: %w", err)
	}
	return key, nil
}

// patiently repeats a step of the join until it ends in success or in a refusal: a server that is away, or that can't answer now,
// may come back. With --once it is tried for oncePatience.
func (a *Agent) patiently(ctx context.Context, step func() error) error {
	began := a.clock.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := step()
		if refused := (*refusedError)(nil); err == nil || errors.As(err, &refused) || ctx.Err() != nil {
			return err
		}
		if a.config.Once && a.clock.Since(began) >= oncePatience {
			return fmt.Errorf("given up after %s: %w", oncePatience, err)
		}
		klog.FromContext(ctx).Info("The join is tried again", "reason", err.Error(), "in", pause)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.clock.After(pause):
		}
	}
}
