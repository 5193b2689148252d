package admission

import (
	"context"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/mintmark/mintmark/internal/certificates"
)

// signingRequests are the requests for certificates.
var signingRequests = certificatesv1.Resource("certificatesigningrequests")

// CertificateApproval is the plugin of that name. Whoever writes certificatesigningrequests/approval needs the verb approve on the
// signer of the stored request, even for a change of metadata.
type CertificateApproval struct {
	// Authorizer says who may approve for which signer.
	Authorizer authorizer.UnconditionalAuthorizer
}

// CertificateSigning is the plugin of that name. Whoever changes conditions or certificate through
// certificatesigningrequests/status needs the verb sign on the signer of the stored request.
type CertificateSigning struct {
	// Authorizer says who may sign for which signer.
	Authorizer authorizer.UnconditionalAuthorizer
}

// CertificateSubjectRestriction is the plugin of that name. It refuses requests for client certificates of the group that may do
// everything.
type CertificateSubjectRestriction struct{}

var (
	_ validator = CertificateApproval{}
	_ validator = CertificateSigning{}
	_ validator = CertificateSubjectRestriction{}
)

type validator interface {
	admission.Interface
	admission.ValidationInterface
}

// Handles reports whether requests of a kind are checked.
func (CertificateApproval) Handles(operation admission.Operation) bool {
	return operation == admission.Update
}

// Validate refuses an approval by a caller who may not approve for the signer.
func (c CertificateApproval) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != signingRequests || a.GetSubresource() != "approval" {
		return nil
	}
	stored, ok := a.GetOldObject().(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return unexpectedRequest(a, a.GetOldObject())
	}
	if maySign(ctx, c.Authorizer, a.GetUserInfo(), "approve", stored.Spec.SignerName) {
		return nil
	}
	return forbidden(a, "user not permitted to approve requests with signerName %q", stored.Spec.SignerName)
}

// Handles reports whether requests of a kind are checked.
func (CertificateSigning) Handles(operation admission.Operation) bool {
	return operation == admission.Update
}

// Validate refuses a certificate or a condition by a caller who may not sign for the signer.
func (c CertificateSigning) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != signingRequests || a.GetSubresource() != "status" {
		return nil
	}
	stored, ok := a.GetOldObject().(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return unexpectedRequest(a, a.GetOldObject())
	}
	csr, ok := a.GetObject().(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return unexpectedRequest(a, a.GetObject())
	}
	if equality.Semantic.DeepEqual(csr.Status, stored.Status) || maySign(ctx, c.Authorizer, a.GetUserInfo(), "sign", stored.Spec.SignerName) {
		return nil
	}
	return forbidden(a, "user not permitted to sign requests with signerName %q", stored.Spec.SignerName)
}

// maySign reports whether a user has a verb on a signer, by its name or by that of all signers of its domain. An authorizer that
// fails has not allowed it.
func maySign(ctx context.Context, authz authorizer.UnconditionalAuthorizer, caller user.Info, verb, signer string) bool {
	domain, _, _ := strings.Cut(signer, "/")
	for _, name := range []string{signer, domain + "/*"} {
		decision, _, err := authz.Authorize(ctx, authorizer.AttributesRecord{
			User: caller, Verb: verb, Name: name,
			APIGroup: certificatesv1.GroupName, APIVersion: "*", Resource: "signers", ResourceRequest: true,
		})
		if err == nil && decision == authorizer.DecisionAllow {
			return true
		}
	}
	return false
}

// Handles reports whether requests of a kind are checked.
func (CertificateSubjectRestriction) Handles(operation admission.Operation) bool {
	return operation == admission.Create
}

// Validate refuses a request in the name of system:masters.
func (CertificateSubjectRestriction) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != signingRequests || a.GetSubresource() != "" {
		return nil
	}
	csr, ok := a.GetObject().(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return unexpectedRequest(a, a.GetObject())
	}
	if csr.Spec.SignerName != certificatesv1.KubeAPIServerClientSignerName {
		return nil
	}
	request, err := certificates.Parse(csr.Spec.Request)
	if err != nil {
		return forbidden(a, "failed to parse CSR: %w", err)
	}
	if slices.Contains(request.Subject.Organization, user.SystemPrivilegedGroup) {
		return forbidden(a, "use of %s signer with %s group is not allowed", csr.Spec.SignerName, user.SystemPrivilegedGroup)
	}
	return nil
}

// admitSigningRequest lets a node ask for certificates of its own name only, as a client and as a server.
func admitSigningRequest(a admission.Attributes) error {
	csr, ok := a.GetObject().(*certificatesv1.CertificateSigningRequest)
	if !ok {
		return forbidden(a, "unexpected type %T", a.GetObject())
	}
	switch csr.Spec.SignerName {
	case certificatesv1.KubeletServingSignerName, certificatesv1.KubeAPIServerClientKubeletSignerName:
	default:
		return nil
	}
	request, err := certificates.Parse(csr.Spec.Request)
	if err != nil {
		return forbidden(a, "unable to parse csr: %w", err)
	}
	if caller := a.GetUserInfo().GetName(); request.Subject.CommonName != caller {
		return forbidden(a, "can only create a node CSR with CN=%s", caller)
	}
	return nil
}

// unexpectedRequest is the error of an object that is no signing request.
func unexpectedRequest(a admission.Attributes, object any) error {
	return forbidden(a, "expected type CertificateSigningRequest, got: %T", object)
}
