package audittrail

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/audit"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

func TestNoteRevoked(t *testing.T) {
	before := metav1.NewTime(time.Date(2026, 5, 4, 5, 2, 1, 0, time.FixedZone("", 7200)))
	const prefix = "authentication.mintmark.io/revoked-"
	for name, test := range map[string]struct {
		spec v1alpha1.TokenRevocationSpec
		want map[string]string
	}{
		"bare id":         {v1alpha1.TokenRevocationSpec{CredentialID: "one"}, map[string]string{prefix + "credential-id": "JTI=one"}},
		"id":              {v1alpha1.TokenRevocationSpec{CredentialID: "JTI=one"}, map[string]string{prefix + "credential-id": "JTI=one"}},
		"id of an issuer": {v1alpha1.TokenRevocationSpec{CredentialID: "one", Issuer: "https://i"}, map[string]string{prefix + "credential-id": "JTI=one", prefix + "issuer": "https://i"}},
		"hash":            {v1alpha1.TokenRevocationSpec{TokenHash: "AB01"}, map[string]string{prefix + "credential-id": "SHA256=ab01"}},
		"account": {
			v1alpha1.TokenRevocationSpec{ServiceAccount: &v1alpha1.ServiceAccountReference{Namespace: "ns", Name: "app"}, IssuedBefore: &before},
			map[string]string{prefix + "service-account": "ns/app", prefix + "issued-before": "2026-05-04T03:02:01Z"},
		},
		"subject": {
			v1alpha1.TokenRevocationSpec{Subject: &v1alpha1.SubjectReference{Issuer: "https://i", Subject: "s"}, IssuedBefore: &before},
			map[string]string{prefix + "issuer": "https://i", prefix + "subject": "s", prefix + "issued-before": "2026-05-04T03:02:01Z"},
		},
		"key": {v1alpha1.TokenRevocationSpec{KeyID: "k1", IssuedBefore: &before}, map[string]string{prefix + "key-id": "k1", prefix + "issued-before": "2026-05-04T03:02:01Z"}},
		"certificates": {
			v1alpha1.TokenRevocationSpec{ClientCertificate: &v1alpha1.ClientCertificateReference{Username: "system:node:vm1"}, IssuedBefore: &before},
			map[string]string{prefix + "certificate-user": "system:node:vm1", prefix + "issued-before": "2026-05-04T03:02:01Z"},
		},
		"all": {v1alpha1.TokenRevocationSpec{IssuedBefore: &before}, map[string]string{prefix + "issued-before": "2026-05-04T03:02:01Z"}},
	} {
		ctx := audit.WithAuditContext(t.Context())
		NoteRevoked(ctx, &v1alpha1.TokenRevocation{ObjectMeta: metav1.ObjectMeta{Name: "r1"}, Spec: test.spec, Status: v1alpha1.TokenRevocationStatus{RevokedBy: "sec"}})
		test.want["authentication.mintmark.io/revocation"], test.want[prefix+"by"] = "r1", "sec"
		if diff := cmp.Diff(test.want, audit.AuditContextFrom(ctx).GetEventAnnotations()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
