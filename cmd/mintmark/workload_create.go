package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

const (
	// workloadImage stands in the one container that a Pod object needs. Nothing is run.
	workloadImage = "not-run"
	// workloadMount is where a kubelet would mount the volume, if it were to run the pod.
	workloadMount = "/var/run/secrets/mintmark"
	rootCA        = "kube-root-ca.crt"
)

type workloadCreate struct {
	connectionFlags
	output    outputFormat
	account   string
	node      string
	tokens    []string
	ca        bool
	volume    string
	runAsUser int64
	fsGroup   int64
	dryRun    bool
}

func newWorkloadCreateCommand(s streams) *cobra.Command {
	c := &workloadCreate{output: outputFormat{allowed: []string{"json", "yaml"}}}
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a workload: a pod with tokens for a machine",
		Long: `Create a Pod object whose tokens the agent of a node keeps in files, below
<root-dir>/pods/<namespace>_<name>/volumes/<volume>/ on that machine.

Each --token is a file: audience=AUDIENCE,path=PATH,expiration=DURATION. Without an audience the
token is for the server itself; the path may be left out if there is one token ("token"); the
expiration is an hour unless given, and ten minutes at least.

The files belong to the agent's user alone, unless --run-as-user or --fs-group names the user or
the group of the program that reads them.`,
		Example: `  # A token for Vault in <root-dir>/pods/default_web/volumes/tokens/vault-token on vm1
  mintmark workload create web --service-account app --node vm1 \
    --token audience=vault,path=vault-token,expiration=15m

  # For a program of the user 1001, with the server's certificate authority beside the token
  mintmark workload create web --service-account app --node vm1 --token path=token --ca --run-as-user 1001

  # The pod as YAML, for 'kubectl apply'
  mintmark workload create web --service-account app --node vm1 --token path=token --dry-run -o yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return usageErrorf(cmd, "name one workload: %s NAME", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0], s) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.account, "service-account", "", "Service account that the tokens are for; required")
	flags.StringVar(&c.node, "node", "", "Node on which the files are written, as 'mintmark node list' shows it; required")
	flags.StringArrayVar(&c.tokens, "token", nil, "A token, as audience=AUDIENCE,path=PATH,expiration=DURATION; may be repeated")
	flags.BoolVar(&c.ca, "ca", false, "Write the server's certificate authority to ca.crt beside the tokens")
	flags.StringVar(&c.volume, "volume", "tokens", "Name of the volume, which is the directory of the files")
	flags.Int64Var(&c.runAsUser, "run-as-user", 0, "uid of the user that reads the tokens (default: the agent's user)")
	flags.Int64Var(&c.fsGroup, "fs-group", 0, "gid of the group that may read the tokens (default: none)")
	flags.BoolVar(&c.dryRun, "dry-run", false, "Print the pod, as YAML unless -o says otherwise, and ask no server")
	for _, name := range []string{"service-account", "node", "token", "volume", "run-as-user", "fs-group"} {
		completeFlag(cmd, name)
	}
	c.addNamespace(cmd, "workload")
	c.output.addTo(cmd)
	c.addTo(cmd)
	return cmd
}

func (c *workloadCreate) run(cmd *cobra.Command, name string, s streams) error {
	pod, err := c.pod(cmd, name)
	if err != nil {
		return err
	}
	if c.dryRun {
		pod.Namespace = c.overrides.Context.Namespace
		if c.output.value == "" {
			c.output.value = "yaml"
		}
		return c.print(s, pod)
	}
	client, server, err := c.openCore(cmd, s.err)
	if err != nil {
		return err
	}
	ctx, cancel := requestContext(cmd)
	defer cancel()
	if err := c.check(ctx, client, server, name, s); err != nil {
		return err
	}
	created, err := client.Pods(server.namespace).Create(ctx, pod, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("there is a pod %s/%s already, and the volumes of a pod can't be changed: delete it with 'mintmark workload delete %s -n %s', or choose another name",
			server.namespace, name, name, server.namespace)
	}
	if err != nil {
		return fmt.Errorf("failed to create the workload: %w", server.explain(ctx, err))
	}
	return c.print(s, created)
}

// pod returns the pod that the flags describe.
func (c *workloadCreate) pod(cmd *cobra.Command, name string) (*corev1.Pod, error) {
	for _, named := range []struct{ what, name string }{{"NAME", name}, {"--node", c.node}, {"--service-account", c.account}} {
		if named.name == "" {
			return nil, usageErrorf(cmd, "a workload needs an account and a node: %s is missing", named.what)
		}
		if problems := validation.IsDNS1123Subdomain(named.name); len(problems) > 0 {
			return nil, usageErrorf(cmd, "%s %q is no name: %s", named.what, plain(named.name), problems[0])
		}
	}
	if problems := validation.IsDNS1123Label(c.volume); len(problems) > 0 {
		return nil, usageErrorf(cmd, "--volume %q can't be the name of a volume: %s", plain(c.volume), problems[0])
	}
	sources, err := workloadSources(c.tokens, c.ca)
	if err != nil {
		return nil, usageErrorf(cmd, "%w", err)
	}
	security, mode := &corev1.PodSecurityContext{}, (*int32)(nil)
	for _, id := range []struct {
		flag  string
		value int64
		to    **int64
	}{{"run-as-user", c.runAsUser, &security.RunAsUser}, {"fs-group", c.fsGroup, &security.FSGroup}} {
		switch {
		case !cmd.Flags().Changed(id.flag):
		case len(validation.IsValidUserID(id.value)) > 0:
			return nil, usageErrorf(cmd, "--%s must be a number from 0 to 2147483647", id.flag)
		default:
			*id.to = &id.value
		}
	}
	if security.RunAsUser == nil && security.FSGroup == nil {
		// A kubelet's 0644 is for files that one container sees.
		private := int32(0o600)
		security, mode = nil, &private
	}
	no := false
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			ServiceAccountName:           c.account,
			AutomountServiceAccountToken: &no,
			NodeName:                     c.node,
			SecurityContext:              security,
			Containers: []corev1.Container{{
				Name: "workload", Image: workloadImage,
				VolumeMounts: []corev1.VolumeMount{{Name: c.volume, MountPath: workloadMount, ReadOnly: true}},
			}},
			Volumes: []corev1.Volume{{
				Name:         c.volume,
				VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: sources, DefaultMode: mode}},
			}},
		},
	}, nil
}

// check refuses a name that no directory can have and an account that is not there, and warns of a node that isn't. Callers that may not ask are not kept from trying.
func (c *workloadCreate) check(ctx context.Context, client corev1client.CoreV1Interface, server *connection, name string, s streams) error {
	if directory := server.namespace + "_" + name; len(directory) > longestName {
		return fmt.Errorf("namespace and name of the workload have %d characters, and no more than %d make the name of a directory: give it a shorter name", len(directory)-1, longestName-1)
	}
	_, err := client.ServiceAccounts(server.namespace).Get(ctx, c.account, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("there is no service account %s/%s, so no token could be issued: create it with 'kubectl create serviceaccount %s -n %s', or name another with --service-account",
			server.namespace, c.account, c.account, server.namespace)
	case err != nil && !apierrors.IsForbidden(err):
		return fmt.Errorf("failed to create the workload: %w", server.explain(ctx, err))
	}
	if _, err := client.Nodes().Get(ctx, c.node, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		_, _ = fmt.Fprintf(s.err, "Warning: there is no node %s yet. The files are written once it has joined: 'mintmark node add %s' says how\n", c.node, c.node) // a closed terminal can't be told
	}
	return nil
}

func (c *workloadCreate) print(s streams, pod *corev1.Pod) error {
	if c.output.value != "" {
		cleanPod(pod)
		return c.output.print(s.out, pod)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "workload %s/%s created; node %s keeps, below the --root-dir of its agent:\n", pod.Namespace, pod.Name, pod.Spec.NodeName)
	for _, file := range workloadTokens(pod) {
		fmt.Fprintf(&text, "  pods/%s_%s/volumes/%s\n", pod.Namespace, pod.Name, file)
	}
	_, err := fmt.Fprint(s.out, text.String())
	return err
}
