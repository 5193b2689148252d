package registry

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
)

// withoutKinds gives storage that forgets the kind and version under which an object is stored. Elsewhere the
// conversion to the internal version sees to that; here there is none, and the items of lists would name their kind,
// and an object as stored would differ from the same object as sent.
type withoutKinds struct{ generic.RESTOptionsGetter }

// GetRESTOptions returns the options for the storage of a resource.
func (w withoutKinds) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := w.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil {
		return options, err
	}
	config := *options.StorageConfig
	config.Codec = kindlessCodec{config.Codec}
	options.StorageConfig = &config
	return options, nil
}

type kindlessCodec struct{ runtime.Codec }

func (c kindlessCodec) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	obj, kind, err := c.Codec.Decode(data, defaults, into)
	if obj != nil {
		obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	}
	return obj, kind, err
}
