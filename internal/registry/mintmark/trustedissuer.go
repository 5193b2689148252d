package mintmark

import (
	"context"
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/trustedissuer"
)

// TrustedIssuers is what trustedissuers needs of the rest of the server.
type TrustedIssuers struct {
	// Authorizer tells whether a caller may have an issuer trusted.
	Authorizer authorizer.UnconditionalAuthorizer
	// Elsewhere says, in a few words, where else the tokens of an issuer are accepted; "" if nowhere.
	Elsewhere func(url string) string
	// Holder returns the name of the object with a url; "" if there is none. It need not know of objects that were made through
	// another replica a moment ago.
	Holder func(url string) string
	// Namesake returns the name of an object, other than the named one, whose users' names have the same prefix; "" if there is none.
	Namesake func(name, prefix string) string
}

// trustedIssuers is the storage of trustedissuers.
type trustedIssuers struct {
	*genericregistry.Store
	TrustedIssuers
}

var _ interface {
	rest.StandardStorage
	rest.Scoper
	rest.SingularNameProvider
	rest.ResetFieldsStrategy
	rest.StorageVersionProvider
} = (*trustedIssuers)(nil)

// newTrustedIssuers returns the storage of trustedissuers and of their status.
func newTrustedIssuers(getter generic.RESTOptionsGetter, cfg TrustedIssuers) (*trustedIssuers, *registry.Subresource, error) {
	store, err := registry.NewStore(getter, registry.Definition{
		Group:     mintmarkv1alpha1.GroupName,
		Plural:    "trustedissuers",
		Singular:  "trustedissuer",
		NewObject: func() runtime.Object { return &mintmarkv1alpha1.TrustedIssuer{} },
		NewList:   func() runtime.Object { return &mintmarkv1alpha1.TrustedIssuerList{} },
		Strategy:  trustedIssuerStrategy{registry.ClusterStrategy, cfg},
		Table:     trustedIssuerTable,
		Attrs:     registry.Selectable[*mintmarkv1alpha1.TrustedIssuer](nil),
	})
	if err != nil {
		return nil, nil, err
	}
	// No finalizer, such as the garbage collector's, keeps an issuer trusted that was deleted.
	store.EnableGarbageCollection = false
	return &trustedIssuers{store, cfg}, registry.NewSubresource(store, trustedIssuerStatusStrategy{registry.ClusterStrategy}), nil
}

// Create has an issuer trusted, if the caller may.
func (s *trustedIssuers) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	issuer, ok := obj.(*mintmarkv1alpha1.TrustedIssuer)
	if !ok {
		return nil, apierrors.NewBadRequest("not a TrustedIssuer")
	}
	if err := s.permit(ctx, issuer.Name, &issuer.Spec); err != nil {
		return nil, err
	}
	return s.Store.Create(ctx, obj, validate, options)
}

// Update changes an issuer, or makes it where an apply may. The caller must be allowed to have it trusted if the spec changes.
func (s *trustedIssuers) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, mayCreate bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	info = rest.WrapUpdatedObjectInfo(info, func(ctx context.Context, obj, old runtime.Object) (runtime.Object, error) {
		issuer, before := obj.(*mintmarkv1alpha1.TrustedIssuer), old.(*mintmarkv1alpha1.TrustedIssuer)
		if before.UID != "" && apiequality.Semantic.DeepEqual(issuer.Spec, before.Spec) {
			return obj, nil
		}
		return obj, s.permit(ctx, name, &issuer.Spec)
	})
	return s.Store.Update(ctx, name, info, create, update, mayCreate, options)
}

// trustedIssuerStrategy has the spec change but for the url, and leaves the status to the status subresource.
type trustedIssuerStrategy struct {
	registry.CommonStrategy
	TrustedIssuers
}

// GetResetFields names what a client that applies an issuer doesn't own.
func (trustedIssuerStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return registry.ResetFieldsOf(mintmarkv1alpha1.SchemeGroupVersion, fieldpath.MakePathOrDie("status"))
}

// PrepareForCreate begins without a status.
func (trustedIssuerStrategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	issuer := obj.(*mintmarkv1alpha1.TrustedIssuer)
	issuer.Status = mintmarkv1alpha1.TrustedIssuerStatus{}
	issuer.Generation = 1
}

// PrepareForUpdate keeps the status, and counts the changes of the spec.
func (trustedIssuerStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	issuer, before := obj.(*mintmarkv1alpha1.TrustedIssuer), old.(*mintmarkv1alpha1.TrustedIssuer)
	issuer.Status = before.Status
	issuer.Generation = before.Generation
	if !apiequality.Semantic.DeepEqual(issuer.Spec, before.Spec) {
		issuer.Generation++
	}
}

// Validate checks a new issuer, also against the other ones.
func (s trustedIssuerStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	issuer := obj.(*mintmarkv1alpha1.TrustedIssuer)
	errs := append(validateIssuerMetadata(&issuer.ObjectMeta), validateIssuer(&issuer.Spec)...)
	if err := s.confirmOnly(issuer); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// WarningsOnCreate warns of names that are those of accounts here, or of another issuer's users.
func (s trustedIssuerStrategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	return s.warnings(obj.(*mintmarkv1alpha1.TrustedIssuer))
}

// WarningsOnUpdate does so if the spec changes.
func (s trustedIssuerStrategy) WarningsOnUpdate(_ context.Context, obj, old runtime.Object) []string {
	issuer, before := obj.(*mintmarkv1alpha1.TrustedIssuer), old.(*mintmarkv1alpha1.TrustedIssuer)
	if apiequality.Semantic.DeepEqual(issuer.Spec, before.Spec) {
		return nil
	}
	return s.warnings(issuer)
}

func (s trustedIssuerStrategy) warnings(issuer *mintmarkv1alpha1.TrustedIssuer) []string {
	if prefix := trustedissuer.PrefixOf(&issuer.Spec); prefix != "" {
		if other := s.Namesake(issuer.Name, prefix); other != "" {
			return []string{fmt.Sprintf("the trusted issuer %s has the prefix %q, too: a user of the one may have the name, and so the rights, of a user of the other. "+
				"Take another prefix, unless the two may speak for each other", other, prefix)}
		}
		return nil
	}
	if issuer.Spec.Kubernetes == nil {
		return nil
	}
	return []string{"spec.kubernetes has no prefix, so the tokens' users are named like accounts of this server. Set a prefix if a relying party asks this server for access reviews: " +
		"those about these users are denied, and those that leave out the user's extra are about the account here"}
}

// ValidateUpdate checks a changed issuer.
func (trustedIssuerStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	issuer, before := obj.(*mintmarkv1alpha1.TrustedIssuer), old.(*mintmarkv1alpha1.TrustedIssuer)
	errs := append(validateIssuerMetadata(&issuer.ObjectMeta), registry.ValidateMetadataUpdate(&issuer.ObjectMeta, &before.ObjectMeta)...)
	if apiequality.Semantic.DeepEqual(issuer.Spec, before.Spec) {
		return errs // what was stored by an earlier version must not keep its metadata from changing
	}
	errs = append(errs, validateIssuer(&issuer.Spec)...)
	if issuer.Spec.URL != before.Spec.URL {
		errs = append(errs, field.Forbidden(specPath.Child("url"), "can't be changed: make another object for the other issuer, and delete this one"))
	}
	return errs
}

// validateIssuerMetadata checks the metadata. With a finalizer an issuer would stay trusted after it was deleted.
func validateIssuerMetadata(object *metav1.ObjectMeta) field.ErrorList {
	errs := registry.ValidateMetadata(object, false, validation.NameIsDNSSubdomain)
	if len(object.Finalizers) > 0 {
		errs = append(errs, field.Forbidden(registry.MetadataPath.Child("finalizers"), "an issuer that is deleted must be trusted no longer"))
	}
	return errs
}

// confirmOnly returns an error if the tokens of an issuer are accepted in another place as well. Two objects that are made at the
// same moment, through two replicas, may both be stored: then the older one counts.
func (s trustedIssuerStrategy) confirmOnly(issuer *mintmarkv1alpha1.TrustedIssuer) *field.Error {
	path, url := specPath.Child("url"), issuer.Spec.URL
	if len(url) == 0 || len(url) > maxText {
		return nil
	}
	advice := ""
	if issuer.Spec.Kubernetes != nil {
		advice = ownIssuerAdvice
	}
	if where := s.Elsewhere(url); where != "" {
		return field.Invalid(path, url, "is "+where+advice)
	}
	if holder := s.Holder(url); holder != "" && holder != issuer.Name {
		return field.Invalid(path, url, "is the url of the trusted issuer "+holder+": change that one, or delete it first"+advice)
	}
	return nil
}

// ownIssuerAdvice says what to do about two clusters with one issuer, such as the one that kubeadm gives to all.
const ownIssuerAdvice = ". If two clusters have this issuer, their tokens can't be told apart: give one of them an issuer of its own, " +
	"as the first --service-account-issuer of its kube-apiserver, and keep the present one there as the second"

// trustedIssuerStatusStrategy has the status change, and nothing else.
type trustedIssuerStatusStrategy struct{ registry.CommonStrategy }

// GetResetFields names what a client that applies a status doesn't own.
func (trustedIssuerStatusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return registry.ResetFieldsOf(mintmarkv1alpha1.SchemeGroupVersion, fieldpath.MakePathOrDie("spec"), fieldpath.MakePathOrDie("metadata"))
}

// PrepareForUpdate keeps all but the status.
func (trustedIssuerStatusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	issuer, before := obj.(*mintmarkv1alpha1.TrustedIssuer), old.(*mintmarkv1alpha1.TrustedIssuer)
	issuer.Spec = before.Spec
	metav1.ResetObjectMetaForStatus(&issuer.ObjectMeta, &before.ObjectMeta)
}

// Validate is not asked: a status is never created.
func (trustedIssuerStatusStrategy) Validate(context.Context, runtime.Object) field.ErrorList {
	return nil
}

// ValidateUpdate checks the conditions.
func (trustedIssuerStatusStrategy) ValidateUpdate(_ context.Context, obj, _ runtime.Object) field.ErrorList {
	return validateIssuerStatus(&obj.(*mintmarkv1alpha1.TrustedIssuer).Status)
}
