package mintmark

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/registry"
)

var trustedIssuerTable = &registry.Table[*mintmarkv1alpha1.TrustedIssuer]{
	Columns: []metav1.TableColumnDefinition{
		registry.NameColumn,
		registry.Column("URL", "The claim iss of the issuer's tokens."),
		registry.Column("State", "Whether tokens of the issuer are accepted, as a server noted it last."),
		registry.Column("Keys", "How many keys the issuer has."),
		registry.Column("Last-Refresh", "When the keys were read; Inline if they are those of spec.jwks, which are never read from elsewhere."),
		registry.AgeColumn,
		registry.WideColumn("Audiences", "The audiences for which tokens are accepted."),
		registry.WideColumn("Message", "What is wrong, for people."),
	},
	Cells: func(issuer *mintmarkv1alpha1.TrustedIssuer) []any {
		state, message := issuerState(issuer)
		return []any{
			issuer.Name, issuer.Spec.URL, state, strconv.Itoa(len(issuer.Status.KeyIDs)), lastRefresh(issuer),
			registry.Age(issuer.CreationTimestamp), registry.OrNone(strings.Join(issuer.Spec.Audiences, ",")), registry.OrNone(message),
		}
	},
}

// issuerState returns the state of an issuer in a word, and what is wrong.
func issuerState(issuer *mintmarkv1alpha1.TrustedIssuer) (state, message string) {
	ready := meta.FindStatusCondition(issuer.Status.Conditions, mintmarkv1alpha1.TrustedIssuerReady)
	switch {
	case ready == nil:
		return registry.OrUnknown(""), ""
	case ready.Status == metav1.ConditionTrue:
		return mintmarkv1alpha1.TrustedIssuerReady, ""
	}
	return registry.OrUnknown(ready.Reason), ready.Message
}

// lastRefresh returns when the keys of an issuer were read.
func lastRefresh(issuer *mintmarkv1alpha1.TrustedIssuer) string {
	if issuer.Spec.JWKS != "" {
		return "Inline"
	}
	return instant(issuer.Status.KeysReadTime)
}
