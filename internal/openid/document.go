package openid

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// document is a document in one state, with an entity tag (RFC 9110 section 8.8.3) for each of its media types.
type document struct {
	body []byte
	tags map[string]string
}

func newDocument(body []byte, mediaTypes ...string) document {
	d := document{body: body, tags: map[string]string{}}
	for _, name := range mediaTypes {
		sum := sha256.Sum256(append([]byte(name+"\n"), body...))
		d.tags[name] = `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	}
	return d
}

// write sends the document as the media type that the negotiation has left in the request's Accept header, or says that the
// client has it already.
func (d *document) write(w http.ResponseWriter, r *http.Request) {
	mediaType := r.Header.Get("Accept")
	tag := d.tags[mediaType]
	header := w.Header()
	header.Set("ETag", tag)
	if matches(r.Header, tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", mediaType)
	// The client is gone if this fails.
	_, _ = w.Write(d.body)
}

// matches reports whether the If-None-Match headers (RFC 9110 section 13.1.2) name an entity tag. Tags are compared weakly.
func matches(header http.Header, tag string) bool {
	for candidate := range strings.SplitSeq(strings.Join(header.Values("If-None-Match"), ","), ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
			return true
		}
	}
	return false
}

// writeError says that the documents can't be told now. No cache may keep that.
func writeError(w http.ResponseWriter, err error) {
	status := metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Reason: metav1.StatusReasonInternalError, Message: err.Error()}
	if known, ok := err.(interface{ Status() metav1.Status }); ok {
		status = known.Status()
	}
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	if status.Details != nil && status.Details.RetryAfterSeconds > 0 {
		header.Set("Retry-After", strconv.Itoa(int(status.Details.RetryAfterSeconds)))
	}
	body, _ := json.Marshal(status) // a Status can be expressed
	w.WriteHeader(int(status.Code))
	_, _ = w.Write(body)
}
