package mintmark

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/revocation"
)

// Feed tells which verdicts of TokenReviews have ended.
type Feed interface {
	// Watch goes on from a resource version, or begins now if it is empty or initial is set. The error is an API error.
	Watch(ctx context.Context, resourceVersion string, initial bool) (watch.Interface, error)
	// Ending returns the events of the objects that are going to end, and the resource version to watch from.
	Ending() ([]mintmarkv1alpha1.TokenReviewEvent, string)
}

// tokenReviewEvents serves tokenreviewevents, which are watched and not stored.
type tokenReviewEvents struct {
	registry.Unstored
	rest.TableConvertor
	feed Feed
}

var _ interface {
	rest.Lister
	rest.Watcher
} = (*tokenReviewEvents)(nil)

func newTokenReviewEvents(feed Feed) *tokenReviewEvents {
	return &tokenReviewEvents{registry.Unstored{Empty: &mintmarkv1alpha1.TokenReviewEvent{}, Singular: "tokenreviewevent"}, tokenReviewEventTable, feed}
}

// NewList returns an empty list.
func (*tokenReviewEvents) NewList() runtime.Object { return &mintmarkv1alpha1.TokenReviewEventList{} }

// List returns an event for each object that is going to end.
func (e *tokenReviewEvents) List(_ context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	list := &mintmarkv1alpha1.TokenReviewEventList{}
	list.Items, list.ResourceVersion = e.feed.Ending()
	if selected(options) { // by a name or a label, which events don't have
		list.Items = []mintmarkv1alpha1.TokenReviewEvent{}
	}
	return list, nil
}

// Watch tells of what ends from now or a resource version on.
func (e *tokenReviewEvents) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	if selected(options) {
		// A client would take what is left out for a proof that nothing ended.
		return nil, apierrors.NewBadRequest("a watch of tokenreviewevents can't be limited by labels or fields")
	}
	// The library takes a watch without a version as one with initial events, also if there are to be no bookmarks.
	initial := options.AllowWatchBookmarks && options.SendInitialEvents != nil && *options.SendInitialEvents
	return e.feed.Watch(ctx, options.ResourceVersion, initial)
}

func selected(options *metainternalversion.ListOptions) bool {
	return options.LabelSelector != nil && !options.LabelSelector.Empty() || options.FieldSelector != nil && !options.FieldSelector.Empty()
}

var tokenReviewEventTable = &registry.Table[*mintmarkv1alpha1.TokenReviewEvent]{
	Columns: []metav1.TableColumnDefinition{
		{Name: "Ended", Type: "string", Description: "What ended."},
		registry.Column("Ends-At", "When it ends, if that is to come."),
		registry.Column("Proof", "Until when everything has been told."),
	},
	Cells: func(e *mintmarkv1alpha1.TokenReviewEvent) []any {
		what, at, proof := "", "", ""
		switch {
		case e.Object != nil:
			what, at = e.Object.Resource+" "+e.Object.Namespace+"/"+e.Object.Name, instant(e.Object.EndsAt)
		case e.Revocation != nil:
			what = revocation.Covered(e.Revocation)
		case e.Issuer != "":
			what = "the issuer " + e.Issuer
		case e.Everything:
			what = "everything"
		}
		if e.Proof != nil {
			proof = e.Proof.Time.UTC().Format(metav1.RFC3339Micro)
		}
		return []any{registry.OrNone(what), registry.OrNone(at), registry.OrNone(proof)}
	},
}
