package scheme

import (
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// Serializer reads and writes the requests and answers of Kubernetes' API groups. It differs from Codecs in that it knows
// the kinds that kube-apiserver knows, older versions among them, in how it names a type that a body can't be made into,
// and in that it overwrites what may be a token in a body that it can't read.
var Serializer runtime.NegotiatedSerializer = wireSerializer{CodecFactory: serializer.NewCodecFactory(kubernetesWire)}

// openShiftSerializer does the same for OpenShift's API groups. OpenShift's server knows these groups and version v1 of
// authentication.k8s.io, and reads reviews into the published type.
var openShiftSerializer runtime.NegotiatedSerializer = wireSerializer{
	CodecFactory: serializer.NewCodecFactory(openShiftWire), published: authenticationv1.GroupName,
}

// mintmarkSerializer does the same for our own API group, whose types have no protobuf.
var mintmarkSerializer runtime.NegotiatedSerializer = withoutProtobuf{wireSerializer{CodecFactory: serializer.NewCodecFactory(mintmarkWire)}}

// SerializerFor returns the serializer of a group version that is served.
func SerializerFor(gv schema.GroupVersion) runtime.NegotiatedSerializer {
	switch {
	case slices.Contains(openShift, gv):
		return openShiftSerializer
	case slices.Contains(mintmark, gv):
		return mintmarkSerializer
	}
	return Serializer
}

// withoutProtobuf reads and writes JSON and YAML only.
type withoutProtobuf struct{ wireSerializer }

// SupportedMediaTypes returns the media types that clients may ask for.
func (s withoutProtobuf) SupportedMediaTypes() []runtime.SerializerInfo {
	return slices.DeleteFunc(slices.Clone(s.wireSerializer.SupportedMediaTypes()), func(info runtime.SerializerInfo) bool {
		return info.MediaType == runtime.ContentTypeProtobuf
	})
}

var (
	kubernetesWire = newKubernetesWire()
	mintmarkWire   = newKubernetesWire(mintmark...)
	openShiftWire  = newScheme(append(slices.Clone(openShift), authenticationv1.SchemeGroupVersion)...)
)

// newKubernetesWire returns the scheme of the types that kube-apiserver knows, and of further group versions.
func newKubernetesWire(further ...schema.GroupVersion) *runtime.Scheme {
	s := newScheme(slices.Concat(kubernetes, further)...)
	addOlderVersions(s)
	return s
}

type wireSerializer struct {
	serializer.CodecFactory
	// published is the group, if any, of kinds that errors name by their version.
	published string
}

// DecoderToVersion returns a decoder of bodies.
func (s wireSerializer) DecoderToVersion(decoder runtime.Decoder, version runtime.GroupVersioner) runtime.Decoder {
	return wireDecoder{s.CodecFactory.DecoderToVersion(decoder, version), s.published}
}

// wireDecoder names types in errors as kube-apiserver does. Upstream's internal types lie in packages called after the group, so
// errors say authentication.TokenReview, not v1.TokenReview.
type wireDecoder struct {
	runtime.Decoder
	published string
}

// Decode decodes a body.
func (d wireDecoder) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	obj, kind, err := d.Decoder.Decode(data, defaults, into)
	if err != nil && !runtime.IsStrictDecodingError(err) {
		scrub(data)
	}
	if err == nil || into == nil {
		return obj, kind, err
	}
	kinds, _, _ := Scheme.ObjectKinds(into)
	if d.published != "" && slices.ContainsFunc(kinds, func(kind schema.GroupVersionKind) bool { return kind.Group == d.published }) {
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

// Untyped returns a codec for storage that clears an object's kind. Internal objects have none: their Go type determines it.
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
