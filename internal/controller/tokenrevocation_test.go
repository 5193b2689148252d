package controller_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/controller"
)

// shelf has revocations, and hands them out in pages of two.
type shelf struct {
	mu      sync.Mutex
	entries []v1alpha1.TokenRevocation
}

func (s *shelf) List(_ context.Context, options metav1.ListOptions) (*v1alpha1.TokenRevocationList, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := 0
	_, _ = fmt.Sscan(options.Continue, &from)
	to := min(from+2, len(s.entries))
	page := &v1alpha1.TokenRevocationList{Items: slices.Clone(s.entries[from:to])}
	if to < len(s.entries) {
		page.Continue = fmt.Sprint(to)
	}
	return page, nil
}

func (s *shelf) Delete(_ context.Context, name string, options metav1.DeleteOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = slices.DeleteFunc(s.entries, func(e v1alpha1.TokenRevocation) bool {
		return e.Name == name && *options.Preconditions.UID == e.UID
	})
	return nil
}

func (s *shelf) names() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.entries {
		names = append(names, s.entries[i].Name)
	}
	return names
}

// TestRevocationCleaner: an entry goes when it has expired, and not before; one without an end stays.
func TestRevocationCleaner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		for name, in := range map[string]time.Duration{"past": -time.Second, "soon": 10 * time.Minute, "later": 5 * time.Hour, "never": 0} {
			entry := v1alpha1.TokenRevocation{ObjectMeta: metav1.ObjectMeta{Name: name}}
			if in != 0 {
				expires := metav1.NewTime(time.Now().Add(in))
				entry.Status.Expires = &expires
			}
			s.entries = append(s.entries, entry)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cleaner, err := controller.New(controller.Config{Controllers: sets.New("tokenrevocation-cleaner"), Revocations: s})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			cleaner.Run(ctx)
		}()
		for _, step := range []struct {
			after time.Duration
			want  []string
		}{
			{time.Second, []string{"later", "never", "soon"}},
			{9 * time.Minute, []string{"later", "never", "soon"}},
			{2 * time.Minute, []string{"later", "never"}},
			{4 * time.Hour, []string{"later", "never"}},
			{time.Hour, []string{"never"}},
			{1000 * time.Hour, []string{"never"}},
		} {
			time.Sleep(step.after)
			synctest.Wait()
			names := s.names()
			slices.Sort(names)
			if !slices.Equal(names, step.want) {
				t.Errorf("after another %s: %q, want %q", step.after, names, step.want)
			}
		}
		cancel()
		<-done
	})
}
