package openshift

import (
	"context"
	"strings"
	"time"

	oauthv1 "github.com/openshift/api/oauth/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	"github.com/mintmark/mintmark/internal/registry"
)

// grant holds the fields that access tokens and authorize tokens share: a user's grant to a client.
type grant struct {
	meta          *metav1.ObjectMeta
	client        string
	user, userUID string
	scopes        []string
	redirectURI   string
	expiresIn     int64
}

// token is a kind of tokens.
type token interface {
	runtime.Object
	metav1.Object
}

// newTokenStore returns the storage of a kind of tokens, which removes them when they have ended. It fills in the parts
// of the definition that all kinds share.
func newTokenStore[T token](getter generic.RESTOptionsGetter, d registry.Definition, grantOf func(T) grant, more func(T, fields.Set),
) (*genericregistry.Store, error) {
	d.Group, d.ReturnsDeleted = oauthv1.GroupName, true
	d.Attrs = registry.Selectable(func(token T, set fields.Set) {
		g := grantOf(token)
		set["clientName"], set["userName"], set["userUID"] = g.client, g.user, g.userUID
		if more != nil {
			more(token, set)
		}
	})
	store, err := registry.NewStore(getter, d)
	if err != nil {
		return nil, err
	}
	store.TTLFunc = leases(func(token T) int64 { return grantOf(token).expiresIn })
	return store, nil
}

// tokenStrategy has the validation that all kinds of tokens share.
type tokenStrategy struct {
	strategy
	clients clients
}

// validate checks a new token, and in the end whether its client may have it; own are the errors of its kind.
func (s tokenStrategy) validate(ctx context.Context, g grant, own field.ErrorList) field.ErrorList {
	errs := validation.ValidateObjectMeta(g.meta, false, validateTokenName, metadataPath)
	errs = append(errs, validateClientName(g.client)...)
	errs = append(errs, validateGrantee(g.user)...)
	errs = append(errs, validateScopes(g.scopes, scopesPath)...)
	errs = append(errs, required(userUIDPath, g.userUID)...)
	errs = append(errs, own...)
	errs = append(errs, validateLife(g.expiresIn)...)
	return append(errs, s.clients.check(ctx, g.client, g.scopes)...)
}

// tokenTable shows tokens that are stored.
func tokenTable[T token](docs map[string]string, grantOf func(T) grant) *registry.Table[T] {
	return &registry.Table[T]{
		Columns: append([]metav1.TableColumnDefinition{registry.NameColumn, nameOf("User Name", docs["userName"])}, tokenColumns(docs)...),
		Cells: func(token T) []any {
			g := grantOf(token)
			return append([]any{g.meta.Name, g.user}, tokenCells(g)...)
		},
	}
}

// nameOf is a column with the names of other objects.
func nameOf(name, description string) metav1.TableColumnDefinition {
	column := registry.Column(name, description)
	column.Format = "name"
	return column
}

// tokenColumns are the columns that all kinds of tokens have.
func tokenColumns(docs map[string]string) []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameOf("Client Name", docs["clientName"]),
		registry.Column("Created", metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"]),
		registry.Column("Expires", docs["expiresIn"]),
		registry.Column("Redirect URI", docs["redirectURI"]),
		registry.Column("Scopes", docs["scopes"]),
	}
}

func tokenCells(g grant) []any {
	expires := "never"
	if g.expiresIn > 0 {
		expires = g.meta.CreationTimestamp.Add(time.Duration(min(g.expiresIn, maxExpiresIn)) * time.Second).UTC().String()
	}
	return []any{g.client, registry.Age(g.meta.CreationTimestamp), expires, g.redirectURI, strings.Join(g.scopes, ",")}
}
