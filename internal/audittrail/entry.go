package audittrail

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// Kind is the kind of an entry.
type Kind string

// The kinds, in the order in which one request may be several of them.
const (
	// Used is a request that was made with the credential.
	Used Kind = "Used"
	// Requested is a TokenRequest.
	Requested Kind = "Requested"
	// Reviewed is a review of the credential.
	Reviewed Kind = "Reviewed"
	// Revoked is a revocation that covers the credential.
	Revoked Kind = "Revoked"
	// Restored is the deletion of such a revocation.
	Restored Kind = "Restored"
	// Changed is a write to the object that holds the token, or stands for it.
	Changed Kind = "Changed"
)

var kindOrder = map[Kind]int{Used: 0, Requested: 1, Reviewed: 2, Revoked: 3, Restored: 4, Changed: 5}

// Entry is one event in the life of a credential.
type Entry struct {
	Time    time.Time `json:"time"`
	Kind    Kind      `json:"kind"`
	AuditID string    `json:"auditID"`
	Stage   string    `json:"stage"`
	// CredentialID is the credential that it is about; empty if it is not known which.
	CredentialID string `json:"credentialID,omitempty"`
	// By is the user who did it; empty if the server could not tell. As is the user who was impersonated.
	By string `json:"by,omitempty"`
	As string `json:"as,omitempty"`
	// With is the credential that By presented.
	With      string   `json:"with,omitempty"`
	From      []string `json:"from,omitempty"`
	UserAgent string   `json:"userAgent,omitempty"`
	Verb      string   `json:"verb"`
	URI       string   `json:"uri"`
	// Code is the status of the answer; 0 if none was recorded.
	Code int `json:"code,omitempty"`
	// Verdict is that about the credential, of a use and of a review.
	Verdict string `json:"verdict,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// User is the user whose credential it is.
	User string `json:"user,omitempty"`
	// Token describes the issued token.
	Token *Token `json:"token,omitempty"`
	// Revocation names the revoked tokens.
	Revocation *Revocation `json:"revocation,omitempty"`
}

// Token is a token as it was issued. Fields are empty where the event does not tell.
type Token struct {
	ServiceAccount    string     `json:"serviceAccount"`
	ServiceAccountUID string     `json:"serviceAccountUID,omitempty"`
	Audiences         []string   `json:"audiences,omitempty"`
	BoundObject       string     `json:"boundObject,omitempty"`
	Expires           *time.Time `json:"expires,omitempty"`
	KeyID             string     `json:"keyID,omitempty"`
}

// Revocation says which tokens were revoked, as the annotations of the same names do.
type Revocation struct {
	Name           string `json:"name,omitempty"`
	By             string `json:"by,omitempty"`
	CredentialID   string `json:"credentialID,omitempty"`
	ServiceAccount string `json:"serviceAccount,omitempty"`
	Issuer         string `json:"issuer,omitempty"`
	Subject        string `json:"subject,omitempty"`
	KeyID          string `json:"keyID,omitempty"`
	// CertificateUser is the user whose client certificates were revoked, and no tokens.
	CertificateUser string     `json:"certificateUser,omitempty"`
	IssuedBefore    *time.Time `json:"issuedBefore,omitempty"`
}

// compare orders entries by time. Those of one request are beside each other, its kinds and stages in their order.
func compare(a, b *Entry) int {
	return cmp.Or(
		a.Time.Compare(b.Time), strings.Compare(a.AuditID, b.AuditID), cmp.Compare(kindOrder[a.Kind], kindOrder[b.Kind]),
		cmp.Compare(stages[a.Stage], stages[b.Stage]),
	)
}

// sameEvent reports whether two entries are of one request and differ in their stage alone.
func sameEvent(a, b *Entry) bool {
	return a.Time.Equal(b.Time) && a.AuditID == b.AuditID && a.Kind == b.Kind
}

// entry returns an entry with the fields that all kinds have.
func (e *event) entry(kind Kind, id string) *Entry {
	out := &Entry{
		Time: e.RequestReceivedTimestamp, Kind: kind, AuditID: e.AuditID, Stage: e.Stage, CredentialID: id,
		By: e.User.Username, With: e.presented(), From: e.SourceIPs, UserAgent: e.UserAgent,
		Verb: e.Verb, URI: e.RequestURI, Code: e.ResponseStatus.Code,
	}
	if e.ImpersonatedUser != nil {
		out.As = e.ImpersonatedUser.Username
	}
	return out
}

// use returns the entry of a request that was made with a credential.
func (e *event) use() *Entry {
	out := e.entry(Used, e.presented())
	out.User, out.Reason = e.User.Username, e.Annotations[Reason]
	switch {
	case e.Annotations[Unavailable] != "":
		out.Verdict, out.Code = string(v1alpha1.VerdictUndecided), http.StatusServiceUnavailable
	case e.User.Username == "":
		out.Verdict = string(v1alpha1.VerdictRefused)
	default:
		// The reason of a review that was made with the credential is that of the reviewed token.
		out.Verdict, out.Reason = string(v1alpha1.VerdictAuthenticated), ""
	}
	return out
}

// review returns the entry of a review.
func (e *event) review() *Entry {
	out := e.entry(Reviewed, e.reviewed())
	out.Verdict, out.Reason, out.User = e.Annotations[Verdict], e.Annotations[Reason], e.Annotations[ReviewedUser]
	if answer := e.answer(); answer != nil && out.Verdict == "" && e.ObjectRef.Resource == "tokenreviews" {
		out.User, out.Verdict = answer.Status.User.Username, string(v1alpha1.VerdictRefused)
		if good := answer.Status.Authenticated; good != nil && *good {
			out.Verdict = string(v1alpha1.VerdictAuthenticated)
		}
	}
	return out
}

// request returns the entry of a TokenRequest.
func (e *event) request() *Entry {
	out := e.entry(Requested, e.Annotations[IssuedCredentialID])
	t := &Token{
		ServiceAccount: cmp.Or(e.Annotations[ServiceAccount], e.account()), ServiceAccountUID: e.Annotations[ServiceAccountUID],
		BoundObject: e.Annotations[BoundObject], Expires: timeIn(e.Annotations[Expires]), KeyID: e.Annotations[KeyID],
	}
	if listed := e.Annotations[Audiences]; json.Unmarshal([]byte(listed), &t.Audiences) != nil {
		t.Audiences = nil
	}
	if answer := e.answer(); answer != nil && t.Expires == nil {
		t.Audiences, t.Expires = answer.Spec.Audiences, answer.Status.ExpirationTimestamp
		if bound := answer.Spec.BoundObjectRef; bound != nil {
			t.BoundObject = bound.Kind + "/" + bound.Name + "/" + bound.UID
		}
	}
	out.Token = t
	return out
}

// revocation returns the entry of a revocation, or of the deletion of one, or nil.
func (e *event) revocation() *Entry {
	if e.ObjectRef.Resource == "tokenrevocations" && e.ObjectRef.APIGroup == v1alpha1.GroupName && e.Verb == "delete" {
		out := e.entry(Restored, "")
		out.Revocation = &Revocation{Name: e.ObjectRef.Name}
		return out
	}
	r := &Revocation{
		Name: e.Annotations[RevocationName], By: e.Annotations[RevokedBy], CredentialID: e.Annotations[RevokedCredentialID], ServiceAccount: e.Annotations[RevokedServiceAccount],
		Issuer: e.Annotations[RevokedIssuer], Subject: e.Annotations[RevokedSubject], KeyID: e.Annotations[RevokedKeyID],
		CertificateUser: e.Annotations[RevokedCertificateUser],
		IssuedBefore:    timeIn(e.Annotations[RevokedIssuedBefore]),
	}
	if *r == (Revocation{}) {
		return nil
	}
	out := e.entry(Revoked, r.CredentialID)
	out.Revocation = r
	return out
}

func timeIn(text string) *time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil
	}
	return &at
}
