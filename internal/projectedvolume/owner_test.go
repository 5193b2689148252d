package projectedvolume

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

func TestOwnersOf(t *testing.T) {
	user := func(id int64) *corev1.SecurityContext { return &corev1.SecurityContext{RunAsUser: &id} }
	container := func(s *corev1.SecurityContext) corev1.Container { return corev1.Container{SecurityContext: s} }
	general := func(id int64) *corev1.PodSecurityContext { return &corev1.PodSecurityContext{RunAsUser: &id} }
	ephemeral := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{SecurityContext: user(2)}}
	for name, test := range map[string]struct {
		spec corev1.PodSpec
		want *int64
	}{
		"none":                     {corev1.PodSpec{Containers: []corev1.Container{container(nil)}}, nil},
		"the pod's":                {corev1.PodSpec{SecurityContext: general(1), Containers: []corev1.Container{container(nil), container(&corev1.SecurityContext{})}}, ptr.To[int64](1)},
		"the container's":          {corev1.PodSpec{Containers: []corev1.Container{container(user(1))}}, ptr.To[int64](1)},
		"root":                     {corev1.PodSpec{Containers: []corev1.Container{container(user(0))}}, ptr.To[int64](0)},
		"the same":                 {corev1.PodSpec{SecurityContext: general(1), Containers: []corev1.Container{container(user(1)), container(nil)}}, ptr.To[int64](1)},
		"one without":              {corev1.PodSpec{Containers: []corev1.Container{container(user(1)), container(nil)}}, nil},
		"the first without":        {corev1.PodSpec{Containers: []corev1.Container{container(nil), container(user(1))}}, nil},
		"different ones":           {corev1.PodSpec{Containers: []corev1.Container{container(user(1)), container(user(2)), container(user(2))}}, nil},
		"overridden":               {corev1.PodSpec{SecurityContext: general(1), Containers: []corev1.Container{container(user(2))}}, ptr.To[int64](2)},
		"an init container's":      {corev1.PodSpec{SecurityContext: general(1), InitContainers: []corev1.Container{container(user(2))}, Containers: []corev1.Container{container(nil)}}, nil},
		"an ephemeral container's": {corev1.PodSpec{SecurityContext: general(1), Containers: []corev1.Container{container(nil)}, EphemeralContainers: []corev1.EphemeralContainer{ephemeral}}, nil},
		"the same in all three kinds": {corev1.PodSpec{
			SecurityContext: general(2), InitContainers: []corev1.Container{container(user(2))}, Containers: []corev1.Container{container(nil)},
			EphemeralContainers: []corev1.EphemeralContainer{ephemeral},
		}, ptr.To[int64](2)},
	} {
		if got := ownersOf(&corev1.Pod{Spec: test.spec}).user; !ptr.Equal(got, test.want) {
			t.Errorf("%s: user %v, want %v", name, ptr.Deref(got, -1), ptr.Deref(test.want, -1))
		}
	}
}

// TestOwnership is the table of a kubelet: user, group, mode that is asked for, and what becomes of it.
func TestOwnership(t *testing.T) {
	user, group := int64(1), int64(2)
	own := owners{}.gid()
	for _, test := range []struct {
		owners      owners
		token, file ownership
	}{
		{owners{}, ownership{0o604, unset, own}, ownership{0o604, unset, own}},
		{owners{user: &user}, ownership{0o600, 1, own}, ownership{0o604, unset, own}},
		{owners{group: &group}, ownership{0o640, unset, 2}, ownership{0o644, unset, 2}},
		{owners{&user, &group}, ownership{0o640, 1, 2}, ownership{0o644, unset, 2}},
	} {
		if got := test.owners.token(0o604); got != test.token {
			t.Errorf("token %+v, want %+v", got, test.token)
		}
		if got := test.owners.file(0o604); got != test.file {
			t.Errorf("file %+v, want %+v", got, test.file)
		}
	}
}
