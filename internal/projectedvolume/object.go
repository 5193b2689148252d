package projectedvolume

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// objectReader reads the objects that files are made of. Nothing of them is kept: a read is one request.
type objectReader struct{ client kubernetes.Interface }

func (r objectReader) configMap(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	found, err := r.client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	data := make(map[string][]byte, len(found.Data)+len(found.BinaryData))
	for key, value := range found.Data {
		data[key] = []byte(value)
	}
	for key, value := range found.BinaryData {
		data[key] = value
	}
	return data, nil
}

func (r objectReader) secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	found, err := r.client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return found.Data, nil
}

func (g *gathering) configMap(ctx context.Context, source *corev1.ConfigMapProjection) error {
	optional := source.Optional != nil && *source.Optional
	data, err := g.objects.configMap(ctx, g.pod.Namespace, source.Name)
	if optional && apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("config map %s: %w", source.Name, err)
	}
	return g.keys("configmap", data, source.Items, optional)
}

func (g *gathering) secret(ctx context.Context, source *corev1.SecretProjection) error {
	optional := source.Optional != nil && *source.Optional
	data, err := g.objects.secret(ctx, g.pod.Namespace, source.Name)
	if optional && apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("secret %s: %w", source.Name, err)
	}
	return g.keys("secret", data, source.Items, optional)
}

// keys adds the items that a source names, or else all keys of its object.
func (g *gathering) keys(kind string, data map[string][]byte, items []corev1.KeyToPath, optional bool) error {
	if len(items) == 0 {
		for key, content := range data {
			if err := g.add(key, content, g.owners.file(fileMode(g.volume.DefaultMode))); err != nil {
				return err
			}
		}
		return nil
	}
	for _, item := range items {
		content, ok := data[item.Key]
		if !ok && optional {
			continue
		}
		if !ok {
			return fmt.Errorf("%s references non-existent %s key: %s", kind, keyNoun[kind], item.Key)
		}
		if err := g.add(item.Path, content, g.itemOwnership(item.Mode)); err != nil {
			return err
		}
	}
	return nil
}

// keyNoun completes a kubelet's texts about keys that are missing.
var keyNoun = map[string]string{"configmap": "config", "secret": "secret"}

func (g *gathering) itemOwnership(mode *int32) ownership {
	return g.owners.file(fileMode(mode, g.volume.DefaultMode))
}
