package audittrail

import (
	"bytes"
	"encoding/json"
	"time"
)

// event holds the members of an audit event (audit.k8s.io/v1) that a trace needs. Of bodies, which a kube-apiserver records
// if its policy says so, it holds what Mintmark writes into annotations, and never a token.
type event struct {
	Kind             string
	APIVersion       string
	AuditID          string
	Stage            string
	RequestURI       string
	Verb             string
	UserAgent        string
	SourceIPs        []string
	User             userInfo
	ImpersonatedUser *userInfo
	ObjectRef        struct {
		Resource, Subresource, APIGroup, Namespace, Name string
	}
	ResponseStatus           struct{ Code int }
	ResponseObject           json.RawMessage
	RequestReceivedTimestamp time.Time
	Annotations              map[string]string
}

type userInfo struct {
	Username string
	Extra    map[string][]string
}

// body is the answer to a TokenRequest or a TokenReview.
type body struct {
	Spec struct {
		Audiences      []string
		BoundObjectRef *struct{ Kind, Name, UID string }
	}
	Status struct {
		ExpirationTimestamp *time.Time
		Authenticated       *bool
		User                userInfo
	}
}

// eventStart begins the line of an event as servers write it.
var eventStart = []byte(`{"kind":"Event","apiVersion":"audit.k8s.io/`)

// parse reads the event on a line. Where a line was torn, and the next one was written behind it, it reads the latter, and
// reports that the line is not whole.
func parse(line []byte) (e *event, whole bool) {
	if e, ok := decode(line); ok {
		return e, true
	}
	if at := bytes.LastIndex(line, eventStart); at > 0 {
		e, _ = decode(line[at:])
	}
	return e, false
}

func decode(line []byte) (*event, bool) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil || e.Kind != "Event" || e.AuditID == "" || e.RequestReceivedTimestamp.IsZero() {
		return nil, false
	}
	return &e, true
}

// answer reads the recorded answer of a TokenRequest or a TokenReview, if there is one.
func (e *event) answer() *body {
	var b body
	if len(e.ResponseObject) == 0 || json.Unmarshal(e.ResponseObject, &b) != nil {
		return nil
	}
	return &b
}

// stages are the stages of a request in their order: of several events of one request, the last one tells most.
var stages = map[string]int{"RequestReceived": 1, "ResponseStarted": 2, "ResponseComplete": 3, "Panic": 3}

// presented is the id of the credential that the caller presented.
func (e *event) presented() string {
	if id := e.Annotations[PresentedCredentialID]; id != "" {
		return id
	}
	return e.User.credentialID()
}

func (u *userInfo) credentialID() string {
	if ids := u.Extra[CallerCredentialID]; len(ids) > 0 {
		return ids[0]
	}
	return ""
}

// reviewed is the id of the credential that was reviewed.
func (e *event) reviewed() string {
	id := e.Annotations[ReviewedCredentialID]
	if answer := e.answer(); id == "" && e.ObjectRef.Resource == "tokenreviews" && answer != nil {
		return answer.Status.User.credentialID()
	}
	return id
}

// account is the service account that a token was requested for, as NAMESPACE/NAME.
func (e *event) account() string {
	if e.ObjectRef.Resource != "serviceaccounts" || e.ObjectRef.Subresource != "token" {
		return ""
	}
	return e.ObjectRef.Namespace + "/" + e.ObjectRef.Name
}
