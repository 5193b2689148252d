package apiserver

import (
	"reflect"
	"slices"
	"testing"

	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/oauth"
	"github.com/mintmark/mintmark/internal/revocation"
	"github.com/mintmark/mintmark/internal/trustedissuer"
)

// TestEveryViewIsRun: a view of an index that isn't among the views of the server would stay empty for ever.
func TestEveryViewIsRun(t *testing.T) {
	index, roles, openShift := boundobject.NewIndex(), authz.NewIndex(), &openShift{index: oauth.NewIndex()}
	known := newViews(nil, 0, index, roles, revocation.NewSet(), trustedissuer.New(trustedissuer.Config{}), &keys{}, openShift).list
	for _, x := range []any{index, roles, openShift.index} {
		fields := reflect.ValueOf(x).Elem()
		for i := range fields.NumField() {
			field := fields.Type().Field(i)
			if !field.IsExported() {
				continue
			}
			if v, ok := fields.Field(i).Interface().(storedView); ok && !slices.Contains(known, v) {
				t.Errorf("%s.%s is not among the views", fields.Type(), field.Name)
			}
		}
	}
}
