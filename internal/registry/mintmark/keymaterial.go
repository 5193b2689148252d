package mintmark

import (
	"encoding/json"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mintmark/mintmark/internal/registry"
)

// privateMarker is in every private key in PEM.
const privateMarker = "PRIVATE KEY-----"

// withoutMaterial takes a private key out of the annotation in which kubectl apply keeps the object that it sent. Anywhere else in
// the metadata a private key is an error, which does not repeat it.
func withoutMaterial(meta *metav1.ObjectMeta) field.ErrorList {
	if applied, ok := meta.Annotations[corev1.LastAppliedConfigAnnotation]; ok {
		meta.Annotations[corev1.LastAppliedConfigAnnotation] = withoutPrivateKey(applied)
	}
	text, err := json.Marshal(meta)
	if err == nil && !strings.Contains(string(text), privateMarker) {
		return nil
	}
	*meta = metav1.ObjectMeta{}
	return field.ErrorList{field.Forbidden(registry.MetadataPath, "holds a private key, which everybody who reads the object would have: consider the key leaked, and import another one")}
}

// withoutPrivateKey returns an object as it was sent, in JSON, without spec.privateKey.
func withoutPrivateKey(applied string) string {
	var object map[string]json.RawMessage
	var spec map[string]json.RawMessage
	if json.Unmarshal([]byte(applied), &object) != nil || json.Unmarshal(object["spec"], &spec) != nil {
		return applied
	}
	held := len(spec)
	maps.DeleteFunc(spec, func(name string, _ json.RawMessage) bool { return strings.EqualFold(name, "privateKey") })
	if len(spec) == held {
		return applied
	}
	var err error
	if object["spec"], err = json.Marshal(spec); err != nil {
		return ""
	}
	text, err := json.Marshal(object)
	if err != nil {
		return ""
	}
	return string(text) + "\n" // as kubectl writes it
}
