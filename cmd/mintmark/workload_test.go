package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// create is a command line of a good workload, with further arguments.
func create(more ...string) []string {
	return append([]string{"workload", "create", "web", "--service-account", "app", "--node", "vm1", "--dry-run"}, more...)
}

// TestWorkloadYAML prints the pod of a workload, without a server.
func TestWorkloadYAML(t *testing.T) {
	got := mintmark(t, "", create("--token", "audience=vault,path=vault-token,expiration=15m", "--token", "path=sub/./api", "--ca", "--run-as-user", "1001", "--fs-group", "0")...)
	got.want(t, 0, "kind: Pod\n", "")
	var pod corev1.Pod
	if err := yaml.UnmarshalStrict([]byte(got.out), &pod); err != nil {
		t.Fatal(err)
	}
	user, group, minutes, hour, no := int64(1001), int64(0), int64(900), int64(3600), false
	want := corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: corev1.PodSpec{
			ServiceAccountName: "app", NodeName: "vm1", AutomountServiceAccountToken: &no,
			SecurityContext: &corev1.PodSecurityContext{RunAsUser: &user, FSGroup: &group},
			Containers: []corev1.Container{{
				Name: "workload", Image: "not-run",
				VolumeMounts: []corev1.VolumeMount{{Name: "tokens", MountPath: "/var/run/secrets/mintmark", ReadOnly: true}},
			}},
			Volumes: []corev1.Volume{{Name: "tokens", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "vault", Path: "vault-token", ExpirationSeconds: &minutes}},
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "sub/api", ExpirationSeconds: &hour}},
				{ConfigMap: &corev1.ConfigMapProjection{
					LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"},
					Items:                []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
				}},
			}}}}},
		},
	}
	if diff := cmp.Diff(want, pod); diff != "" {
		t.Errorf("the pod (-want +got):\n%s", diff)
	}
}

// TestWorkloadIsPrivate: without a user or a group, the files are for the agent's user alone.
func TestWorkloadIsPrivate(t *testing.T) {
	got := mintmark(t, "", create("--token", "audience=vault", "--namespace", "prod")...)
	for _, want := range []string{"defaultMode: 384\n", "path: token\n", "namespace: prod\n"} {
		got.want(t, 0, want, "")
	}
	if strings.Contains(got.out, "securityContext") {
		t.Errorf("printed\n%s", got.out)
	}
}

// TestWorkloadRefused: what can't be good is refused before a server is asked, with a sentence.
func TestWorkloadRefused(t *testing.T) {
	t.Setenv(kubeconfigEnv, "/nowhere")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no name":               {[]string{"workload", "create"}, "name one workload"},
		"a name that is none":   {[]string{"workload", "create", "Web/1", "--service-account", "app", "--node", "vm1", "--token", "path=a"}, `NAME "Web/1" is no name`},
		"no account":            {[]string{"workload", "create", "web", "--node", "vm1", "--token", "path=a"}, "--service-account is missing"},
		"no node":               {[]string{"workload", "create", "web", "--service-account", "app", "--token", "path=a"}, "--node is missing"},
		"a node that is none":   {create("--node", "../vm1", "--token", "path=a"), `--node "../vm1" is no name`},
		"no token":              {create(), "a workload needs a token"},
		"an absolute path":      {create("--token", "path=/etc/passwd"), "must be relative"},
		"a path up":             {create("--token", "path=../token"), "must not contain '..'"},
		"a path up in between":  {create("--token", "path=a/../../token"), "must not contain '..'"},
		"the agent's own name":  {create("--token", "path=..data"), "must not begin with '..'"},
		"the same, hidden":      {create("--token", "path=./..data/token"), "must not begin with '..'"},
		"the directory":         {create("--token", "path=."), "must name a file"},
		"a line break":          {create("--token", "path=a\nb"), "must be of characters that can be printed"},
		"a zero byte":           {create("--token", "path=a\x00b"), "must be of characters that can be printed"},
		"a long name":           {create("--token", "path=a/"+strings.Repeat("b", 256)), "no name of more than 255 bytes"},
		"a long path":           {create("--token", "path="+strings.Repeat("a/", 2048)+"b"), "no longer than 4096 bytes"},
		"too short":             {create("--token", "path=a,expiration=9m59s"), "must be ten minutes (10m) or more"},
		"negative":              {create("--token", "path=a,expiration=-15m"), "must be ten minutes (10m) or more"},
		"too long":              {create("--token", "path=a,expiration=2000000h"), "2^32 seconds at most"},
		"a part of a second":    {create("--token", "path=a,expiration=10m1ms"), "in whole seconds"},
		"no duration":           {create("--token", "path=a,expiration=900"), "is no duration"},
		"an unknown key":        {create("--token", "path=a,aud=vault"), `"aud" is none of audience=, path= and expiration=`},
		"a key twice":           {create("--token", "audience=a,audience=b,path=a"), "audience is there twice"},
		"an empty value":        {create("--token", "audience=,path=a"), "audience has no value"},
		"nothing":               {create("--token", ""), `"" is none of audience=`},
		"one path twice":        {create("--token", "path=a", "--token", "path=./a"), "a is there twice"},
		"a path of the CA":      {create("--token", "path=ca.crt", "--ca"), "ca.crt is there twice"},
		"a file in a file":      {create("--token", "path=a/b", "--token", "path=a"), "a file can't be inside another"},
		"several without paths": {create("--token", "path=a", "--token", "audience=b"), "each of several tokens needs a path="},
		"a volume's name":       {create("--token", "path=a", "--volume", "../x"), `--volume "../x" can't be the name of a volume`},
		"a user below 0":        {create("--token", "path=a", "--run-as-user", "-1"), "--run-as-user must be a number from 0 to 2147483647"},
		"a group too high":      {create("--token", "path=a", "--fs-group", "4294967295"), "--fs-group must be a number from 0 to 2147483647"},
		"delete what":           {[]string{"workload", "delete"}, "name the workloads"},
	} {
		t.Run(name, func(t *testing.T) {
			mintmark(t, "", test.args...).want(t, exitUsage, "", test.want)
		})
	}
}
