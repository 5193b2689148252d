package controller

import (
	"context"
	"hash/maphash"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/view"
)

const (
	// rootCAConfigMap is the name of the config map in every namespace that holds the root CA.
	rootCAConfigMap = "kube-root-ca.crt"
	rootCAKey       = "ca.crt"
	// descriptionAnnotation and rootCADescription are kube-controller-manager's.
	descriptionAnnotation = "kubernetes.io/description"
	rootCADescription     = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. " +
		"No other usage is guaranteed across distributions of Kubernetes clusters."
)

// ConfigMap is the record of a config map.
type ConfigMap struct {
	// published is a digest of the root CA that the config map publishes, 0 for any other config map.
	published uint64
}

// digestSeed is of the process, so that no writer of a config map can look for a PEM of the same digest.
var digestSeed = maphash.MakeSeed()

// NewConfigMaps returns the view of config maps that the root-ca-certificate-publisher-controller works with. It has a few
// bytes of each, since there may be a million namespaces.
func NewConfigMaps() *view.View[ConfigMap] {
	return view.New(corev1.Resource("configmaps"), false, recordConfigMap)
}

func recordConfigMap(obj runtime.Object) ConfigMap {
	configMap := obj.(*corev1.ConfigMap)
	pem, ok := configMap.Data[rootCAKey]
	if configMap.Name != rootCAConfigMap || !ok || len(configMap.Data) != 1 || configMap.Annotations[descriptionAnnotation] == "" {
		return ConfigMap{}
	}
	return ConfigMap{maphash.String(digestSeed, pem)}
}

// rootCAPublisher is the root-ca-certificate-publisher-controller. Its keys are names of namespaces.
type rootCAPublisher struct {
	Config
	queue *loop[string]
}

func newRootCAPublisher(cfg Config) func(context.Context) {
	if cfg.ConfigMaps == nil {
		return nil
	}
	c := &rootCAPublisher{cfg, newLoop[string](cfg.Clock)}
	cfg.Index.Namespaces.OnChange(func(key view.Key, obj runtime.Object) {
		if obj != nil {
			c.queue.Add(key.Name)
		}
	})
	cfg.ConfigMaps.OnChange(func(key view.Key, obj runtime.Object) {
		if key.Name == rootCAConfigMap && (obj == nil || !c.isPublished(recordConfigMap(obj))) {
			c.queue.Add(key.Namespace)
		}
	})
	cfg.root.onChange(func() {
		for _, name := range c.unpublished() {
			c.queue.Add(name)
		}
	})
	return func(ctx context.Context) { c.queue.run(ctx, c.unpublished, c.settle) }
}

// unpublished returns the namespaces in which the root CA is not published as it is now.
func (c *rootCAPublisher) unpublished() []string {
	var names []string
	for _, key := range c.Index.Namespaces.Keys(func(key view.Key, _ boundobject.Namespace) bool {
		record, _ := c.ConfigMaps.Get(key.Name, rootCAConfigMap)
		return !c.isPublished(record)
	}) {
		names = append(names, key.Name)
	}
	return names
}

// isPublished reports whether a config map has the root CA as it is now.
func (c *rootCAPublisher) isPublished(record ConfigMap) bool {
	return record.published == maphash.Bytes(digestSeed, c.root.pem())
}

func (c *rootCAPublisher) settle(ctx context.Context, namespace string) (time.Duration, error) {
	pem := c.root.pem()
	record, exists := c.ConfigMaps.Get(namespace, rootCAConfigMap)
	if len(pem) == 0 || exists && c.isPublished(record) {
		return 0, nil
	}
	// What is in a namespace that is being deleted is the namespace-controller's affair.
	in, err := c.Index.Namespaces.Lookup(ctx, "", namespace)
	if err != nil || in.Terminating || !in.Deletion.IsZero() {
		return 0, ignoreNotFound(err)
	}
	obj, err := c.ConfigMaps.Object(ctx, namespace, rootCAConfigMap)
	switch {
	case apierrors.IsNotFound(err):
		return 0, c.create(ctx, namespace, string(pem))
	case err != nil:
		return 0, err
	}
	configMap := obj.(*corev1.ConfigMap)
	if c.isPublished(recordConfigMap(configMap)) {
		return 0, nil
	}
	configMap.Data = map[string]string{rootCAKey: string(pem)}
	if configMap.Annotations[descriptionAnnotation] == "" {
		metav1.SetMetaDataAnnotation(&configMap.ObjectMeta, descriptionAnnotation, rootCADescription)
	}
	if _, err := c.Client.CoreV1().ConfigMaps(namespace).Update(ctx, configMap, metav1.UpdateOptions{}); err != nil {
		return 0, ignoreNotFound(err)
	}
	klog.FromContext(ctx).V(2).Info("Published the root CA anew", "namespace", namespace)
	return 0, nil
}

func (c *rootCAPublisher) create(ctx context.Context, namespace, pem string) error {
	_, err := c.Client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: rootCAConfigMap, Annotations: map[string]string{descriptionAnnotation: rootCADescription},
		},
		Data: map[string]string{rootCAKey: pem},
	}, metav1.CreateOptions{})
	switch {
	case err == nil:
		klog.FromContext(ctx).V(2).Info("Published the root CA", "namespace", namespace)
		return nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return nil
	}
	return ignoreNotFound(err)
}
