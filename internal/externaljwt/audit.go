package externaljwt

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	auditapi "k8s.io/apiserver/pkg/apis/audit"

	"github.com/mintmark/mintmark/internal/audittrail"
)

// event is what is recorded of a call.
type event struct {
	received time.Time
	// claims are nil if they can't be read, and token and keyID are empty if nothing was signed.
	claims       *claims
	token, keyID string
	err          error
}

// accountPrefix begins the subject of a service account's token.
const accountPrefix = "system:serviceaccount:"

// record writes an event, and reports whether it was written. The event is that of a request to the API in the stage
// ResponseComplete at the level Metadata, whatever the policy says. Its requestURI is the name of the gRPC method, its verb
// create, its user the peer's uid, and its object and annotations are those of a TokenRequest.
func (s *Server) record(ctx context.Context, e event) bool {
	if s.Audit == nil {
		return true
	}
	method, _ := grpc.Method(ctx)
	now := s.Now()
	of := &auditapi.Event{
		Level:                    auditapi.LevelMetadata,
		AuditID:                  types.UID(uuid.NewString()),
		Stage:                    auditapi.StageResponseComplete,
		RequestURI:               method,
		Verb:                     "create",
		User:                     authenticationv1.UserInfo{Username: caller(ctx)},
		UserAgent:                strings.Join(metadata.ValueFromIncomingContext(ctx, "user-agent"), " "),
		RequestReceivedTimestamp: metav1.NewMicroTime(e.received),
		StageTimestamp:           metav1.NewMicroTime(now),
		ResponseStatus:           &metav1.Status{Code: http.StatusOK},
		Annotations:              map[string]string{},
	}
	if e.err != nil {
		of.ResponseStatus = &metav1.Status{Status: metav1.StatusFailure, Code: httpCode(e.err), Message: status.Convert(e.err).Message()}
	}
	if c := e.claims; c != nil {
		of.Annotations[audittrail.Expires] = c.end.UTC().Format(time.RFC3339)
		account, isAccount := strings.CutPrefix(c.subject, accountPrefix)
		if namespace, name, found := strings.Cut(account, ":"); isAccount && found {
			of.Annotations[audittrail.ServiceAccount] = namespace + "/" + name
			of.ObjectRef = &auditapi.ObjectReference{APIVersion: "v1", Resource: "serviceaccounts", Subresource: "token", Namespace: namespace, Name: name}
		}
		if audiences, err := json.Marshal(c.audiences); err == nil && len(c.audiences) > 0 {
			of.Annotations[audittrail.Audiences] = string(audiences)
		}
	}
	if e.token != "" {
		of.Annotations[audittrail.IssuedCredentialID] = audittrail.CredentialID(e.token)
		of.Annotations[audittrail.KeyID] = e.keyID
	}
	return s.Audit.ProcessEvents(of)
}

// caller names the process that calls.
func caller(ctx context.Context) string {
	if uid, known := peerOf(ctx); known {
		return fmt.Sprintf("unix:uid:%d", uid)
	}
	return "unix:uid:unknown"
}

// httpCode is a gRPC code as the API has it.
func httpCode(err error) int32 {
	switch status.Code(err) {
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
