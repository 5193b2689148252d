package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The lifetimes that a token in a volume may have, in seconds.
const (
	minTokenSeconds = 10 * 60
	maxTokenSeconds = 1 << 32
)

// dropGatedSources drops the sources of projected volumes that are behind feature gates upstream, which are off.
func dropGatedSources(spec *corev1.PodSpec) {
	for i := range spec.Volumes {
		projected := spec.Volumes[i].Projected
		if projected == nil {
			continue
		}
		for j := range projected.Sources {
			projected.Sources[j].ClusterTrustBundle = nil
			projected.Sources[j].PodCertificate = nil
		}
	}
}

func validateProjectedVolume(volume *corev1.VolumeSource, at *field.Path) field.ErrorList {
	errs := validateMode(volume.Projected.DefaultMode, at.Child("defaultMode"))
	taken := fileNames{}
	for i := range volume.Projected.Sources {
		errs = append(errs, validateProjection(&volume.Projected.Sources[i], taken, at, at.Child("sources").Index(i))...)
	}
	return errs
}

// fileNames are the paths that the sources of a volume fill. Paths of tokens are not among them: a token may replace
// another file.
type fileNames map[string]bool

// add reports a path that is taken. The error is about the volume as a whole and shows owner: the object that the file is
// from, or the path itself.
func (n fileNames) add(file, owner string, volume *field.Path) field.ErrorList {
	if file == "" {
		return nil
	}
	if n[file] {
		return field.ErrorList{field.Invalid(volume, owner, "conflicting duplicate paths")}
	}
	n[file] = true
	return nil
}

// validateProjection checks one source of the volume at the path volume.
func validateProjection(source *corev1.VolumeProjection, taken fileNames, volume, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	kinds := 0
	if secret := source.Secret; secret != nil {
		kinds++
		errs = append(errs, validateProjectedItems(secret.Name, secret.Items, taken, volume, at.Child("secret"))...)
	}
	if configMap := source.ConfigMap; configMap != nil {
		kinds++
		errs = append(errs, validateProjectedItems(configMap.Name, configMap.Items, taken, volume, at.Child("configMap"))...)
	}
	if source.DownwardAPI != nil {
		kinds++
		for i := range source.DownwardAPI.Items {
			file := &source.DownwardAPI.Items[i]
			errs = append(errs, validateDownwardAPIFile(file, at.Child("downwardAPI"))...)
			errs = append(errs, taken.add(file.Path, file.Path, volume)...)
		}
	}
	if source.ServiceAccountToken != nil {
		kinds++
		errs = append(errs, validateTokenProjection(source.ServiceAccountToken, volume, at.Child("serviceAccountToken"))...)
	}
	if kinds > 1 {
		errs = append(errs, field.Forbidden(at, "may not specify more than 1 volume type per source"))
	}
	return errs
}

func validateProjectedItems(name string, items []corev1.KeyToPath, taken fileNames, volume, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	for i := range items {
		errs = append(errs, validateItem(&items[i], at.Child("items").Index(i))...)
		errs = append(errs, taken.add(items[i].Path, name, volume)...)
	}
	return errs
}

// validateTokenProjection reports the path of the token as a field of the volume, which it isn't, since upstream does.
func validateTokenProjection(token *corev1.ServiceAccountTokenProjection, volume, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if seconds := token.ExpirationSeconds; seconds != nil {
		if *seconds < minTokenSeconds {
			errs = append(errs, field.Invalid(at.Child("expirationSeconds"), *seconds, "may not specify a duration less than 10 minutes"))
		}
		if *seconds > maxTokenSeconds {
			errs = append(errs, field.Invalid(at.Child("expirationSeconds"), *seconds, "may not specify a duration larger than 2^32 seconds"))
		}
	}
	return append(errs, validateFilePath(token.Path, volume.Child("path"))...)
}

// forbidTokenVolumes refuses volumes with a service account's token in a pod that has no account.
func forbidTokenVolumes(volumes []corev1.Volume) field.ErrorList {
	var errs field.ErrorList
	for i, volume := range volumes {
		if volume.Projected == nil {
			continue
		}
		sources := specPath.Child("volumes").Index(i).Child("projected", "sources")
		for j, source := range volume.Projected.Sources {
			if source.ServiceAccountToken != nil {
				errs = append(errs, field.Forbidden(sources.Index(j).Child("serviceAccountToken"),
					"must not be specified when serviceAccountName is not set"))
			}
		}
	}
	return errs
}
