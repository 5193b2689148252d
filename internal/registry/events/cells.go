package events

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/registry"
)

// cells returns the row of an event. Times and counts are in the old fields, in the new ones, or in the series.
func cells(event *corev1.Event) []any {
	first, last, count := event.FirstTimestamp, event.LastTimestamp, event.Count
	if first.IsZero() {
		first = metav1.Time(event.EventTime)
	}
	if last.IsZero() {
		last = first
	}
	switch {
	case event.Series != nil:
		last, count = metav1.Time(event.Series.LastObservedTime), event.Series.Count
	case count == 0:
		count = 1
	}
	object := strings.ToLower(event.InvolvedObject.Kind)
	if name := event.InvolvedObject.Name; name != "" {
		object += "/" + name
	}
	source := cmp.Or(event.Source.Component, event.ReportingController)
	if instance := cmp.Or(event.Source.Host, event.ReportingInstance); instance != "" {
		source += ", " + instance
	}
	return []any{
		registry.Age(last), event.Type, event.Reason, object, event.InvolvedObject.FieldPath, source,
		strings.TrimSpace(event.Message), registry.Age(first), int64(count), event.Name,
	}
}
