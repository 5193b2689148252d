package scheme

import (
	"fmt"
	"path"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// Serializer reads and writes requests and answers. It differs from Codecs in how it names a type that a body can't be
// made into, and in that it overwrites what may be a token in a body that it can't read.
var Serializer runtime.NegotiatedSerializer = wireSerializer{Codecs}

type wireSerializer struct{ serializer.CodecFactory }

// DecoderToVersion returns a decoder of bodies.
func (s wireSerializer) DecoderToVersion(decoder runtime.Decoder, version runtime.GroupVersioner) runtime.Decoder {
	return wireDecoder{s.CodecFactory.DecoderToVersion(decoder, version)}
}

// wireDecoder names types in errors as kube-apiserver does, whose internal types lie in packages called after the group:
// clients are told of an authentication.TokenReview, not of a v1.TokenReview.
type wireDecoder struct{ runtime.Decoder }

// Decode decodes a body.
func (d wireDecoder) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	obj, kind, err := d.Decoder.Decode(data, defaults, into)
	if err != nil && !runtime.IsStrictDecodingError(err) {
		scrub(data)
	}
	if err == nil || into == nil {
		return obj, kind, err
	}
	of := reflect.TypeOf(into).Elem()
	const tail = "to (%s): unknown conversion"
	if text, ok := strings.CutSuffix(err.Error(), fmt.Sprintf(tail, of)); ok {
		group := path.Base(path.Dir(of.PkgPath()))
		err = fmt.Errorf("%s"+tail, text, group+"."+of.Name())
	}
	return obj, kind, err
}

// Untyped returns a codec for storage whose objects don't say of what kind they are, as internal objects don't: their Go
// type says it.
func Untyped(codec runtime.Codec) runtime.Codec { return untyped{codec} }

type untyped struct{ runtime.Codec }

// Decode decodes a stored object.
func (u untyped) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	obj, kind, err := u.Codec.Decode(data, defaults, into)
	if err == nil {
		obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	}
	return obj, kind, err
}
