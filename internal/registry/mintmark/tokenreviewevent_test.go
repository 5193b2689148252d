package mintmark

import (
	"context"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// heardFeed is a feed that hears what is asked of it.
type heardFeed struct {
	version string
	initial bool
}

func (f *heardFeed) Watch(_ context.Context, version string, initial bool) (watch.Interface, error) {
	f.version, f.initial = version, initial
	return watch.NewFake(), nil
}

func (*heardFeed) Ending() ([]mintmarkv1alpha1.TokenReviewEvent, string) {
	return []mintmarkv1alpha1.TokenReviewEvent{{Object: &mintmarkv1alpha1.EndedObject{Resource: "pods", Namespace: "ns", Name: "p"}}}, "7"
}

// TestWatchIsWhole watches with and without selectors: events that are left out would pass for a proof that nothing ended.
func TestWatchIsWhole(t *testing.T) {
	feed, yes := &heardFeed{}, true
	events := newTokenReviewEvents(feed)
	byLabel := &metainternalversion.ListOptions{LabelSelector: labels.SelectorFromSet(labels.Set{"a": "b"})}
	byField := &metainternalversion.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", "x")}
	for _, options := range []*metainternalversion.ListOptions{byLabel, byField} {
		if _, err := events.Watch(t.Context(), options); !apierrors.IsBadRequest(err) {
			t.Errorf("a watch of some events: %v", err)
		}
		list, err := events.List(t.Context(), options)
		if err != nil || len(list.(*mintmarkv1alpha1.TokenReviewEventList).Items) != 0 {
			t.Errorf("a list of some events: %v, %v", list, err)
		}
	}
	for _, bookmarks := range []bool{false, true} {
		options := &metainternalversion.ListOptions{
			ResourceVersion: "5", AllowWatchBookmarks: bookmarks, SendInitialEvents: &yes, LabelSelector: labels.Everything(), FieldSelector: fields.Everything(),
		}
		if _, err := events.Watch(t.Context(), options); err != nil || feed.version != "5" || feed.initial != bookmarks {
			t.Errorf("bookmarks %t: %v, %+v", bookmarks, err, feed)
		}
	}
	list, err := events.List(t.Context(), &metainternalversion.ListOptions{})
	if err != nil || list.(*mintmarkv1alpha1.TokenReviewEventList).ResourceVersion != "7" {
		t.Errorf("a list: %v, %v", list, err)
	}
	table, err := events.ConvertToTable(t.Context(), list, &metav1.TableOptions{})
	if err != nil || len(table.Rows) != 1 || table.Rows[0].Cells[0] != "pods ns/p" {
		t.Errorf("a table: %v, %v", table, err)
	}
}
