package scheme

import (
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

// addEvents registers the internal version of events.k8s.io, whose objects are those of the core group, and how the published
// type, whose fields have other names, becomes one of these and back. So both groups share one storage.
func addEvents(s *runtime.Scheme) {
	internal := schema.GroupVersion{Group: eventsv1.GroupName, Version: runtime.APIVersionInternal}
	s.AddKnownTypes(internal, &corev1.Event{}, &corev1.EventList{})
	addConversion(s, toCoreEvent)
	addConversion(s, fromCoreEvent)
	addConversion(s, func(from *eventsv1.EventList, to *corev1.EventList) {
		to.ListMeta, to.Items = from.ListMeta, convertAll(from.Items, toCoreEvent)
	})
	addConversion(s, func(from *corev1.EventList, to *eventsv1.EventList) {
		to.ListMeta, to.Items = from.ListMeta, convertAll(from.Items, fromCoreEvent)
	})
}

// addConversion registers how an object of one type becomes one of another. The two share what the fields point to.
func addConversion[From, To any](s *runtime.Scheme, convert func(*From, *To)) {
	utilruntime.Must(s.AddConversionFunc((*From)(nil), (*To)(nil), func(from, to any, _ conversion.Scope) error {
		convert(from.(*From), to.(*To))
		return nil
	}))
}

func convertAll[From, To any](from []From, convert func(*From, *To)) []To {
	if from == nil {
		return nil
	}
	to := make([]To, len(from))
	for i := range from {
		convert(&from[i], &to[i])
	}
	return to
}

func toCoreEvent(from *eventsv1.Event, to *corev1.Event) {
	*to = corev1.Event{
		ObjectMeta:          from.ObjectMeta,
		InvolvedObject:      from.Regarding,
		Reason:              from.Reason,
		Message:             from.Note,
		Source:              from.DeprecatedSource,
		FirstTimestamp:      from.DeprecatedFirstTimestamp,
		LastTimestamp:       from.DeprecatedLastTimestamp,
		Count:               from.DeprecatedCount,
		Type:                from.Type,
		EventTime:           from.EventTime,
		Series:              (*corev1.EventSeries)(from.Series),
		Action:              from.Action,
		Related:             from.Related,
		ReportingController: from.ReportingController,
		ReportingInstance:   from.ReportingInstance,
	}
}

func fromCoreEvent(from *corev1.Event, to *eventsv1.Event) {
	*to = eventsv1.Event{
		ObjectMeta:               from.ObjectMeta,
		EventTime:                from.EventTime,
		Series:                   (*eventsv1.EventSeries)(from.Series),
		ReportingController:      from.ReportingController,
		ReportingInstance:        from.ReportingInstance,
		Action:                   from.Action,
		Reason:                   from.Reason,
		Regarding:                from.InvolvedObject,
		Related:                  from.Related,
		Note:                     from.Message,
		Type:                     from.Type,
		DeprecatedSource:         from.Source,
		DeprecatedFirstTimestamp: from.FirstTimestamp,
		DeprecatedLastTimestamp:  from.LastTimestamp,
		DeprecatedCount:          from.Count,
	}
}
