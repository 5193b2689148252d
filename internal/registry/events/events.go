// Package events provides the REST storage of events, which the core API and events.k8s.io share: an event that is written in
// one of the groups is read in the other one under other names of the fields.
//
// Events are stored as the core API's, with a lease of etcd, by which they are gone after a while. No view holds them and the
// garbage collector ignores them.
package events

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
)

// storage serves events in both groups.
type storage struct {
	*genericregistry.Store
}

var _ interface {
	rest.StandardStorage
	rest.Scoper
	rest.ShortNamesProvider
	rest.SingularNameProvider
} = (*storage)(nil)

func (*storage) ShortNames() []string { return []string{"ev"} }

// Storage adds events to the core group and returns the group events.k8s.io. Events are kept for the time ttl after the last
// write, 0 for ever.
func Storage(getter generic.RESTOptionsGetter, ttl time.Duration, core registry.Group) (registry.Group, error) {
	store, err := registry.NewStore(getter, registry.Definition{
		Plural:    "events",
		Singular:  "event",
		NewObject: func() runtime.Object { return &corev1.Event{} },
		NewList:   func() runtime.Object { return &corev1.EventList{} },
		Strategy:  strategy{registry.NamespacedStrategy},
		Table:     table,
		Attrs:     registry.Selectable(addFields),
	})
	if err != nil {
		return registry.Group{}, err
	}
	store.TTLFunc = func(runtime.Object, uint64, bool) (uint64, error) { return uint64(ttl.Seconds()), nil }
	served := &storage{store}
	core.Resources["events"] = served
	return registry.Group{Version: eventsv1.SchemeGroupVersion, Resources: map[string]rest.Storage{"events": served}}, nil
}

// addFields adds the fields by which events are selected, by their names in the core API.
func addFields(event *corev1.Event, set fields.Set) {
	object, source := &event.InvolvedObject, event.Source.Component
	if source == "" {
		source = event.ReportingController
	}
	set["involvedObject.kind"] = object.Kind
	set["involvedObject.namespace"] = object.Namespace
	set["involvedObject.name"] = object.Name
	set["involvedObject.uid"] = string(object.UID)
	set["involvedObject.apiVersion"] = object.APIVersion
	set["involvedObject.resourceVersion"] = object.ResourceVersion
	set["involvedObject.fieldPath"] = object.FieldPath
	set["reason"] = event.Reason
	set["reportingComponent"] = event.ReportingController
	set["source"] = source
	set["type"] = event.Type
}

type strategy struct{ registry.CommonStrategy }

var _ rest.GarbageCollectionDeleteStrategy = strategy{}

// DefaultGarbageCollectionPolicy has events deleted at once, whatever the request says about dependents.
func (strategy) DefaultGarbageCollectionPolicy(context.Context) rest.GarbageCollectionPolicy {
	return rest.Unsupported
}

// AllowCreateOnUpdate is true: a PUT of an event that doesn't exist creates it.
func (strategy) AllowCreateOnUpdate(context.Context) bool { return true }

// Validate checks an event by the rules of the group in which it is created.
func (strategy) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	event, version := obj.(*corev1.Event), requestVersion(ctx)
	errs := validateEvent(event, version)
	if version != corev1.SchemeGroupVersion {
		errs = append(errs, validateNewEvent(event)...)
	}
	return errs
}

// ValidateUpdate checks a change by the rules of the group in which it is made.
func (strategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	event, version := obj.(*corev1.Event), requestVersion(ctx)
	errs := validateEvent(event, version)
	if version != corev1.SchemeGroupVersion {
		errs = append(errs, validateNewEventUpdate(event, old.(*corev1.Event))...)
	}
	return errs
}

// requestVersion returns the group version of a request.
func requestVersion(ctx context.Context) schema.GroupVersion {
	info, _ := genericapirequest.RequestInfoFrom(ctx)
	if info == nil {
		return schema.GroupVersion{}
	}
	return schema.GroupVersion{Group: info.APIGroup, Version: info.APIVersion}
}

var (
	docs       = corev1.Event{}.SwaggerDoc()
	objectDocs = corev1.ObjectReference{}.SwaggerDoc()
)

var table = &registry.Table[*corev1.Event]{
	Columns: []metav1.TableColumnDefinition{
		registry.Column("Last Seen", docs["lastTimestamp"]),
		registry.Column("Type", docs["type"]),
		registry.Column("Reason", docs["reason"]),
		registry.Column("Object", docs["involvedObject"]),
		registry.WideColumn("Subobject", objectDocs["fieldPath"]),
		registry.WideColumn("Source", docs["source"]),
		registry.Column("Message", docs["message"]),
		registry.WideColumn("First Seen", docs["firstTimestamp"]),
		registry.WideColumn("Count", docs["count"]),
		wideNameColumn(),
	},
	Cells: cells,
}

func wideNameColumn() metav1.TableColumnDefinition {
	column := registry.NameColumn
	column.Priority = 1
	return column
}
