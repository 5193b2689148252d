package controller

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/boundobject"
)

const day = 24 * time.Hour

// state tells what has become of a secret.
func (c *cluster) state(t *testing.T, name string) string {
	t.Helper()
	if !c.hasSecret("team", name) {
		return "deleted"
	}
	if since := c.secret(t, "team", name).Labels[boundobject.InvalidSinceLabel]; since != "" {
		return "invalid since " + since
	}
	return "valid"
}

// TestUnusedLegacyTokens follows tokens for two periods of three days and then some. Time begins on 2000-01-01.
func TestUnusedLegacyTokens(t *testing.T) {
	label := func(key, value string) func(*corev1.Secret) {
		return func(s *corev1.Secret) { s.Labels = map[string]string{key: value} }
	}
	const fourDays = "2000-01-05"
	for name, test := range map[string]struct {
		unlisted bool
		change   []func(*corev1.Secret)
		pod      *corev1.PodSpec
		want     [3]string // after 3, 4 and 8 days
	}{
		"never used":                {want: [3]string{"valid", "invalid since " + fourDays, "deleted"}},
		"used long ago":             {change: []func(*corev1.Secret){label(boundobject.LastUsedLabel, "1999-12-01")}, want: [3]string{"valid", "invalid since " + fourDays, "deleted"}},
		"used in between":           {change: []func(*corev1.Secret){label(boundobject.LastUsedLabel, "2000-01-03")}, want: [3]string{"valid", "valid", "invalid since 2000-01-07"}},
		"used in the future":        {change: []func(*corev1.Secret){label(boundobject.LastUsedLabel, "2100-01-01")}, want: [3]string{"valid", "valid", "valid"}},
		"used who knows when":       {change: []func(*corev1.Secret){label(boundobject.LastUsedLabel, "lately")}, want: [3]string{"valid", "valid", "valid"}},
		"marked illegibly":          {change: []func(*corev1.Secret){label(boundobject.InvalidSinceLabel, "lately")}, want: [3]string{"invalid since lately", "invalid since " + fourDays, "deleted"}},
		"marked long before":        {change: []func(*corev1.Secret){label(boundobject.InvalidSinceLabel, "1999-12-01")}, want: [3]string{"invalid since 1999-12-01", "deleted", "deleted"}},
		"made by hand":              {unlisted: true, want: [3]string{"valid", "valid", "valid"}},
		"of an account before":      {change: []func(*corev1.Secret){func(s *corev1.Secret) { s.Annotations[corev1.ServiceAccountUIDKey] = "x" }}, want: [3]string{"valid", "valid", "valid"}},
		"of another type":           {change: []func(*corev1.Secret){func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }}, want: [3]string{"valid", "valid", "valid"}},
		"mounted":                   {pod: mounting("robot-token"), want: [3]string{"valid", "valid", "valid"}},
		"in the environment":        {pod: withVariablesOf("robot-token"), want: [3]string{"valid", "valid", "valid"}},
		"another secret is mounted": {pod: mounting("robot-token-2"), want: [3]string{"valid", "invalid since " + fourDays, "deleted"}},
		"young": {change: []func(*corev1.Secret){func(s *corev1.Secret) {
			s.CreationTimestamp = metav1.NewTime(time.Now().Add(3 * day))
		}}, want: [3]string{"valid", "valid", "invalid since 2000-01-07"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				c.addNamespace(t, "kube-system")
				if test.unlisted {
					c.addAccount(t, "team", "robot")
				} else {
					c.addAccount(t, "team", "robot", "robot-token")
				}
				c.addTokenSecret(t, "team", "robot-token", "robot", test.change...)
				if test.pod != nil {
					c.addPod(t, "team", "pod", func(pod *corev1.Pod) { pod.Spec = *test.pod })
				}
				c.run(t, Config{LegacyTokenCleanUpPeriod: 3 * day}, "legacy-serviceaccount-token-cleaner-controller")
				var got [3]string
				// A second after midnight, since the rounds are at midnight.
				time.Sleep(3*day + time.Second)
				got[0] = c.state(t, "robot-token")
				time.Sleep(day)
				got[1] = c.state(t, "robot-token")
				time.Sleep(4 * day)
				got[2] = c.state(t, "robot-token")
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// mounting is a pod with a secret in a volume.
func mounting(secret string) *corev1.PodSpec {
	return &corev1.PodSpec{Volumes: []corev1.Volume{
		{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret}}},
	}}
}

// withVariablesOf is a pod with a secret in the environment of its container.
func withVariablesOf(secret string) *corev1.PodSpec {
	from := &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}
	return &corev1.PodSpec{Containers: []corev1.Container{{EnvFrom: []corev1.EnvFromSource{{SecretRef: from}}}}}
}
