package registry

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A row that does not fit the columns is an error.
func TestCellsFitColumns(t *testing.T) {
	t.Parallel()
	for cells, want := range map[int]string{1: "1 cells for the 2 columns", 2: "", 3: "3 cells for the 2 columns"} {
		table := &Table[*corev1.Secret]{
			Columns: []metav1.TableColumnDefinition{NameColumn, AgeColumn},
			Cells:   func(*corev1.Secret) []any { return make([]any, cells) },
		}
		_, err := table.ConvertToTable(t.Context(), &corev1.Secret{}, nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d cells: %v", cells, err)
		}
	}
}
