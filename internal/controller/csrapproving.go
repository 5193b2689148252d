package controller

import (
	"context"
	"fmt"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/certificates"
)

const (
	// soonestReview and latestReview bound how long a recognized request waits for the next access review of its requester.
	soonestReview, latestReview = 200 * time.Millisecond, 1000 * time.Second
	// nodeTokenRefused is the reason why a request by a bootstrap token for one node is denied.
	nodeTokenRefused = "BootstrapTokenRefused"
)

// newApprovingController makes the certificatesigningrequest-approving-controller. It approves the requests of nodes for client
// certificates if their requesters have the permission. It denies requests that a bootstrap token for one node is not
// good for. All other requests are left to people.
func newApprovingController(cfg Config) func(context.Context) {
	return newRequestController(cfg, func(record certificates.Record) bool { return record.Undecided }, certificates.Undecided, cfg.decide)
}

// decide approves a request, denies it or leaves it as it is.
func (cfg Config) decide(ctx context.Context, csr *certificatesv1.CertificateSigningRequest) (time.Duration, error) {
	request, err := certificates.Parse(csr.Spec.Request)
	if err != nil {
		return 0, nil //nolint:nilerr // the API does not store a request that can't be read
	}
	token, err := cfg.nodeTokenOf(ctx, csr)
	if err != nil {
		return 0, err
	}
	if refused := token.check(csr, request, cfg.Now()); refused != nil {
		return 0, cfg.conclude(ctx, csr, certificatesv1.CertificateDenied, nodeTokenRefused, refused.Error())
	}
	recognized := certificates.Recognize(csr, request)
	for _, r := range recognized {
		if !cfg.permits(ctx, csr, r.Subresource) {
			continue
		}
		refused, err := cfg.claim(ctx, token, request)
		switch {
		case err != nil:
			return 0, err
		case refused != nil:
			return 0, cfg.conclude(ctx, csr, certificatesv1.CertificateDenied, nodeTokenRefused, refused.Error())
		}
		return 0, cfg.conclude(ctx, csr, certificatesv1.CertificateApproved, certificates.AutoApproved, r.Message)
	}
	if len(recognized) == 0 {
		return 0, nil
	}
	// The permission may come. The pauses double.
	requestLogger(ctx, csr).V(4).Info("The requester may not have its request approved without a person")
	return min(max(cfg.Now().Sub(csr.CreationTimestamp.Time), soonestReview), latestReview), nil
}

// permits reports whether the requester may create a subresource of certificatesigningrequests.
func (cfg Config) permits(ctx context.Context, csr *certificatesv1.CertificateSigningRequest, subresource string) bool {
	requester := &user.DefaultInfo{Name: csr.Spec.Username, UID: csr.Spec.UID, Groups: csr.Spec.Groups}
	if len(csr.Spec.Extra) > 0 {
		requester.Extra = map[string][]string{}
		for key, values := range csr.Spec.Extra {
			requester.Extra[key] = values
		}
	}
	return authz.Review(ctx, cfg.Certificates.Authorizer, authz.Question{User: requester, Resource: &authorizationv1.ResourceAttributes{
		Group: certificatesv1.GroupName, Version: "*", Resource: "certificatesigningrequests", Subresource: subresource, Verb: "create",
	}}).Allowed
}

// conclude adds a condition to a request, if it is still the version that was read.
func (cfg Config) conclude(ctx context.Context, csr *certificatesv1.CertificateSigningRequest, kind certificatesv1.RequestConditionType, reason, message string) error {
	csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: kind, Status: corev1.ConditionTrue, Reason: reason, Message: message,
	})
	if _, err := cfg.Client.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, csr.Name, csr, metav1.UpdateOptions{}); err != nil {
		return ignoreNotFound(err)
	}
	requestLogger(ctx, csr).V(2).Info(fmt.Sprintf("%s a certificate signing request", kind), "reason", reason, "message", message)
	return nil
}
