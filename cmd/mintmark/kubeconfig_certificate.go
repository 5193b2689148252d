package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	certificatesv1client "k8s.io/client-go/kubernetes/typed/certificates/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/retry"
)

const (
	// signingPoll is how often the request is read until it is signed.
	signingPoll = 200 * time.Millisecond
	// shorter is how much earlier than asked a certificate ends without a remark: signers count from some minutes ago.
	shorter = 10 * time.Minute
)

// signing is a CertificateSigningRequest on its way.
type signing struct {
	*pendingRequest
	server   *connection
	requests certificatesv1client.CertificateSigningRequestInterface
}

// forUser writes a kubeconfig with a client certificate. Its steps can be taken again from the start: a request that was sent
// is found by its name, and one that is approved is not approved again.
func (c *kubeconfigCreate) forUser(cmd *cobra.Command, s streams, made *newKubeconfig, name string) error {
	client, err := certificatesv1client.NewForConfig(made.server.config)
	if err != nil {
		return fmt.Errorf("cannot use the kubeconfig %s: %w", made.server.source, err)
	}
	pending, err := pendingFor(made.dir, made.file, name, c.groups)
	if err != nil {
		return err
	}
	request := &signing{pendingRequest: pending, server: made.server, requests: client.CertificateSigningRequests()}
	ctx, cancel := context.WithTimeout(cmd.Context(), requestTimeout)
	defer cancel()
	sent, err := request.send(ctx, c.duration)
	if err != nil {
		return err
	}
	if asked := sent.Spec.ExpirationSeconds; cmd.Flags().Changed("duration") && asked != nil && time.Duration(*asked)*time.Second != c.duration {
		return fmt.Errorf("the request %s is for %s: leave --duration out, or delete %s to begin anew", sent.Name, time.Duration(*asked)*time.Second, pending.path())
	}
	if err := request.approve(ctx, sent); err != nil {
		return err
	}
	signed, err := request.await(ctx)
	if err != nil {
		return err
	}
	certificate, err := pending.check(signed)
	if err != nil {
		return err
	}
	if err := made.write(name, "", &clientcmdapi.AuthInfo{ClientCertificateData: signed, ClientKeyData: pending.keyPEM}); err != nil {
		return err
	}
	if err := pending.over(); err != nil {
		return err
	}
	if certificate.NotAfter.Before(time.Now().Add(c.duration - shorter)) {
		_, _ = fmt.Fprintf(s.err, "Warning: the server signs for a shorter time than asked, until %s.\n", at(certificate.NotAfter)) // a closed terminal can't be told
	}
	_, err = fmt.Fprintln(s.out, plain(fmt.Sprintf("Wrote %s: %s, until %s.", made.path(), told(name, c.groups), at(certificate.NotAfter))))
	return err
}

// send creates the request, or finds it.
func (r *signing) send(ctx context.Context, life time.Duration) (*certificatesv1.CertificateSigningRequest, error) {
	seconds := int32(life / time.Second)
	sent, err := r.requests.Create(ctx, &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: r.name()},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:           r.pem(),
			SignerName:        certificatesv1.KubeAPIServerClientSignerName,
			Usages:            []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth},
			ExpirationSeconds: &seconds,
		},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		if sent, err = r.requests.Get(ctx, r.name(), metav1.GetOptions{}); err == nil &&
			(!bytes.Equal(sent.Spec.Request, r.pem()) || sent.Spec.SignerName != certificatesv1.KubeAPIServerClientSignerName) {
			return nil, fmt.Errorf("the server has another request of the name %s: delete %s to begin anew", r.name(), r.path())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("failed to request a certificate: %w", r.server.explain(ctx, err))
	}
	return sent, nil
}

// approve approves the request, unless somebody has decided. A caller that may not is told who types what.
func (r *signing) approve(ctx context.Context, sent *certificatesv1.CertificateSigningRequest) error {
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if condition(sent, certificatesv1.CertificateApproved) != nil || condition(sent, certificatesv1.CertificateDenied) != nil {
			return nil
		}
		sent.Status.Conditions = append(sent.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
			Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue,
			Reason: "MintmarkApprove", Message: "This CSR was approved by mintmark kubeconfig create.", LastUpdateTime: metav1.Now(),
		})
		_, err := r.requests.UpdateApproval(ctx, sent.Name, sent, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			now, getErr := r.requests.Get(ctx, sent.Name, metav1.GetOptions{})
			if getErr != nil {
				return getErr
			}
			sent = now
		}
		return err
	})
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("the request %s waits for approval, and you may not approve it (%w). Somebody who may has to type:\n"+
			"  kubectl certificate approve %s\nThen, within the hour, type this command again: it goes on with the key in %s", sent.Name, err, sent.Name, r.path())
	case err != nil:
		return fmt.Errorf("failed to approve the request %s: %w", sent.Name, r.server.explain(ctx, err))
	}
	return nil
}

// await returns the certificate when it is signed.
func (r *signing) await(ctx context.Context) ([]byte, error) {
	var now *certificatesv1.CertificateSigningRequest
	err := wait.PollUntilContextCancel(ctx, signingPoll, true, func(ctx context.Context) (bool, error) {
		read, err := r.requests.Get(ctx, r.name(), metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		now = read
		return len(now.Status.Certificate) > 0 || condition(now, certificatesv1.CertificateDenied) != nil || condition(now, certificatesv1.CertificateFailed) != nil, nil
	})
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && now != nil {
		return nil, fmt.Errorf("the request %s is approved, but was not signed within %s: a server has to run the certificatesigningrequest-signing-controller (--controllers). "+
			"Type this command again to go on", r.name(), requestTimeout)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to read the request %s: %w", r.name(), r.server.explain(ctx, err))
	}
	for kind, word := range map[certificatesv1.RequestConditionType]string{certificatesv1.CertificateDenied: "denied", certificatesv1.CertificateFailed: "not signed"} {
		if reason := condition(now, kind); reason != nil {
			return nil, errors.Join(fmt.Errorf("the request %s was %s (%s): %s", r.name(), word, reason.Reason, reason.Message), r.over())
		}
	}
	return now.Status.Certificate, nil
}

// condition returns a condition of a request, or nil.
func condition(request *certificatesv1.CertificateSigningRequest, kind certificatesv1.RequestConditionType) *certificatesv1.CertificateSigningRequestCondition {
	for i := range request.Status.Conditions {
		if request.Status.Conditions[i].Type == kind {
			return &request.Status.Conditions[i]
		}
	}
	return nil
}
