package registry

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metatable "k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

var _ rest.TableConvertor = (*Table[*corev1.Secret])(nil)

// Table shows objects of type T as rows, which is how kubectl get asks for them.
type Table[T runtime.Object] struct {
	// Columns begin with the name. Those of priority 1 are shown with -o wide only, but are always sent.
	Columns []metav1.TableColumnDefinition
	// Cells are one object's values for the columns, of types that JSON knows.
	Cells func(obj T) []any
	// Conditions, if any, marks the rows of objects that have ended, which clients may hide.
	Conditions func(obj T) []metav1.TableRowCondition
}

// ConvertToTable makes a table of an object or a list.
func (t *Table[T]) ConvertToTable(_ context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	result := &metav1.Table{Rows: []metav1.TableRow{}}
	if o, ok := options.(*metav1.TableOptions); !ok || o == nil || !o.NoHeaders {
		result.ColumnDefinitions = t.Columns
	}
	if m, err := meta.ListAccessor(obj); err == nil {
		result.ResourceVersion = m.GetResourceVersion()
		result.Continue = m.GetContinue()
		result.RemainingItemCount = m.GetRemainingItemCount()
	} else if m, err := meta.CommonAccessor(obj); err == nil {
		result.ResourceVersion = m.GetResourceVersion()
	}
	addRow := func(item runtime.Object) error {
		o, ok := item.(T)
		if !ok {
			return fmt.Errorf("a %T has no row in this table", item)
		}
		row := metav1.TableRow{Cells: t.Cells(o), Object: runtime.RawExtension{Object: item}}
		if len(row.Cells) != len(t.Columns) {
			return fmt.Errorf("a %T has %d cells for the %d columns of its table", item, len(row.Cells), len(t.Columns))
		}
		if t.Conditions != nil {
			row.Conditions = t.Conditions(o)
		}
		result.Rows = append(result.Rows, row)
		return nil
	}
	if meta.IsListType(obj) {
		return result, meta.EachListItem(obj, addRow)
	}
	return result, addRow(obj)
}

var metadataDocs = metav1.ObjectMeta{}.SwaggerDoc()

var (
	// NameColumn is the first column of every table.
	NameColumn = metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name", Description: metadataDocs["name"]}
	// AgeColumn says how old an object is.
	AgeColumn = metav1.TableColumnDefinition{Name: "Age", Type: "string", Description: metadataDocs["creationTimestamp"]}
)

// Column is a column of texts.
func Column(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "string", Description: description}
}

// WideColumn is a column of texts that is shown with -o wide only.
func WideColumn(name, description string) metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: name, Type: "string", Description: description, Priority: 1}
}

// Age returns how long ago a time was, in the short form that kubectl shows.
func Age(t metav1.Time) string {
	return metatable.ConvertToHumanReadableDateType(t)
}

// OrNone returns the text of a cell whose value may be missing.
func OrNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

// OrUnknown returns the text of a cell whose value should be there.
func OrUnknown(s string) string {
	if s == "" {
		return "<unknown>"
	}
	return s
}
