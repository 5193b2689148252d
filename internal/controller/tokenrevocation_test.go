package controller_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
	// slow is how long a page takes, and read when pages were read.
	slow time.Duration
	read []time.Time
}

func (s *shelf) List(_ context.Context, options metav1.ListOptions) (*v1alpha1.TokenRevocationList, error) {
	time.Sleep(s.slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = append(s.read, time.Now())
	byName := func(a, b v1alpha1.TokenRevocation) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(s.entries, byName)
	from, _ := slices.BinarySearchFunc(s.entries, v1alpha1.TokenRevocation{ObjectMeta: metav1.ObjectMeta{Name: options.Continue}}, byName)
	to := min(from+2, len(s.entries))
	page := &v1alpha1.TokenRevocationList{Items: slices.Clone(s.entries[from:to])}
	if to < len(s.entries) {
		page.Continue = s.entries[to].Name
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

// TestRevocationCleanerIsSlow: a sweep over many entries leaves nine tenths of a processor to reviews, and the next one comes
// late, even if an entry expires before.
func TestRevocationCleanerIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{slow: 10 * time.Second}
		for i := range 8 {
			expires := metav1.NewTime(time.Now().Add(10 * time.Minute))
			s.entries = append(s.entries, v1alpha1.TokenRevocation{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(i)}})
			s.entries[i].Status.Expires = &expires
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
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		s.mu.Lock()
		if len(s.read) != 4 {
			t.Errorf("%d pages were read, want one sweep of 4", len(s.read))
		}
		for i := range len(s.read) - 1 {
			if pause := s.read[i+1].Sub(s.read[i]); pause < 100*time.Second {
				t.Errorf("a page that takes 10 s was read %s after another one", pause)
			}
		}
		s.mu.Unlock()
		time.Sleep(time.Hour)
		if left := s.names(); len(left) != 0 {
			t.Errorf("entries that have expired are left: %q", left)
		}
		cancel()
		<-done
	})
}
