package tokenrequest

import (
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	maxExpirationSeconds = 1 << 32
	defaultSeconds       = int64(3600)
)

var (
	groupKind = authenticationv1.SchemeGroupVersion.WithKind("TokenRequest").GroupKind()
	// conflictResource is how kube-apiserver names a token request in a conflict: by its kind.
	conflictResource = schema.GroupResource{Group: groupKind.Group, Resource: groupKind.Kind}
)

// checkNames refuses a body that names another account than the URL does.
func checkNames(namespace, name string, request *authenticationv1.TokenRequest) error {
	var errs field.ErrorList
	meta := field.NewPath("metadata")
	if request.Name != "" && request.Name != name {
		errs = append(errs, field.Invalid(meta.Child("name"), request.Name, "must match the service account name if specified"))
	}
	if request.Namespace != "" && request.Namespace != namespace {
		errs = append(errs, field.Invalid(meta.Child("namespace"), request.Namespace, "must match the service account namespace if specified"))
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(groupKind, name, errs)
	}
	return nil
}

// checkUID refuses a request that insists on another account of the same name.
func checkUID(name string, found types.UID, request *authenticationv1.TokenRequest) error {
	if request.UID == "" || request.UID == found {
		return nil
	}
	return apierrors.NewConflict(conflictResource, name, fmt.Errorf(
		"the UID in the token request (%s) does not match the UID of the service account (%s)", request.UID, found))
}

// complete sets the defaults of a request, and clears the fields that a client can't set.
func (i *Issuer) complete(request *authenticationv1.TokenRequest, namespace, name string, uid types.UID, now time.Time) {
	request.Namespace, request.Name, request.UID = namespace, name, uid
	request.CreationTimestamp = metav1.NewTime(now)
	request.Status = authenticationv1.TokenRequestStatus{}
	if len(request.Spec.Audiences) == 0 {
		request.Spec.Audiences = i.APIAudiences
	}
	if request.Spec.ExpirationSeconds == nil {
		seconds := defaultSeconds
		request.Spec.ExpirationSeconds = &seconds
	}
}

// shortest is the shortest life as an error names it.
func (i *Issuer) shortest() string {
	if i.MinExpiration == minExpiration {
		return "10 minutes" // as kube-apiserver has it
	}
	return i.MinExpiration.String()
}

// checkSpec checks the request by itself, defaults included.
func (i *Issuer) checkSpec(request *authenticationv1.TokenRequest) error {
	var errs field.ErrorList
	path := field.NewPath("spec")
	switch seconds := *request.Spec.ExpirationSeconds; {
	case seconds < int64(i.MinExpiration.Seconds()):
		errs = append(errs, field.Invalid(path.Child("expirationSeconds"), seconds, "may not specify a duration less than "+i.shortest()))
	case seconds > maxExpirationSeconds:
		errs = append(errs, field.Invalid(path.Child("expirationSeconds"), seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	// Attestations (KEP-6060) go with webhook configurations, to which no token can be bound here: Bind refuses those.
	if ref := request.Spec.BoundObjectRef; len(request.Spec.Attestations) > 0 && !isWebhook(ref) {
		errs = field.ErrorList{field.Invalid(path.Child("attestations"), request.Spec.Attestations,
			"attestations may only be specified with a webhook bound object reference")}
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(groupKind, "", errs)
	}
	return nil
}

// algorithm returns the algorithm that the audiences of a token want; it is empty if none of them wants any. A token has one
// signature, so audiences that want different algorithms need a token each.
func (i *Issuer) algorithm(request *authenticationv1.TokenRequest) (string, error) {
	if len(i.Algorithms) == 0 {
		return "", nil
	}
	var algorithm, first string
	for _, audience := range request.Spec.Audiences {
		wanted, ok := i.Algorithms[audience]
		switch {
		case !ok:
		case algorithm == "":
			algorithm, first = wanted, audience
		case algorithm != wanted:
			return "", apierrors.NewInvalid(groupKind, "", field.ErrorList{field.Invalid(field.NewPath("spec", "audiences"), request.Spec.Audiences,
				fmt.Sprintf("tokens for %q are signed with %s and those for %q with %s: request a token for each of them", first, algorithm, audience, wanted))})
		}
	}
	return algorithm, nil
}

func isWebhook(ref *authenticationv1.BoundObjectReference) bool {
	return ref != nil && ref.APIVersion == "admissionregistration.k8s.io/v1" &&
		(ref.Kind == "ValidatingWebhookConfiguration" || ref.Kind == "MutatingWebhookConfiguration")
}
