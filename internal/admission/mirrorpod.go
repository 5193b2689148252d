package admission

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"

	"github.com/mintmark/mintmark/internal/authz"
)

// admitMirrorPod lets a node create the mirror of a static pod: on itself, owned by its Node object, and without a
// reference to another object. By such a reference the node would get to read that object.
func (n NodeRestriction) admitMirrorPod(ctx context.Context, node string, a admission.Attributes) error {
	pod, ok := a.GetObject().(*corev1.Pod)
	if !ok {
		return forbidden(a, "unexpected type %T", a.GetObject())
	}
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; !mirror {
		return forbidden(a, "pod does not have %q annotation, node %q can only create mirror pods", corev1.MirrorPodAnnotationKey, node)
	}
	if pod.Spec.NodeName != node {
		return forbidden(a, "node %q can only create pods with spec.nodeName set to itself", node)
	}
	if err := n.admitOwners(ctx, node, pod.OwnerReferences, a); err != nil {
		return err
	}
	what, err := apiReference(&pod.Spec)
	if err != nil {
		return forbidden(a, "error checking mirror pod for API references: %w", err)
	}
	if what != "" {
		return forbidden(a, "node %q can not create pods that reference %s", node, what)
	}
	return nil
}

// admitOwners checks that the node itself is the only owner of a mirror pod.
func (n NodeRestriction) admitOwners(ctx context.Context, node string, owners []metav1.OwnerReference, a admission.Attributes) error {
	if len(owners) > 1 {
		return forbidden(a, "node %q can only create pods with a single owner reference set to itself", node)
	}
	if len(owners) == 0 {
		return forbidden(a, "node %q can only create pods with an owner reference set to itself", node)
	}
	owner := owners[0]
	switch {
	case owner.APIVersion != "v1" || owner.Kind != "Node" || owner.Name != node:
		return forbidden(a, "node %q can only create pods with an owner reference set to itself", node)
	case owner.Controller == nil || !*owner.Controller:
		return forbidden(a, "node %q can only create pods with a controller owner reference set to itself", node)
	case owner.BlockOwnerDeletion != nil && *owner.BlockOwnerDeletion:
		return forbidden(a, "node %q must not set blockOwnerDeletion on an owner reference", node)
	}
	stored, err := n.Nodes.Lookup(ctx, "", node)
	switch {
	case apierrors.IsNotFound(err):
		return apierrors.NewNotFound(schema.GroupResource{Resource: "node"}, node)
	case err != nil:
		return forbidden(a, "error looking up node %s to verify uid: %w", node, err)
	case owner.UID != stored.UID:
		return forbidden(a, "node %s UID mismatch: expected %s got %s", node, owner.UID, stored.UID)
	}
	return nil
}

// apiReference says which kind of object a pod refers to, or nothing if it refers to none. References by name are looked
// for in the whole pod before volumes are looked at.
func apiReference(spec *corev1.PodSpec) (string, error) {
	if spec.ServiceAccountName != "" {
		return "serviceaccounts", nil
	}
	named := map[string]bool{}
	authz.VisitReferences(spec, func(resource, name string) {
		if name != "" {
			named[resource] = true
		}
	})
	for _, resource := range []string{"secrets", "configmaps"} {
		if named[resource] {
			return resource, nil
		}
	}
	if len(spec.ResourceClaims) > 0 {
		return "resourceclaims", nil
	}
	for i := range spec.Volumes {
		if what, err := volumeReference(&spec.Volumes[i]); what != "" || err != nil {
			return what, err
		}
	}
	return "", nil
}

// volumeReference says which kind of object a volume needs even if it names none.
func volumeReference(volume *corev1.Volume) (string, error) {
	switch source := volume.VolumeSource; {
	case source.ConfigMap != nil:
		return "configmaps (via configmap volumes)", nil
	case source.Secret != nil:
		return "secrets (via secret volumes)", nil
	case source.CSI != nil:
		return "csidrivers (via CSI volumes)", nil
	case source.Glusterfs != nil:
		return "endpoints (via glusterFS volumes)", nil
	case source.PersistentVolumeClaim != nil:
		return "persistentvolumeclaims", nil
	case source.Ephemeral != nil:
		return "persistentvolumeclaims (via ephemeral volumes)", nil
	case source.AzureFile != nil:
		return "secrets (via azureFile volumes)", nil
	case source.Projected != nil:
		for i := range source.Projected.Sources {
			if what, err := projectionReference(volume.Name, &source.Projected.Sources[i]); what != "" || err != nil {
				return what, err
			}
		}
	}
	return "", nil
}

func projectionReference(volume string, source *corev1.VolumeProjection) (string, error) {
	switch {
	case source.ConfigMap != nil:
		return "configmaps (via projected volumes)", nil
	case source.Secret != nil:
		return "secrets (via projected volumes)", nil
	case source.ServiceAccountToken != nil:
		return "serviceaccounts (via projected volumes)", nil
	case source.ClusterTrustBundle != nil:
		return "clustertrustbundles", nil
	case source.PodCertificate != nil:
		return "podcertificates", nil
	case source.DownwardAPI != nil:
		return "", nil
	}
	return "", fmt.Errorf("unknown source for projected volume %q", volume) //nolint:err113 // the text is the API's
}
