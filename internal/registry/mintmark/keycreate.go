package mintmark

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/identity"
	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/signingkey"
)

// longestLead bounds lead times, so that a slip of the finger does not end rotation.
const longestLead = 365 * 24 * time.Hour

// Create makes or imports a key. Its private half is stored before its object, so that there is no object that can't sign.
func (s *signingKeys) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions,
) (runtime.Object, error) {
	key := obj.(*mintmarkv1alpha1.SigningKey)
	private := key.Spec.PrivateKey
	key.Spec.PrivateKey = ""
	if errs := withoutMaterial(&key.ObjectMeta); len(errs) > 0 {
		return nil, invalid(key.Name, errs...)
	}
	if s.Elsewhere != "" {
		return nil, conflict(key.Name, errors.New(s.Elsewhere))
	}
	dry := dryrun.IsDryRun(options.DryRun)
	signer, err := s.complete(ctx, key, private, dry)
	if err != nil {
		return nil, err
	}
	kept := false
	out, err := s.store.Create(ctx, key, func(ctx context.Context, obj runtime.Object) error {
		if validate != nil {
			if err := validate(ctx, obj); err != nil {
				return err
			}
		}
		if dry || signer == nil {
			return nil
		}
		err := s.keep(ctx, key.Name, signer)
		kept = err == nil
		return err
	}, options)
	// Whether the object was stored is not known after other errors. A private half that stays without one is removed later.
	if kept && apierrors.IsAlreadyExists(err) {
		err = errors.Join(err, s.PrivateKeys.Delete(ctx, signingkey.SecretName(key.Name)))
	}
	if apierrors.IsAlreadyExists(err) {
		return nil, conflict(key.Name, errors.New("another key of the algorithm was made at the same moment: look at the keys, and try again if there is need"))
	}
	return out, err
}

// keep stores the private half of a key.
func (s *signingKeys) keep(ctx context.Context, name string, signer crypto.Signer) error {
	text, err := signingkey.EncodePrivate(signer)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	switch err := s.PrivateKeys.Create(ctx, signingkey.SecretName(name), text); {
	case errors.Is(err, identity.ErrExists):
		return conflict(name, errors.New("another key of the algorithm is being made, or its making was cut off: look at the keys, and try again in five minutes if there is need"))
	case err != nil:
		return apierrors.NewInternalError(err)
	}
	return nil
}

// complete fills in a key whose private half was taken out, and returns the private half. It is nil if there is none, and in
// a dry run where a key would be made.
func (s *signingKeys) complete(ctx context.Context, key *mintmarkv1alpha1.SigningKey, private string, dry bool) (crypto.Signer, error) {
	if errs := checkNew(key, private); len(errs) > 0 {
		return nil, invalid(key.Name, errs...)
	}
	public, signer, problem := parse(key, private)
	if problem != nil {
		return nil, invalid(key.Name, problem)
	}
	imported := public != nil
	if !imported {
		if key.Spec.Algorithm == "" {
			key.Spec.Algorithm = signingkey.DefaultAlgorithm
		}
		if err := signingkey.CheckAlgorithm(key.Spec.Algorithm); err != nil {
			return nil, invalid(key.Name, unknownAlgorithm(key.Spec.Algorithm))
		}
		if !dry {
			var err error
			if signer, err = signingkey.Generate(key.Spec.Algorithm); err != nil {
				return nil, apierrors.NewInternalError(err)
			}
			public = signer.Public()
		}
	}
	if public != nil {
		if problem := describe(key, public); problem != nil {
			return nil, invalid(key.Name, problem)
		}
	}
	signs := !imported || signer != nil
	if problem := s.plan(key, signs, imported); problem != nil {
		return nil, invalid(key.Name, problem)
	}
	return signer, s.fit(ctx, key, signs)
}

// checkNew checks the fields of a new key by themselves.
func checkNew(key *mintmarkv1alpha1.SigningKey, private string) field.ErrorList {
	var errs field.ErrorList
	if key.GenerateName != "" {
		errs = append(errs, field.Forbidden(registry.MetadataPath.Child("generateName"), "the server names keys: leave it out"))
	}
	for name, given := range map[string]bool{
		"publishedFrom": key.Spec.PublishedFrom != nil, "signsFrom": key.Spec.SignsFrom != nil, "retiredFrom": key.Spec.RetiredFrom != nil,
	} {
		if given {
			errs = append(errs, field.Forbidden(specPath.Child(name), "is not for new keys: the server plans by spec.leadTime"))
		}
	}
	verifying := private == "" && key.Spec.PublicKey != ""
	if verifying && key.Spec.LeadTime != nil {
		errs = append(errs, field.Forbidden(specPath.Child("leadTime"), "a key without its private half never signs: leave it out"))
	}
	if key.Spec.Hidden && !verifying {
		errs = append(errs, field.Forbidden(specPath.Child("hidden"), "a key that signs must be published: only a key that is imported as spec.publicKey alone can be hidden"))
	}
	return errs
}

// parse reads the key of an import. Both halves are nil if a key is to be made. No error repeats what was sent.
func parse(key *mintmarkv1alpha1.SigningKey, private string) (crypto.PublicKey, crypto.Signer, *field.Error) {
	var public crypto.PublicKey
	var err error
	if key.Spec.PublicKey != "" {
		at := specPath.Child("publicKey")
		if strings.Contains(key.Spec.PublicKey, privateMarker) {
			key.Spec.PublicKey = ""
			return nil, nil, field.Forbidden(at, "holds a private key: send it as spec.privateKey, or its public half here")
		}
		if public, err = signingkey.ParsePublic([]byte(key.Spec.PublicKey), "the text"); err != nil {
			return nil, nil, field.Invalid(at, "", err.Error())
		}
	}
	if private == "" {
		return public, nil, nil
	}
	signer, err := signingkey.ParsePrivate([]byte(private), "the text")
	if err != nil {
		return nil, nil, field.Invalid(specPath.Child("privateKey"), "", err.Error())
	}
	if same, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); public != nil && (!ok || !same.Equal(public)) {
		return nil, nil, field.Forbidden(specPath.Child("publicKey"), "is not the public half of spec.privateKey: leave it out, or import the two one after the other")
	}
	return signer.Public(), signer, nil
}

// unknownAlgorithm repeats only what can be an algorithm.
func unknownAlgorithm(name string) *field.Error {
	const longest = 16
	if len(name) > longest {
		name = name[:longest] + "…"
	}
	return field.Invalid(specPath.Child("algorithm"), name, strings.TrimSpace(signingkey.CheckAlgorithm(name).Error()))
}

// describe sets the fields that follow from the key, and checks those that were sent.
func describe(key *mintmarkv1alpha1.SigningKey, public crypto.PublicKey) *field.Error {
	found, err := signingkey.Describe(public)
	if err != nil {
		return field.Invalid(specPath, "", err.Error())
	}
	for _, sent := range []struct {
		name        string
		value, want string
	}{{"algorithm", key.Spec.Algorithm, found.Spec.Algorithm}, {"keyID", key.Spec.KeyID, found.Spec.KeyID}} {
		if sent.value != "" && sent.value != sent.want {
			return field.Forbidden(specPath.Child(sent.name), fmt.Sprintf("does not fit the key, which has %q: leave it out", sent.want))
		}
	}
	key.Spec.Algorithm, key.Spec.KeyID, key.Spec.PublicKey = found.Spec.Algorithm, found.Spec.KeyID, found.Spec.PublicKey
	return nil
}

// plan sets when a key is published and signs. What an imported key has signed elsewhere is not known.
func (s *signingKeys) plan(key *mintmarkv1alpha1.SigningKey, signs, imported bool) *field.Error {
	key.Status = mintmarkv1alpha1.SigningKeyStatus{}
	now := s.now()
	if imported {
		until := metav1.NewTime(now.Add(s.LongestLife))
		key.Status.TokensUntil, key.Status.LegacyTokens = &until, true
	}
	if !signs {
		key.Spec.PublishedFrom = &now
		return nil
	}
	lead, at := s.Lead, specPath.Child("leadTime")
	if key.Spec.LeadTime != nil {
		lead = key.Spec.LeadTime.Duration
	}
	switch {
	case lead < 0 || lead > longestLead:
		return field.Invalid(at, lead.String(), fmt.Sprintf("must be between 0 and %s", longestLead))
	case lead < s.Cached && !key.Spec.AcceptShortLead:
		return field.Invalid(at, lead.String(), fmt.Sprintf("relying parties were told to keep the key set for %s, and would refuse the key's first tokens: "+
			"ask for a lead of %s at least, or accept that with spec.acceptShortLead (mintmark keys rotate --force)", s.Cached, s.Cached))
	}
	signingkey.PlanKey(key, s.Now(), lead)
	return nil
}

// fit names a key and checks that it goes with the stored ones.
func (s *signingKeys) fit(ctx context.Context, key *mintmarkv1alpha1.SigningKey, signs bool) error {
	keys, err := s.stored(ctx)
	if err != nil {
		return err
	}
	schedule := signingkey.Plan(keys, s.Now())
	if there := schedule.ByKeyID(key.Spec.KeyID); key.Spec.KeyID != "" && there != nil {
		return conflict(key.Name, fmt.Errorf("the key %s is there already: it is %s, in the state %s", key.Spec.KeyID, there.Key.Name, there.State))
	}
	if next := schedule.Prepared(key.Spec.Algorithm); signs && next != nil {
		return conflict(key.Name, fmt.Errorf("a rotation is under way: %s takes over for %s at %s. Wait for that, or remove it first (mintmark keys remove %s)",
			next.Key.Name, key.Spec.Algorithm, shown(next.SigningSince), next.Key.Name))
	}
	name := signingkey.ObjectName(key.Spec.Algorithm, keys)
	if key.Name != "" && key.Name != name {
		return invalid(key.Name, field.Invalid(registry.MetadataPath.Child("name"), key.Name, fmt.Sprintf("the name of the next key is %s: leave it out, or say so", name)))
	}
	key.Name = name
	life := signingkey.Plan([]*mintmarkv1alpha1.SigningKey{key}, s.Now()).Keys[0]
	key.Status.State = life.State
	if signs {
		key.Status.SigningSince = key.Spec.SignsFrom.DeepCopy()
	}
	return nil
}

// validateName allows the names that objects of the kind have.
func validateName(name string, prefix bool) []string {
	return validation.NameIsDNSSubdomain(name, prefix)
}
