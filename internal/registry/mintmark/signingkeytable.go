package mintmark

import (
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/registry"
)

// signingKeyTable shows instants rather than how far away they are: they are plans, and a watch shows them once.
var signingKeyTable = &registry.Table[*mintmarkv1alpha1.SigningKey]{
	Columns: []metav1.TableColumnDefinition{
		registry.NameColumn,
		registry.Column("State", "Prepared, Active, Retired or Gone, as a server noted it last."),
		registry.Column("Algorithm", "The JWS algorithm with which the key signs."),
		registry.Column("Key-ID", "The kid in the header of the key's tokens."),
		registry.Column("Signs-Since", "When the key began to sign, or will."),
		registry.Column("Tokens-Until", "The latest end of a token that the key may have signed."),
		registry.AgeColumn,
		registry.WideColumn("Published", "Since when the key is in the published key set."),
		registry.WideColumn("Hidden", "Whether the key is kept out of the published key set."),
	},
	Cells: func(key *mintmarkv1alpha1.SigningKey) []any {
		published := instant(key.Spec.PublishedFrom)
		if key.Spec.Hidden {
			published = none
		}
		return []any{
			key.Name, registry.OrUnknown(string(key.Status.State)), registry.OrNone(key.Spec.Algorithm), registry.OrNone(key.Spec.KeyID),
			instant(signsSince(key)), tokensUntil(key), registry.Age(key.CreationTimestamp),
			published, strconv.FormatBool(key.Spec.Hidden),
		}
	},
}

// none is the text of a cell for an instant that there is not.
const none = "<none>"

func instant(t *metav1.Time) string {
	if t.IsZero() {
		return none
	}
	return t.UTC().Format(time.RFC3339)
}

// signsSince is when a key began to sign: as noted, else as planned.
func signsSince(key *mintmarkv1alpha1.SigningKey) *metav1.Time {
	if key.Status.SigningSince != nil {
		return key.Status.SigningSince
	}
	return key.Spec.SignsFrom
}

// tokensUntil is the text for the end of a key's last token. A token in a secret has no end.
func tokensUntil(key *mintmarkv1alpha1.SigningKey) string {
	if key.Status.LegacyTokens {
		return "<no end>"
	}
	return instant(key.Status.TokensUntil)
}
