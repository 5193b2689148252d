package core

import (
	"context"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/scheme"
)

// FuzzObjects sends objects of every kind through creation, an update from another object, and a table: nothing that
// can be decoded may bring the server down, and what was accepted once is accepted again as it was stored.
func FuzzObjects(f *testing.F) {
	for _, seed := range []string{
		`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a"}}`,
		`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"a"},"secrets":[{"name":"s","kind":"x"}]}`,
		`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"type":"kubernetes.io/tls","data":{"tls.crt":"","tls.key":""}}`,
		`{"apiVersion":"v1","kind":"Node","metadata":{"name":"a"},"spec":{"podCIDR":"10.0.0.0/24","taints":[{"key":"k","effect":"NoSchedule"}]},"status":{"capacity":{"cpu":"1"}}}`,
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"c","image":"i","resources":{"limits":{"cpu":"1"}}}],"initContainers":[{"name":"i","image":"i"}],"tolerations":[{"operator":"Exists"}]}}`,
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"status":{"podIPs":[{"ip":"x"}],"initContainerStatuses":[{"state":{"waiting":{"reason":"r"}}}]}}`,
	} {
		f.Add([]byte(seed), []byte(seed))
	}
	kinds := map[string]struct {
		s     registry.Strategy
		table func(runtime.Object) (*metav1.Table, error)
	}{
		"*v1.Namespace":      {namespaceStrategy{registry.ClusterStrategy}, tableOf(namespaceTable)},
		"*v1.ServiceAccount": {serviceAccountStrategy{registry.NamespacedStrategy}, tableOf(serviceAccountTable)},
		"*v1.Secret":         {secretStrategy{registry.NamespacedStrategy}, tableOf(secretTable)},
		"*v1.Node":           {nodeStrategy{registry.ClusterStrategy}, tableOf(nodeTable)},
		"*v1.Pod":            {podStrategy{registry.NamespacedStrategy}, tableOf(podTable)},
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		old, _, err := scheme.Codecs.UniversalDecoder().Decode(first, nil, nil)
		if err != nil {
			return
		}
		kind, ok := kinds[typeName(old)]
		if !ok {
			return
		}
		if _, err := kind.table(old); err != nil {
			t.Errorf("no table: %v", err)
		}
		if refused, _ := create(kind.s, old.(metav1.Object)); refused != "" {
			return
		}
		if refused, _ := update(kind.s, old.DeepCopyObject().(metav1.Object), old.(metav1.Object)); refused != "" {
			t.Errorf("an update that changes nothing is refused: %s", refused)
		}
		obj, _, err := scheme.Codecs.UniversalDecoder().Decode(second, nil, nil)
		if err != nil || typeName(obj) != typeName(old) {
			return
		}
		update(kind.s, obj.(metav1.Object), old.(metav1.Object))
	})
}

func tableOf[T runtime.Object](table *registry.Table[T]) func(runtime.Object) (*metav1.Table, error) {
	return func(obj runtime.Object) (*metav1.Table, error) {
		return table.ConvertToTable(context.Background(), obj, nil)
	}
}

func typeName(obj runtime.Object) string { return fmt.Sprintf("%T", obj) }
