package revocation_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/revocation"
)

// TestMemory: a million entries take at most 100 bytes each, with everything that the view keeps of them.
func TestMemory(t *testing.T) {
	const entries, most = 1_000_000, 100
	if testing.Short() {
		t.Skip("a million entries take a few seconds")
	}
	account := &v1alpha1.ServiceAccountReference{Namespace: "default", Name: "app"}
	now := time.Now()
	for name, spec := range map[string]func(int) v1alpha1.TokenRevocationSpec{
		"credential ids": func(i int) v1alpha1.TokenRevocationSpec {
			return v1alpha1.TokenRevocationSpec{CredentialID: fmt.Sprintf("7d1c2b60-1f0a-4b7e-9c55-%012x", i)}
		},
		"one account": func(i int) v1alpha1.TokenRevocationSpec {
			before := metav1.NewTime(now.Add(time.Duration(i) * time.Second))
			return v1alpha1.TokenRevocationSpec{ServiceAccount: account, IssuedBefore: &before}
		},
	} {
		set := revocation.NewSet()
		store := storeOf(t, set)
		before := inUse()
		for i := range entries {
			stored := v1alpha1.TokenRevocation{Spec: spec(i)}
			stored.Name, stored.ResourceVersion = fmt.Sprintf("revocation-7d1c2b60-1f0a-4b7e-9c55-%012x", i), fmt.Sprint(i+1)
			_ = store.Create(t.Context(), "", nil, &stored, 0)
		}
		each := float64(inUse()-before) / entries
		t.Logf("%s: %.1f bytes an entry", name, each)
		if set.Len() != entries || each > most {
			t.Errorf("%s: %d entries of %.1f bytes, want %d of at most %d", name, set.Len(), each, entries, most)
		}
		runtime.KeepAlive(store)
	}
}

// acknowledging is a store that acknowledges every create.
type acknowledging struct{ storage.Interface }

func (acknowledging) Create(context.Context, string, k8sruntime.Object, k8sruntime.Object, uint64) error {
	return nil
}

// storeOf is a store with the view of a set in front of it.
func storeOf(t *testing.T, set *revocation.Set) storage.Interface {
	t.Helper()
	store, _, err := set.View.Decorate(func(*storagebackend.ConfigForResource, string, func(k8sruntime.Object) (string, error), func() k8sruntime.Object,
		func() k8sruntime.Object, storage.AttrFunc, storage.IndexerFuncs, *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		return acknowledging{}, nil, nil
	})(&storagebackend.ConfigForResource{}, "/tokenrevocations", nil, nil, nil, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func inUse() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
