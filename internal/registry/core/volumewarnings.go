package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// warnOfOverlaps returns a warning for each two files of a volume of which one has the path of the other or of a folder of the
// other. The kubelet keeps one of them, or fails.
func warnOfOverlaps(volumes []corev1.Volume) []string {
	var warnings []string
	for i := range volumes {
		volume := &volumes[i]
		warn := func(kind, text string) {
			warnings = append(warnings, fmt.Sprintf("volume %q (%s)%s", volume.Name, kind, text))
		}
		overlap := func(kind string, files []volumeFile) {
			for _, pair := range overlaps(files) {
				warn(kind, ": overlapping paths: "+pair)
			}
		}
		if source := volume.ConfigMap; source != nil {
			overlap(fmt.Sprintf("ConfigMap %q", source.Name), itemFiles(source.Items, ""))
		}
		if source := volume.Secret; source != nil {
			overlap(fmt.Sprintf("Secret %q", source.SecretName), itemFiles(source.Items, ""))
		}
		if source := volume.DownwardAPI; source != nil {
			overlap("DownwardAPI", fieldFiles(source.Items, ""))
		}
		if source := volume.Projected; source != nil {
			var files []volumeFile
			for j := range source.Sources {
				if source.Sources[j] == (corev1.VolumeProjection{}) {
					warn("Projected", " has no sources provided")
				}
				files = append(files, projectedFiles(&source.Sources[j])...)
			}
			overlap("Projected", files)
		}
	}
	return warnings
}

// volumeFile is a file in a volume, and in a projected volume the source that it is from.
type volumeFile struct{ path, source string }

func (f volumeFile) String() string {
	if f.source == "" {
		return fmt.Sprintf("%q", f.path)
	}
	return fmt.Sprintf("%q (%s)", f.path, f.source)
}

func projectedFiles(source *corev1.VolumeProjection) []volumeFile {
	switch {
	case source.ConfigMap != nil:
		return itemFiles(source.ConfigMap.Items, fmt.Sprintf("ConfigMap %q", source.ConfigMap.Name))
	case source.Secret != nil:
		return itemFiles(source.Secret.Items, fmt.Sprintf("Secret %q", source.Secret.Name))
	case source.DownwardAPI != nil:
		return fieldFiles(source.DownwardAPI.Items, "DownwardAPI")
	case source.ServiceAccountToken != nil:
		return []volumeFile{{source.ServiceAccountToken.Path, "ServiceAccountToken"}}
	}
	return nil
}

func itemFiles(items []corev1.KeyToPath, source string) []volumeFile {
	files := make([]volumeFile, len(items))
	for i, item := range items {
		files[i] = volumeFile{item.Path, source}
	}
	return files
}

func fieldFiles(items []corev1.DownwardAPIVolumeFile, source string) []volumeFile {
	files := make([]volumeFile, len(items))
	for i, item := range items {
		files[i] = volumeFile{item.Path, source}
	}
	return files
}

// overlaps describes each file that meets an earlier one.
func overlaps(files []volumeFile) []string {
	var pairs []string
	for i := range files {
		file := &files[i]
		file.path = strings.TrimRight(file.path, "/")
		if file.path == "" {
			continue
		}
		for _, earlier := range files[:i] {
			inside := strings.HasPrefix(file.path+"/", earlier.path+"/") || strings.HasPrefix(earlier.path+"/", file.path+"/")
			if earlier.path != "" && inside {
				pairs = append(pairs, fmt.Sprintf("%s with %s", file, earlier))
			}
		}
	}
	return pairs
}
