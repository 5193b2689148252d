package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
)

func newWorkloadCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "workload",
		Short: "Create, list and delete the workloads of machines",
		Long: `A workload is a Pod object with a projected volume: it names a service account, a node and the
tokens that the agent of that node ('mintmark agent') keeps in files. Nothing is run, and
'kubectl apply' of such a pod does the same as create.

The commands find the server as kubectl does: in the file named with --kubeconfig, else in
$KUBECONFIG, else in admin.kubeconfig in the data directory of 'mintmark serve'.`,
		Args: subcommandArgs,
		RunE: showHelp,
	}
	cmd.AddCommand(newWorkloadCreateCommand(s), newWorkloadListCommand(s), newWorkloadDeleteCommand(s))
	return cmd
}

// addNamespace adds kubectl's flag for the namespace.
func (f *connectionFlags) addNamespace(cmd *cobra.Command, of string) {
	clientcmd.FlagInfo{
		LongName: clientcmd.FlagNamespace, ShortName: "n",
		Description: "Namespace of the " + of + " (default: the kubeconfig context's, else \"default\")",
	}.BindTransformingStringFlag(cmd.Flags(), &f.overrides.Context.Namespace, clientcmd.RemoveNamespacesPrefix)
	completeFlag(cmd, clientcmd.FlagNamespace)
}

// openCore finds the server as open does, and returns a client of the core API.
func (f *connectionFlags) openCore(cmd *cobra.Command, warnings io.Writer) (*corev1client.CoreV1Client, *connection, error) {
	server, err := f.open(cmd, warnings)
	if err != nil {
		return nil, nil, err
	}
	client, err := corev1client.NewForConfig(server.config)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot use the kubeconfig %s: %w", server.source, err)
	}
	return client, server, nil
}

type workloadList struct {
	connectionFlags
	output        outputFormat
	allNamespaces bool
	node          string
}

func newWorkloadListCommand(s streams) *cobra.Command {
	c := &workloadList{output: outputFormat{allowed: []string{"table", "json", "yaml"}}}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the workloads",
		Long:  `List the pods that have a node and tokens in projected volumes, with the files that they get.`,
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return c.run(cmd, s) },
	}
	cmd.Flags().BoolVarP(&c.allNamespaces, "all-namespaces", "A", false, "List those of all namespaces")
	cmd.Flags().StringVar(&c.node, "node", "", "List those of one node only")
	completeFlag(cmd, "node")
	c.addNamespace(cmd, "workloads")
	c.output.addTo(cmd)
	c.addTo(cmd)
	return cmd
}

func (c *workloadList) run(cmd *cobra.Command, s streams) error {
	client, server, err := c.openCore(cmd, s.err)
	if err != nil {
		return err
	}
	namespace := server.namespace
	if c.allNamespaces {
		namespace = metav1.NamespaceAll
	}
	ctx, cancel := requestContext(cmd)
	defer cancel()
	list, err := client.Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("failed to list the workloads: %w", server.explain(ctx, err))
	}
	list.Items = slices.DeleteFunc(list.Items, func(pod corev1.Pod) bool {
		return pod.Spec.NodeName == "" || c.node != "" && pod.Spec.NodeName != c.node || len(workloadTokens(&pod)) == 0
	})
	if c.output.value == "json" || c.output.value == "yaml" {
		list.APIVersion, list.Kind = "v1", "PodList"
		for i := range list.Items {
			cleanPod(&list.Items[i])
		}
		return c.output.print(s.out, list)
	}
	if len(list.Items) == 0 {
		_, err := io.WriteString(s.err, "No workloads found. 'mintmark workload create --help' says how to make one.\n")
		return err
	}
	return c.write(s.out, list.Items, time.Now())
}

func (c *workloadList) write(w io.Writer, pods []corev1.Pod, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	header, row := "NAME\tNODE\tACCOUNT\tTOKENS\tAGE\n", "%s\t%s\t%s\t%s\t%s\n"
	if c.allNamespaces {
		header = "NAMESPACE\t" + header
	}
	_, _ = io.WriteString(table, header) // Flush has the error
	for i := range pods {
		pod := &pods[i]
		if c.allNamespaces {
			_, _ = io.WriteString(table, pod.Namespace+"\t")
		}
		_, _ = fmt.Fprintf(table, row, pod.Name, pod.Spec.NodeName, pod.Spec.ServiceAccountName, plain(strings.Join(workloadTokens(pod), ",")),
			duration.HumanDuration(now.Sub(pod.CreationTimestamp.Time)))
	}
	return table.Flush()
}

// workloadTokens returns the files of a pod that hold tokens, below the directory of its volumes.
func workloadTokens(pod *corev1.Pod) []string {
	var files []string
	for _, volume := range pod.Spec.Volumes {
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if source.ServiceAccountToken != nil {
				files = append(files, volume.Name+"/"+source.ServiceAccountToken.Path)
			}
		}
	}
	return files
}

// cleanPod has a pod printed as kubectl prints it.
func cleanPod(pod *corev1.Pod) {
	pod.APIVersion, pod.Kind = "v1", "Pod"
	pod.ManagedFields = nil
}

type workloadDelete struct{ connectionFlags }

func newWorkloadDeleteCommand(s streams) *cobra.Command {
	c := &workloadDelete{}
	cmd := &cobra.Command{
		Use:   "delete NAME...",
		Short: "Delete workloads: their tokens end at once",
		Long: `Delete workloads at once. Their tokens are refused from then on, and the agent of the node removes
the files.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || slices.Contains(args, "") {
				return usageErrorf(cmd, "name the workloads: %s NAME", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd, args, s) },
	}
	c.addNamespace(cmd, "workloads")
	c.addTo(cmd)
	return cmd
}

func (c *workloadDelete) run(cmd *cobra.Command, names []string, s streams) error {
	client, server, err := c.openCore(cmd, s.err)
	if err != nil {
		return err
	}
	ctx, cancel := requestContext(cmd)
	defer cancel()
	for _, name := range names {
		if err := client.Pods(server.namespace).Delete(ctx, name, *metav1.NewDeleteOptions(0)); err != nil {
			return fmt.Errorf("failed to delete the workload %q: %w", name, server.explain(ctx, err))
		}
		if _, err := fmt.Fprintf(s.out, "workload %s/%s deleted: its tokens are refused from now on\n", server.namespace, name); err != nil {
			return err
		}
	}
	return nil
}
