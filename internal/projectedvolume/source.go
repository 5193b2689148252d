package projectedvolume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// permanentError is a failure that no further try will change: only another pod, or a restart as another user, will.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

func permanent(err error) error { return permanentError{err} }

// isPermanent reports whether an error is permanent; of errors that are joined, whether all are.
func isPermanent(err error) bool {
	switch e := err.(type) { //nolint:errorlint // errors.As finds one of the joined errors, and all of them are asked for
	case permanentError:
		return true
	case interface{ Unwrap() []error }:
		return !slices.ContainsFunc(e.Unwrap(), func(part error) bool { return !isPermanent(part) })
	case interface{ Unwrap() error }:
		return isPermanent(e.Unwrap())
	}
	return false
}

// defaultFileMode is the mode of files if neither the volume nor the item says one.
const defaultFileMode fs.FileMode = 0o644

func fileMode(modes ...*int32) fs.FileMode {
	for _, mode := range modes {
		if mode != nil {
			return fs.FileMode(*mode) & fs.ModePerm
		}
	}
	return defaultFileMode
}

// gathering is one pass over the sources of a volume.
type gathering struct {
	pod     *corev1.Pod
	volume  *corev1.ProjectedVolumeSource
	owners  owners
	set     fileSet
	objects objectReader
}

// add adds a file. A later one at the same path replaces an earlier one.
func (g *gathering) add(written string, content []byte, o ownership) error {
	clean, err := cleanPath(written)
	if err != nil {
		return err
	}
	g.set[clean] = file{content, o}
	return nil
}

// gather collects the files of all sources in their order. The errors of all sources are returned together.
func (g *gathering) gather(ctx context.Context, token func(context.Context, *corev1.ServiceAccountTokenProjection) (string, error)) error {
	var errs []error
	for i := range g.volume.Sources {
		source := &g.volume.Sources[i]
		var err error
		switch {
		case source.ServiceAccountToken != nil:
			var value string
			if value, err = token(ctx, source.ServiceAccountToken); err == nil {
				err = g.add(source.ServiceAccountToken.Path, []byte(value), g.owners.token(fileMode(g.volume.DefaultMode)))
			}
		case source.ConfigMap != nil:
			err = g.configMap(ctx, source.ConfigMap)
		case source.Secret != nil:
			err = g.secret(ctx, source.Secret)
		case source.DownwardAPI != nil:
			err = g.fields(source.DownwardAPI)
		case source.ClusterTrustBundle != nil, source.PodCertificate != nil:
			err = unsupported(i)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func unsupported(i int) error {
	return permanent(fmt.Errorf("source %d is of a kind that the agent can't write: use serviceAccountToken, configMap, secret or downwardAPI", i))
}

// checkSources is the part of checkVolume about the sources.
func checkSources(pod *corev1.Pod, volume *corev1.ProjectedVolumeSource) error {
	paths := map[string]bool{}
	add := func(written string) error {
		clean, err := cleanPath(written)
		paths[clean] = true
		return err
	}
	var errs []error
	for i := range volume.Sources {
		source := &volume.Sources[i]
		switch {
		case source.ServiceAccountToken != nil:
			errs = append(errs, add(source.ServiceAccountToken.Path))
			if pod.Spec.ServiceAccountName == "" {
				errs = append(errs, permanent(errors.New("the pod has no account that a token could be for: make it anew with serviceAccountName")))
			}
		case source.ConfigMap != nil:
			errs = append(errs, checkItems(source.ConfigMap.Items, add))
		case source.Secret != nil:
			errs = append(errs, checkItems(source.Secret.Items, add))
		case source.DownwardAPI != nil:
			for j := range source.DownwardAPI.Items {
				errs = append(errs, add(source.DownwardAPI.Items[j].Path))
			}
		case source.ClusterTrustBundle != nil, source.PodCertificate != nil:
			errs = append(errs, unsupported(i))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return checkNested(paths)
}

func checkItems(items []corev1.KeyToPath, add func(string) error) error {
	var errs []error
	for i := range items {
		errs = append(errs, add(items[i].Path))
	}
	return errors.Join(errs...)
}
