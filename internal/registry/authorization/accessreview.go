// Package authorization provides the REST storage of authorization.k8s.io: the access reviews, which are answered and not
// stored.
package authorization

import (
	"context"
	"reflect"
	"slices"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/registry"
)

// Storage returns the API group authorization.k8s.io.
func Storage(z *authz.Authorizer) registry.Group {
	return registry.Group{Version: authorizationv1.SchemeGroupVersion, Resources: map[string]rest.Storage{
		"subjectaccessreviews": newReviews(z, &authorizationv1.SubjectAccessReview{},
			"SubjectAccessReview", "subjectaccessreview", false, reviewSubject),
		"localsubjectaccessreviews": newReviews(z, &authorizationv1.LocalSubjectAccessReview{},
			"LocalSubjectAccessReview", "localsubjectaccessreview", true, reviewLocalSubject),
		"selfsubjectaccessreviews": newReviews(z, &authorizationv1.SelfSubjectAccessReview{},
			"SelfSubjectAccessReview", "selfsubjectaccessreview", false, reviewSelf),
		"selfsubjectrulesreviews": newReviews(z, &authorizationv1.SelfSubjectRulesReview{},
			"SelfSubjectRulesReview", "selfsubjectrulesreview", false, reviewSelfRules),
	}}
}

// decide refuses a review that is not valid, has it admitted, and asks the authorizer.
func decide(ctx context.Context, z authorizer.UnconditionalAuthorizer, q authz.Question, errs field.ErrorList, admit func() error,
) (status authorizationv1.SubjectAccessReviewStatus, err error) {
	if len(errs) > 0 {
		// kube-apiserver names the group without a kind.
		return status, apierrors.NewInvalid(schema.GroupKind{Group: authorizationv1.GroupName}, "", errs)
	}
	if err := admit(); err != nil {
		return status, err
	}
	return authz.Review(ctx, z, q), nil
}

// questionOf is the question of a review of somebody.
func questionOf(spec *authorizationv1.SubjectAccessReviewSpec) authz.Question {
	return authz.Question{User: authz.Subject(spec), Resource: spec.ResourceAttributes, NonResource: spec.NonResourceAttributes}
}

func callerOf(ctx context.Context) (user.Info, error) {
	caller, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("no user present on request")
	}
	return caller, nil
}

var (
	specPath        = field.NewPath("spec")
	resourcePath    = specPath.Child("resourceAttributes")
	nonResourcePath = specPath.Child("nonResourceAttributes")
)

// shownPath has the non-resource attributes as errors show them, with the field names of kube-apiserver's internal type.
type shownPath struct{ Path, Verb string }

func shown(a *authorizationv1.NonResourceAttributes) shownPath { return shownPath{a.Path, a.Verb} }

// validateQuestion checks that a review asks one thing.
func validateQuestion(resource *authorizationv1.ResourceAttributes, nonResource *authorizationv1.NonResourceAttributes) field.ErrorList {
	switch {
	case resource != nil && nonResource != nil:
		return field.ErrorList{field.Invalid(nonResourcePath, shown(nonResource), "cannot be specified in combination with resourceAttributes")}
	case resource == nil && nonResource == nil:
		return field.ErrorList{field.Invalid(resourcePath, nonResource, "exactly one of nonResourceAttributes or resourceAttributes must be specified")}
	}
	return nil
}

// validateReviewSpec checks the spec of a review about any user.
func validateReviewSpec(spec *authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	errs := validateQuestion(spec.ResourceAttributes, spec.NonResourceAttributes)
	if spec.User == "" && len(spec.Groups) == 0 {
		errs = append(errs, field.Invalid(specPath.Child("user"), spec.User, "at least one of user or group must be specified"))
	}
	return append(errs, validateSelectors(spec.ResourceAttributes)...)
}

// validateNoMetadata checks that a review has no metadata. Fields that the server sets are allowed, and so is the namespace of a
// review in a namespace.
func validateNoMetadata(meta metav1.ObjectMeta, text string) field.ErrorList {
	sent := meta
	sent.ManagedFields = nil
	if reflect.DeepEqual(sent, metav1.ObjectMeta{}) {
		return nil
	}
	return field.ErrorList{field.Invalid(registry.MetadataPath, meta, text)}
}

func validateSelectors(r *authorizationv1.ResourceAttributes) field.ErrorList {
	var errs field.ErrorList
	if r == nil {
		return nil
	}
	if s := r.FieldSelector; s != nil {
		at := resourcePath.Child("fieldSelector")
		errs = append(errs, validateSelector(s.RawSelector, len(s.Requirements), at)...)
		for i, requirement := range s.Requirements {
			errs = append(errs, validateFieldRequirement(requirement, at.Child("requirements").Index(i))...)
		}
	}
	if s := r.LabelSelector; s != nil {
		at := resourcePath.Child("labelSelector")
		errs = append(errs, validateSelector(s.RawSelector, len(s.Requirements), at)...)
		for i, requirement := range s.Requirements {
			errs = append(errs, metavalidation.ValidateLabelSelectorRequirement(requirement,
				metavalidation.LabelSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}, at.Child("requirements").Index(i))...)
		}
	}
	return errs
}

func validateSelector(raw string, requirements int, at *field.Path) field.ErrorList {
	switch {
	case raw != "" && requirements > 0:
		return field.ErrorList{field.Invalid(at.Child("rawSelector"), raw, "may not specified at the same time as requirements")}
	case raw == "" && requirements == 0:
		return field.ErrorList{field.Required(at.Child("requirements"), "when "+at.String()+" is specified, requirements or rawSelector is required")}
	}
	return nil
}

// validateFieldRequirement accepts unknown operators. A selector with one is ignored, and the answer says so.
func validateFieldRequirement(r metav1.FieldSelectorRequirement, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if r.Key == "" {
		errs = append(errs, field.Required(at.Child("key"), "must be specified"))
	}
	values := at.Child("values")
	switch {
	case slices.Contains([]metav1.FieldSelectorOperator{metav1.FieldSelectorOpIn, metav1.FieldSelectorOpNotIn}, r.Operator) && len(r.Values) == 0:
		errs = append(errs, field.Required(values, "must be specified when `operator` is 'In' or 'NotIn'"))
	case slices.Contains([]metav1.FieldSelectorOperator{metav1.FieldSelectorOpExists, metav1.FieldSelectorOpDoesNotExist}, r.Operator) && len(r.Values) > 0:
		errs = append(errs, field.Forbidden(values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
	}
	return errs
}
