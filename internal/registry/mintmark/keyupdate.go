package mintmark

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/signingkey"
)

// Update changes the metadata of a key and when it stops signing. An apply of a key that is not there makes it.
func (s *signingKeys) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	if forceAllowCreate {
		if _, err := s.store.Get(ctx, name, &metav1.GetOptions{}); apierrors.IsNotFound(err) {
			return s.createByUpdate(ctx, info, create, options)
		}
	}
	info = rest.WrapUpdatedObjectInfo(info, func(ctx context.Context, obj, old runtime.Object) (runtime.Object, error) {
		return obj, s.permit(ctx, obj.(*mintmarkv1alpha1.SigningKey), old.(*mintmarkv1alpha1.SigningKey))
	})
	return s.store.Update(ctx, name, info, create, update, false, options)
}

func (s *signingKeys) createByUpdate(ctx context.Context, info rest.UpdatedObjectInfo, create rest.ValidateObjectFunc, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	obj, err := info.UpdatedObject(ctx, s.New())
	if err != nil {
		return nil, false, err
	}
	made, err := s.Create(ctx, obj, create, &metav1.CreateOptions{
		DryRun: options.DryRun, FieldManager: options.FieldManager, FieldValidation: options.FieldValidation,
	})
	return made, err == nil, err
}

// permit checks the changes to a key, and takes out what must not be stored.
func (s *signingKeys) permit(ctx context.Context, key, old *mintmarkv1alpha1.SigningKey) error {
	private := key.Spec.PrivateKey
	key.Spec.PrivateKey = ""
	errs := withoutMaterial(&key.ObjectMeta)
	if private != "" && !isPrivateHalf(private, old) {
		errs = append(errs, field.Forbidden(specPath.Child("privateKey"), "is not the private half of this key, and can't take its place: create another object"))
	}
	if retired := key.Spec.RetiredFrom; retired != nil && (old.Spec.RetiredFrom == nil || !retired.Equal(old.Spec.RetiredFrom)) {
		// Other servers sign until they hear of it, so an instant that is over means now.
		if now := s.now(); retired.Before(&now) {
			key.Spec.RetiredFrom = &now
		}
	}
	planned := old.Spec.DeepCopy()
	planned.RetiredFrom = key.Spec.RetiredFrom
	if !equality.Semantic.DeepEqual(planned, &key.Spec) {
		errs = append(errs, field.Forbidden(specPath, "of a key that is there, only retiredFrom can be changed: create another key"))
	}
	if len(errs) > 0 {
		return invalid(old.Name, errs...)
	}
	if key.Spec.RetiredFrom.Equal(old.Spec.RetiredFrom) {
		return nil
	}
	return s.permitRetirement(ctx, key, old)
}

// isPrivateHalf reports whether a text is the private half of a key. An import that is applied again sends it again.
func isPrivateHalf(text string, key *mintmarkv1alpha1.SigningKey) bool {
	signer, err := signingkey.ParsePrivate([]byte(text), "the text")
	if err != nil {
		return false
	}
	id, err := signingkey.KeyID(signer.Public())
	return err == nil && id == key.Spec.KeyID
}

// permitRetirement checks another instant from which a key does not sign.
func (s *signingKeys) permitRetirement(ctx context.Context, key, old *mintmarkv1alpha1.SigningKey) error {
	now := s.Now()
	if from := old.Spec.RetiredFrom; from != nil && !from.After(now) {
		return invalid(old.Name, field.Forbidden(specPath.Child("retiredFrom"),
			fmt.Sprintf("the key stopped signing at %s for good: make another one (mintmark keys rotate)", shown(from.Time))))
	}
	if key.Spec.RetiredFrom == nil {
		return nil
	}
	keys, err := s.stored(ctx)
	if err != nil {
		return err
	}
	for i := range keys {
		if keys[i].UID == key.UID {
			keys[i] = key
		}
	}
	return s.confirmSigner(keys, key.Spec.Algorithm, key.Name, now, key.Spec.RetiredFrom.Time)
}

// confirmSigner returns an error if no key would sign with an algorithm that the server needs, at one of the instants.
func (s *signingKeys) confirmSigner(keys []*mintmarkv1alpha1.SigningKey, algorithm, name string, instants ...time.Time) error {
	if !slices.Contains(s.Algorithms, algorithm) {
		return nil
	}
	for _, at := range instants {
		schedule := signingkey.Plan(keys, at)
		if schedule.Active(algorithm) == nil {
			return conflict(name, errors.New("no other key would sign with "+algorithm+" from "+shown(at)+
				" on, and no token could be issued: make one first (mintmark keys rotate --algorithm "+algorithm+")"))
		}
	}
	return nil
}
