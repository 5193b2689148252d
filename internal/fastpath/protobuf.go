package fastpath

import (
	"bytes"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// envelope stands in front of every object in protobuf (k8s.io/apimachinery/pkg/runtime/serializer/protobuf).
var envelope = []byte("k8s\x00")

// decodeProtobuf reads the object in the body. Its metadata must be empty, as its status should be.
func (c *call) decodeProtobuf() bool {
	content, ok := bytes.CutPrefix(c.payload.body.read, envelope)
	var unknown runtime.Unknown
	if !ok || unknown.Unmarshal(content) != nil || unknown.ContentEncoding != "" || unknown.ContentType != "" ||
		unknown.APIVersion != c.route.kind.GroupVersion().String() || unknown.Kind != c.route.kind.Kind {
		return false
	}
	if c.route.reviewer != nil {
		err := c.payload.review.Unmarshal(unknown.Raw)
		return err == nil && empty(&c.payload.review.ObjectMeta) && c.complete()
	}
	err := c.payload.token.Unmarshal(unknown.Raw)
	return err == nil && empty(&c.payload.token.ObjectMeta) && len(c.payload.token.Spec.Attestations) == 0 && c.complete()
}

func empty(meta *metav1.ObjectMeta) bool {
	return equality.Semantic.DeepEqual(meta, &metav1.ObjectMeta{})
}

// encodeProtobuf writes the answer.
func (c *call) encodeProtobuf() bool {
	var object interface{ Marshal() ([]byte, error) } = &c.payload.token
	if c.route.reviewer != nil {
		c.payload.review.Status = c.answer.verdict.Status()
		object = &c.payload.review
	}
	raw, err := object.Marshal()
	if err != nil {
		return false
	}
	version, kind := c.route.kind.ToAPIVersionAndKind()
	unknown := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: version, Kind: kind}, Raw: raw}
	out, err := unknown.Marshal()
	if err != nil {
		return false
	}
	c.payload.body.out = append(append(c.payload.body.out[:0], envelope...), out...)
	return true
}
