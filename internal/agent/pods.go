package agent

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// ownPods selects the pods of a node, the only ones that the node authorizer lets it list.
func ownPods(node string) string { return fields.OneTermEqualSelector("spec.nodeName", node).String() }

// watchPods tells the keeper of the node's pods until the context ends. listed is called when it has been told of all.
func (a *Agent) watchPods(ctx context.Context, listed func(pods int)) error {
	pods := a.client.CoreV1().Pods(metav1.NamespaceAll)
	source := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = ownPods(a.node)
			return pods.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = ownPods(a.node)
			return pods.Watch(ctx, options)
		},
	}, a.client)
	informer := cache.NewSharedInformer(source, &corev1.Pod{}, 0)
	if err := informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
		if apierrors.IsForbidden(err) { // the connection tells of other failures
			klog.FromContext(ctx).Info("This node may not watch its pods; it is tried again", "reason", err.Error())
		}
	}); err != nil {
		return err
	}
	if err := informer.SetTransform(withoutManagedFields); err != nil {
		return err
	}
	handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { a.keeper.Set(object.(*corev1.Pod)) },
		UpdateFunc: func(before, after any) {
			was, is := before.(*corev1.Pod), after.(*corev1.Pod)
			if was.UID != is.UID { // deleted and made again between two lists
				a.keeper.Remove(was.Namespace, was.Name, was.UID)
			}
			a.keeper.Set(is)
		},
		DeleteFunc: func(object any) {
			if unknown, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = unknown.Obj
			}
			pod := object.(*corev1.Pod)
			a.keeper.Remove(pod.Namespace, pod.Name, pod.UID)
		},
	})
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		informer.RunWithContext(ctx)
	}()
	if cache.WaitForCacheSync(ctx.Done(), handler.HasSynced) {
		known := keysOf(informer.GetStore().List())
		if err := a.keeper.Retain(known); err != nil {
			klog.FromContext(ctx).Error(err, "Files of pods that are gone may be left")
		}
		listed(len(known))
	}
	<-ended
	return nil
}

func keysOf(pods []any) []types.NamespacedName {
	keys := make([]types.NamespacedName, 0, len(pods))
	for _, object := range pods {
		pod := object.(*corev1.Pod)
		keys = append(keys, types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})
	}
	return keys
}

func withoutManagedFields(object any) (any, error) {
	if pod, ok := object.(*corev1.Pod); ok {
		pod.ManagedFields = nil
	}
	return object, nil
}

// listPods returns the node's pods.
func (a *Agent) listPods(ctx context.Context) ([]corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	list, err := a.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: ownPods(a.node)})
	if err != nil {
		return nil, fmt.Errorf("the pods of node %s can't be listed: %w", a.node, a.explainAnswer(err))
	}
	return list.Items, nil
}
