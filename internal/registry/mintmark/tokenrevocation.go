package mintmark

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/audittrail"
	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// Revocations is what tokenrevocations needs of the rest of the server.
type Revocations struct {
	// Reviewer tells whether a caller holds a good token.
	Reviewer *tokenreview.Reviewer
	// Authorizer tells what callers may revoke besides the tokens that they hold.
	Authorizer authorizer.UnconditionalAuthorizer
	// Issuers are the issuers of service account tokens of this server.
	Issuers []string
	Ends    Ends
	// HasKey reports whether this server has a key with that id. Without an answer of the store it reports false.
	HasKey func(ctx context.Context, keyID string) bool
	Now    func() time.Time
}

// Ends tells when tokens end. Each method reports false if there may be a token without end.
type Ends interface {
	// Issued returns the latest end of the service account tokens that were issued so far and have an id.
	Issued(ctx context.Context) (time.Time, bool)
	// Account does so for all service account tokens of an account, or of all accounts for an empty namespace.
	Account(ctx context.Context, namespace, name string) (time.Time, bool)
	// Certificates returns the latest end of the client certificates that were issued so far.
	Certificates(ctx context.Context) (time.Time, bool)
	// Token returns the end of a good token, if the authenticator that accepts it insists on the end that the token names.
	Token(ctx context.Context, token string) (time.Time, bool)
}

// tokenRevocations is the storage of tokenrevocations.
type tokenRevocations struct {
	*genericregistry.Store
	Revocations
}

var _ interface {
	rest.StandardStorage
	rest.Scoper
	rest.SingularNameProvider
	rest.ResetFieldsStrategy
	rest.StorageVersionProvider
} = (*tokenRevocations)(nil)

func newTokenRevocations(getter generic.RESTOptionsGetter, cfg Revocations) (*tokenRevocations, error) {
	store, err := registry.NewStore(getter, registry.Definition{
		Group:     mintmarkv1alpha1.GroupName,
		Plural:    "tokenrevocations",
		Singular:  "tokenrevocation",
		NewObject: func() runtime.Object { return &mintmarkv1alpha1.TokenRevocation{} },
		NewList:   func() runtime.Object { return &mintmarkv1alpha1.TokenRevocationList{} },
		Strategy:  tokenRevocationStrategy{registry.ClusterStrategy, cfg.Issuers},
		Table:     tokenRevocationTable,
		Attrs:     registry.Selectable[*mintmarkv1alpha1.TokenRevocation](nil),
	})
	if err != nil {
		return nil, err
	}
	// A revocation has no owners and no dependents: it is gone when it is deleted.
	store.EnableGarbageCollection = false
	return &tokenRevocations{store, cfg}, nil
}

// Create takes tokens back: those that the caller may. When it returns without an error, they are refused by this process, and
// the entry is stored.
func (r *tokenRevocations) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	revocation, ok := obj.(*mintmarkv1alpha1.TokenRevocation)
	if !ok {
		return nil, apierrors.NewBadRequest("not a TokenRevocation")
	}
	if err := withoutToken(revocation); err != nil {
		return nil, err
	}
	token := revocation.Spec.Token
	good, err := r.permit(ctx, revocation)
	if err != nil {
		return nil, err
	}
	if err := validateChoice(&revocation.Spec); err != nil {
		return nil, invalidRevocation(revocation.Name, err)
	}
	if revocation.Name == "" && revocation.GenerateName == "" {
		revocation.Name = "revocation-" + uuid.NewString()
	}
	now := r.Now()
	r.replaceToken(&revocation.Spec)
	// The entry of a key of this server ends with this server's tokens, so it must not cover those of others.
	if spec := &revocation.Spec; spec.KeyID != "" && spec.Issuer == "" && r.HasKey(ctx, spec.KeyID) {
		spec.Issuer = r.Issuers[0]
	}
	normalize(&revocation.Spec, r.Issuers)
	if err := defaultInstant(&revocation.Spec, now); err != nil {
		return nil, invalidRevocation(revocation.Name, field.ErrorList{err})
	}
	at := metav1.NewTime(now).Rfc3339Copy()
	revocation.Status = mintmarkv1alpha1.TokenRevocationStatus{RevokedBy: revoker(ctx), RevokedAt: &at, Expires: r.expires(ctx, &revocation.Spec, token, good)}
	if token != "" && good == nil {
		warning.AddWarning(ctx, "", "this server does not accept the token now, or can't tell: check that it is the whole token")
	}
	created, err := r.Store.Create(ctx, revocation, validate, options)
	if made, ok := created.(*mintmarkv1alpha1.TokenRevocation); ok && err == nil && len(options.DryRun) == 0 {
		told := *made
		if slices.Contains(r.Issuers, told.Spec.Issuer) {
			told.Spec.Issuer = "" // events name the issuers of others
		}
		audittrail.NoteRevoked(ctx, &told)
	}
	return created, err
}

// revoker is the name of the caller.
func revoker(ctx context.Context) string {
	if caller, ok := genericapirequest.UserFrom(ctx); ok {
		return caller.GetName()
	}
	return ""
}

// Update changes metadata. If it may create, as an apply may, what it creates is created as by Create.
func (r *tokenRevocations) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc,
	update rest.ValidateObjectUpdateFunc, mayCreate bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	obj, created, err := r.Store.Update(ctx, name, info, create, update, false, options)
	if !mayCreate || !apierrors.IsNotFound(err) {
		return obj, created, err
	}
	if obj, err = info.UpdatedObject(ctx, r.New()); err != nil {
		return nil, false, err
	}
	obj, err = r.Create(ctx, obj, create, &metav1.CreateOptions{DryRun: options.DryRun, FieldManager: options.FieldManager, FieldValidation: options.FieldValidation})
	return obj, err == nil, err
}

func invalidRevocation(name string, errs field.ErrorList) error {
	return apierrors.NewInvalid(mintmarkv1alpha1.SchemeGroupVersion.WithKind("TokenRevocation").GroupKind(), name, errs)
}

// tokenRevocationStrategy has metadata change, and nothing else.
type tokenRevocationStrategy struct {
	registry.CommonStrategy
	issuers []string
}

// GetResetFields names what a client that applies a revocation doesn't own.
func (tokenRevocationStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(mintmarkv1alpha1.SchemeGroupVersion.String()): fieldpath.NewSet(
			fieldpath.MakePathOrDie("status"), fieldpath.MakePathOrDie("spec", "token")),
	}
}

// PrepareForUpdate keeps the status, and reads the spec as Create does.
func (s tokenRevocationStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	revocation, before := obj.(*mintmarkv1alpha1.TokenRevocation), old.(*mintmarkv1alpha1.TokenRevocation)
	revocation.Status = before.Status
	normalize(&revocation.Spec, s.issuers)
}

// Validate checks a new revocation.
func (tokenRevocationStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	revocation := obj.(*mintmarkv1alpha1.TokenRevocation)
	return append(validateRevocationMetadata(revocation), validateSpec(&revocation.Spec)...)
}

// ValidateUpdate checks that metadata alone has changed. The errors have no values, since one may be a token.
func (tokenRevocationStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	revocation, before := obj.(*mintmarkv1alpha1.TokenRevocation), old.(*mintmarkv1alpha1.TokenRevocation)
	errs := append(validateRevocationMetadata(revocation), registry.ValidateMetadataUpdate(&revocation.ObjectMeta, &before.ObjectMeta)...)
	if !apiequality.Semantic.DeepEqual(revocation.Spec, before.Spec) {
		errs = append(errs, field.Forbidden(specPath, "a revocation can't be changed: delete it and make another one"))
	}
	return errs
}

func validateRevocationMetadata(revocation *mintmarkv1alpha1.TokenRevocation) field.ErrorList {
	errs := registry.ValidateMetadata(&revocation.ObjectMeta, false, validation.NameIsDNSSubdomain)
	if len(revocation.OwnerReferences) > 0 {
		errs = append(errs, field.Forbidden(registry.MetadataPath.Child("ownerReferences"), "a revocation has no owner, since it must not go with it"))
	}
	return errs
}
