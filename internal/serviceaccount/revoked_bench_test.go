package serviceaccount_test

import (
	"context"
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/revocation"
)

// acknowledging is a store that acknowledges every create.
type acknowledging struct{ storage.Interface }

func (acknowledging) Create(context.Context, string, runtime.Object, runtime.Object, uint64) error {
	return nil
}

// revocations returns a set of many entries, none of which is for a token of these tests.
func revocations(b *testing.B, entries int) *revocation.Set {
	b.Helper()
	set := revocation.NewSet()
	store, _, err := set.View.Decorate(func(*storagebackend.ConfigForResource, string, func(runtime.Object) (string, error), func() runtime.Object,
		func() runtime.Object, storage.AttrFunc, storage.IndexerFuncs, *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		return acknowledging{}, nil, nil
	})(&storagebackend.ConfigForResource{}, "/tokenrevocations", nil, nil, nil, nil, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	for i := range entries {
		entry := &v1alpha1.TokenRevocation{Spec: v1alpha1.TokenRevocationSpec{CredentialID: fmt.Sprintf("7d1c2b60-1f0a-4b7e-9c55-%012x", i)}}
		entry.Name, entry.ResourceVersion = fmt.Sprint("revocation-", i), fmt.Sprint(i+1)
		if err := store.Create(b.Context(), "", nil, entry, 0); err != nil {
			b.Fatal(err)
		}
	}
	return set
}

// BenchmarkRevocations reviews a token that was reviewed before, and new ones, beside many revocations of others.
func BenchmarkRevocations(b *testing.B) {
	tokens := make([]string, 4096)
	for i := range tokens {
		tokens[i] = issued(goodClaims(member{"jti", fmt.Sprintf(`"%032x"`, i)}))
	}
	for _, entries := range []int{0, 10_000, 1_000_000} {
		s := newServer(b)
		s.revoked = revocations(b, entries)
		s.configure()
		b.Run(fmt.Sprintf("warm/%d", entries), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := s.review(tokens[0]); got.Error != accepted {
					b.Fatal(got.Error)
				}
			}
		})
		b.Run(fmt.Sprintf("new/%d", entries), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%len(tokens) == 0 {
					s.configure() // an empty cache
				}
				if got := s.review(tokens[i%len(tokens)]); got.Error != accepted {
					b.Fatal(got.Error)
				}
			}
		})
	}
}
