package certificates_test

import (
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/certificates"
)

// condition is one that was updated an hour after now.
func condition(kind certificatesv1.RequestConditionType) certificatesv1.CertificateSigningRequestCondition {
	return certificatesv1.CertificateSigningRequestCondition{Type: kind, Status: corev1.ConditionTrue, LastUpdateTime: metav1.NewTime(now.Add(time.Hour))}
}

func timeless(kind certificatesv1.RequestConditionType) certificatesv1.CertificateSigningRequestCondition {
	return certificatesv1.CertificateSigningRequestCondition{Type: kind, Status: corev1.ConditionTrue}
}

// TestEnd: when a request is removed, counted from its creation.
func TestEnd(t *testing.T) {
	const approved, denied, failed = certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed
	a := newAuthority(t, newKey(t), now.Add(10*year))
	issue := func(life time.Duration) []byte {
		encoded, err := a.Sign(newCSR(t, nil), parsed(t, newCSR(t, nil)), life, now)
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	long, brief := issue(year), issue(time.Minute)
	type conditions = []certificatesv1.CertificateSigningRequestCondition
	const never = time.Duration(-1)
	for name, c := range map[string]struct {
		conditions  conditions
		certificate []byte
		want        time.Duration
	}{
		"pending":                              {nil, nil, 24 * time.Hour},
		"issued without an approval":           {nil, long, 24 * time.Hour},
		"approved":                             {conditions{condition(approved)}, nil, 25 * time.Hour},
		"approved without a time":              {conditions{timeless(approved)}, nil, never},
		"issued":                               {conditions{condition(approved)}, long, 2 * time.Hour},
		"issued and ended":                     {conditions{condition(approved)}, brief, time.Minute},
		"issued without a time":                {conditions{timeless(approved)}, brief, time.Minute},
		"issued with what is no certificate":   {conditions{condition(approved)}, []byte("x"), 2 * time.Hour},
		"denied":                               {conditions{condition(denied)}, nil, 2 * time.Hour},
		"failed":                               {conditions{condition(failed)}, nil, 2 * time.Hour},
		"approved and failed":                  {conditions{condition(approved), condition(failed)}, nil, 2 * time.Hour},
		"approved and failed without a time":   {conditions{condition(approved), timeless(failed)}, nil, 25 * time.Hour},
		"another condition":                    {conditions{condition("Other")}, nil, never},
		"another condition, and a certificate": {conditions{condition("Other")}, brief, never},
		"another condition, approved":          {conditions{condition("Other"), condition(approved)}, nil, 25 * time.Hour},
		"approved in small letters":            {conditions{condition("approved")}, nil, never},
	} {
		t.Run(name, func(t *testing.T) {
			csr := newCSR(t, nil)
			csr.CreationTimestamp, csr.Status.Conditions, csr.Status.Certificate = metav1.NewTime(now), c.conditions, c.certificate
			end := certificates.End(csr)
			if c.want == never {
				if !end.IsZero() {
					t.Errorf("removed after %s, want never", end.Sub(now))
				}
			} else if end.Sub(now) != c.want {
				t.Errorf("removed after %s, want %s", end.Sub(now), c.want)
			}
		})
	}
}

// TestRecord: which requests wait for an approval, and which for a certificate.
func TestRecord(t *testing.T) {
	const approved, denied, failed = certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed
	with := func(conditions ...certificatesv1.CertificateSigningRequestCondition) *certificatesv1.CertificateSigningRequest {
		csr := newCSR(t, nil)
		csr.Status.Conditions = conditions
		return csr
	}
	issued, foreign, unknown, unfailed := with(condition(approved)), with(condition(approved)), with(condition(approved)), condition(failed)
	issued.Status.Certificate = []byte("x")
	foreign.Spec.SignerName, unknown.Spec.SignerName = "example.com/x", "kubernetes.io/kube-apiserver"
	unfailed.Status = corev1.ConditionFalse
	statusless := condition(failed)
	statusless.Status = ""
	for name, c := range map[string]struct {
		csr                *certificatesv1.CertificateSigningRequest
		undecided, waiting bool
	}{
		"new":                       {with(), true, false},
		"approved":                  {with(condition(approved)), false, true},
		"denied":                    {with(condition(denied)), false, false},
		"both":                      {with(condition(approved), condition(denied)), false, false},
		"failed":                    {with(condition(failed)), true, false},
		"approved and failed":       {with(condition(approved), condition(failed)), false, false},
		"approved, failed by none":  {with(condition(approved), statusless), false, false},
		"approved and not failed":   {with(condition(approved), unfailed), false, true},
		"issued":                    {issued, false, false},
		"approved, another's":       {foreign, false, false},
		"approved, unknown signer":  {unknown, false, false},
		"another condition":         {with(condition("Other")), true, false},
		"another one, and approved": {with(condition("Other"), condition(approved)), false, true},
	} {
		record := certificates.RecordOf(c.csr)
		if record.Undecided != c.undecided || record.Waiting != c.waiting {
			t.Errorf("%s: undecided %t, waiting %t", name, record.Undecided, record.Waiting)
		}
	}
}
