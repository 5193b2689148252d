package events

import (
	"fmt"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mintmark/mintmark/internal/registry"
)

const (
	maxName   = 128 // of an instance, an action and a reason
	maxNote   = 1024
	elsewhere = "does not match event.namespace"
)

// validateEvent checks an event by the rules of both groups. Fields have their names in the core API but for the reporting
// controller.
func validateEvent(event *corev1.Event, version schema.GroupVersion) field.ErrorList {
	var errs field.ErrorList
	namespace := event.InvolvedObject.Namespace
	wrong := func() field.ErrorList {
		return append(errs, field.Invalid(field.NewPath("involvedObject", "namespace"), namespace, elsewhere))
	}
	if event.EventTime.IsZero() {
		// An event in the old form lies beside its object. One about an object in no namespace lies in default.
		if namespace != event.Namespace && (namespace != "" || event.Namespace != metav1.NamespaceDefault) {
			errs = wrong()
		}
	} else {
		if namespace == "" && event.Namespace != metav1.NamespaceDefault && event.Namespace != metav1.NamespaceSystem {
			errs = wrong()
		}
		errs = append(errs, validateReport(event, version)...)
	}
	return append(errs, registry.Problems(field.NewPath("namespace"), event.Namespace, utilvalidation.IsDNS1123Subdomain)...)
}

// validateReport checks that an event in the new form says who reports what.
func validateReport(event *corev1.Event, version schema.GroupVersion) field.ErrorList {
	path := field.NewPath("reportingController")
	if version == corev1.SchemeGroupVersion {
		path = field.NewPath("reportingComponent")
	}
	var errs field.ErrorList
	if event.ReportingController == "" {
		errs = append(errs, field.Required(path, ""))
	}
	errs = append(errs, registry.Problems(path, event.ReportingController, utilvalidation.IsQualifiedName)...)
	for _, text := range []struct{ field, value string }{
		{"reportingInstance", event.ReportingInstance}, {"action", event.Action}, {"reason", event.Reason},
	} {
		if text.value == "" {
			errs = append(errs, field.Required(field.NewPath(text.field), ""))
		}
		errs = append(errs, limit(text.field, text.value, maxName)...)
	}
	return append(errs, limit("message", event.Message, maxNote)...)
}

func limit(name, value string, most int) field.ErrorList {
	if len(value) <= most {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath(name), "", fmt.Sprintf("can have at most %d characters", most))}
}

// validateNewEvent checks what events.k8s.io demands besides: the new form, and none of the old fields.
func validateNewEvent(event *corev1.Event) field.ErrorList {
	errs := validation.ValidateObjectMeta(&event.ObjectMeta, true, validation.NameIsDNSSubdomain, registry.MetadataPath)
	errs = append(errs, validateSeries(event.Series)...)
	if event.EventTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("eventTime"), ""))
	}
	if event.Type != corev1.EventTypeNormal && event.Type != corev1.EventTypeWarning {
		errs = append(errs, field.Invalid(field.NewPath("type"), "", "has invalid value: "+event.Type))
	}
	for _, old := range []struct {
		field string
		set   bool
	}{
		{"firstTimestamp", !event.FirstTimestamp.IsZero()},
		{"lastTimestamp", !event.LastTimestamp.IsZero()},
		{"count", event.Count != 0},
		{"source", event.Source != corev1.EventSource{}},
	} {
		if old.set {
			errs = append(errs, field.Invalid(field.NewPath(old.field), "", "needs to be unset"))
		}
	}
	return errs
}

func validateSeries(series *corev1.EventSeries) field.ErrorList {
	if series == nil {
		return nil
	}
	var errs field.ErrorList
	if series.Count < 2 {
		errs = append(errs, field.Invalid(field.NewPath("series.count"), "", "should be at least 2"))
	}
	if series.LastObservedTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("series.lastObservedTime"), ""))
	}
	return errs
}

// validateNewEventUpdate checks that, in events.k8s.io, only the series and the metadata change. A changed reason is told
// twice, as kube-apiserver does.
func validateNewEventUpdate(event, old *corev1.Event) field.ErrorList {
	errs := registry.ValidateMetadataUpdate(&event.ObjectMeta, &old.ObjectMeta)
	if !reflect.DeepEqual(event.Series, old.Series) {
		errs = append(errs, validateSeries(event.Series)...)
	}
	same := func(name string, value, before any) {
		errs = append(errs, validation.ValidateImmutableField(value, before, field.NewPath(name))...)
	}
	same("involvedObject", shownReference(event.InvolvedObject), shownReference(old.InvolvedObject))
	same("reason", event.Reason, old.Reason)
	same("message", event.Message, old.Message)
	same("source", shownSource(event.Source), shownSource(old.Source))
	same("firstTimestamp", event.FirstTimestamp, old.FirstTimestamp)
	same("lastTimestamp", event.LastTimestamp, old.LastTimestamp)
	same("count", event.Count, old.Count)
	same("reason", event.Reason, old.Reason)
	same("type", event.Type, old.Type)
	// Protobuf carries nanoseconds, which JSON has dropped.
	if !event.EventTime.Truncate(time.Microsecond).Equal(old.EventTime.Truncate(time.Microsecond)) {
		same("eventTime", event.EventTime, old.EventTime)
	}
	same("action", event.Action, old.Action)
	same("related", (*shownReference)(event.Related), (*shownReference)(old.Related))
	same("reportingController", event.ReportingController, old.ReportingController)
	same("reportingInstance", event.ReportingInstance, old.ReportingInstance)
	return errs
}

// shownReference and shownSource are the types as errors show them: under the names of the fields in Go.
type (
	shownReference struct {
		Kind            string
		Namespace       string
		Name            string
		UID             types.UID
		APIVersion      string
		ResourceVersion string
		FieldPath       string
	}
	shownSource struct{ Component, Host string }
)
