package core

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mintmark/mintmark/internal/registry"
)

// validateVolumes also returns the names of the volumes without errors: containers can mount these.
func validateVolumes(volumes []corev1.Volume) (map[string]bool, field.ErrorList) {
	var errs field.ErrorList
	names := map[string]bool{}
	for i := range volumes {
		volume, at := &volumes[i], specPath.Child("volumes").Index(i)
		wrong := validateVolumeSource(&volume.VolumeSource, at)
		if volume.Name == "" {
			wrong = append(wrong, field.Required(at.Child("name"), ""))
		} else {
			wrong = append(wrong, registry.Problems(at.Child("name"), volume.Name, utilvalidation.IsDNS1123Label)...)
		}
		if names[volume.Name] {
			wrong = append(wrong, field.Duplicate(at.Child("name"), volume.Name))
		}
		if len(wrong) == 0 {
			names[volume.Name] = true
		}
		errs = append(errs, wrong...)
	}
	return names, errs
}

// volumeKind is one of the kinds that a volume may be of. Only the kinds that can hold tokens and what is mounted beside
// them have a check.
type volumeKind struct {
	field    string
	set      func(*corev1.VolumeSource) bool
	validate func(*corev1.VolumeSource, *field.Path) field.ErrorList
}

// volumeKinds are in the order in which they are counted, so a volume of two kinds is told about the later one.
var volumeKinds = []volumeKind{
	{"emptyDir", func(v *corev1.VolumeSource) bool { return v.EmptyDir != nil }, nil},
	{"hostPath", func(v *corev1.VolumeSource) bool { return v.HostPath != nil }, nil},
	{"gitRepo", func(v *corev1.VolumeSource) bool { return v.GitRepo != nil }, nil},
	{"gcePersistentDisk", func(v *corev1.VolumeSource) bool { return v.GCEPersistentDisk != nil }, nil},
	{"awsElasticBlockStore", func(v *corev1.VolumeSource) bool { return v.AWSElasticBlockStore != nil }, nil},
	{"secret", func(v *corev1.VolumeSource) bool { return v.Secret != nil }, validateSecretVolume},
	{"nfs", func(v *corev1.VolumeSource) bool { return v.NFS != nil }, nil},
	{"iscsi", func(v *corev1.VolumeSource) bool { return v.ISCSI != nil }, nil},
	{"glusterfs", func(v *corev1.VolumeSource) bool { return v.Glusterfs != nil }, nil},
	{"flocker", func(v *corev1.VolumeSource) bool { return v.Flocker != nil }, nil},
	{"persistentVolumeClaim", func(v *corev1.VolumeSource) bool { return v.PersistentVolumeClaim != nil }, nil},
	{"rbd", func(v *corev1.VolumeSource) bool { return v.RBD != nil }, nil},
	{"cinder", func(v *corev1.VolumeSource) bool { return v.Cinder != nil }, nil},
	{"cephfs", func(v *corev1.VolumeSource) bool { return v.CephFS != nil }, nil},
	{"quobyte", func(v *corev1.VolumeSource) bool { return v.Quobyte != nil }, nil},
	{"downwardAPI", func(v *corev1.VolumeSource) bool { return v.DownwardAPI != nil }, validateDownwardAPIVolume},
	{"fc", func(v *corev1.VolumeSource) bool { return v.FC != nil }, nil},
	{"flexVolume", func(v *corev1.VolumeSource) bool { return v.FlexVolume != nil }, nil},
	{"configMap", func(v *corev1.VolumeSource) bool { return v.ConfigMap != nil }, validateConfigMapVolume},
	{"azureFile", func(v *corev1.VolumeSource) bool { return v.AzureFile != nil }, nil},
	{"vsphereVolume", func(v *corev1.VolumeSource) bool { return v.VsphereVolume != nil }, nil},
	{"photonPersistentDisk", func(v *corev1.VolumeSource) bool { return v.PhotonPersistentDisk != nil }, nil},
	{"portworxVolume", func(v *corev1.VolumeSource) bool { return v.PortworxVolume != nil }, nil},
	{"azureDisk", func(v *corev1.VolumeSource) bool { return v.AzureDisk != nil }, nil},
	{"storageos", func(v *corev1.VolumeSource) bool { return v.StorageOS != nil }, nil},
	{"scaleIO", func(v *corev1.VolumeSource) bool { return v.ScaleIO != nil }, nil},
	{"projected", func(v *corev1.VolumeSource) bool { return v.Projected != nil }, validateProjectedVolume},
	{"csi", func(v *corev1.VolumeSource) bool { return v.CSI != nil }, nil},
	{"ephemeral", func(v *corev1.VolumeSource) bool { return v.Ephemeral != nil }, nil},
	{"image", func(v *corev1.VolumeSource) bool { return v.Image != nil }, nil},
}

func validateVolumeSource(source *corev1.VolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	found := false
	for _, kind := range volumeKinds {
		switch {
		case !kind.set(source):
			continue
		case found:
			errs = append(errs, field.Forbidden(at.Child(kind.field), "may not specify more than 1 volume type"))
		case kind.validate != nil:
			errs = append(errs, kind.validate(source, at.Child(kind.field))...)
		}
		found = true
	}
	return errs
}

func validateSecretVolume(source *corev1.VolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if source.Secret.SecretName == "" {
		errs = append(errs, field.Required(at.Child("secretName"), ""))
	}
	errs = append(errs, validateMode(source.Secret.DefaultMode, at.Child("defaultMode"))...)
	return append(errs, validateItems(source.Secret.Items, at.Child("items"))...)
}

func validateConfigMapVolume(source *corev1.VolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if source.ConfigMap.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	errs = append(errs, validateMode(source.ConfigMap.DefaultMode, at.Child("defaultMode"))...)
	return append(errs, validateItems(source.ConfigMap.Items, at.Child("items"))...)
}

func validateDownwardAPIVolume(source *corev1.VolumeSource, at *field.Path) field.ErrorList {
	errs := validateMode(source.DownwardAPI.DefaultMode, at.Child("defaultMode"))
	for i := range source.DownwardAPI.Items {
		errs = append(errs, validateDownwardAPIFile(&source.DownwardAPI.Items[i], at)...)
	}
	return errs
}

func validateItems(items []corev1.KeyToPath, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range items {
		errs = append(errs, validateItem(&items[i], at.Index(i))...)
	}
	return errs
}

// validateItem checks which key of a secret or a config map becomes which file.
func validateItem(item *corev1.KeyToPath, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if item.Key == "" {
		errs = append(errs, field.Required(at.Child("key"), ""))
	}
	errs = append(errs, validateFilePath(item.Path, at.Child("path"))...)
	return append(errs, validateMode(item.Mode, at.Child("mode"))...)
}

func validateMode(mode *int32, at *field.Path) field.ErrorList {
	if mode != nil && (*mode < 0 || *mode > 0o777) {
		return field.ErrorList{field.Invalid(at, *mode, "must be a number between 0 and 0777 (octal), both inclusive")}
	}
	return nil
}

// validateFilePath checks the path of a file in a volume. Names in the volume's root that begin with two dots are the
// kubelet's own.
func validateFilePath(file string, at *field.Path) field.ErrorList {
	if file == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	errs := validateDescendingPath(file, at)
	if strings.HasPrefix(file, "..") && !strings.HasPrefix(file, "../") {
		errs = append(errs, field.Invalid(at, file, "must not start with '..'"))
	}
	return errs
}

// validateDescendingPath checks that a path doesn't lead out of its volume.
func validateDescendingPath(file string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if path.IsAbs(file) {
		errs = append(errs, field.Invalid(at, file, "must be a relative path"))
	}
	if slices.Contains(strings.Split(file, "/"), "..") {
		errs = append(errs, field.Invalid(at, file, "must not contain '..'"))
	}
	return errs
}
