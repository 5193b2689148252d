package mintmark

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/revocation"
)

var tokenRevocationTable = &registry.Table[*mintmarkv1alpha1.TokenRevocation]{
	Columns: []metav1.TableColumnDefinition{
		registry.NameColumn,
		registry.Column("Covers", "The tokens or client certificates that are taken back."),
		registry.Column("Issued-Before", "The instant before which they were issued."),
		registry.Column("Expires", "When none of them can be alive, and the entry is removed."),
		registry.AgeColumn,
		registry.WideColumn("Revoked-By", "The user who took them back."),
		registry.WideColumn("Reason", "Why, for people."),
	},
	Cells: func(r *mintmarkv1alpha1.TokenRevocation) []any {
		return []any{
			r.Name, revocation.Covered(&r.Spec), instant(r.Spec.IssuedBefore), instant(r.Status.Expires), registry.Age(r.CreationTimestamp),
			registry.OrUnknown(r.Status.RevokedBy), registry.OrNone(r.Spec.Reason),
		}
	},
}
