package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/signingkey"
)

func newKeysCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "List, rotate, retire, remove, import and publish signing keys",
		Long: `See and change the keys that sign service account tokens (signingkeys.mintmark.io).

A key is prepared (published, so that relying parties learn of it), then active (it signs), then
retired (its tokens are accepted, it signs no new ones), then gone. Rotation prepares a key that
takes over by itself when its lead is over: nothing needs a restart on any replica.

The commands find the server as kubectl does: in the file named with --kubeconfig, else in
$KUBECONFIG, else in admin.kubeconfig in the data directory of 'mintmark serve'. A key is named
by its key id or by the name of its object.`,
		Args: subcommandArgs,
		RunE: showHelp,
	}
	cmd.AddCommand(newKeysListCommand(s), newKeysShowCommand(s), newKeysRotateCommand(s), newKeysRetireCommand(s),
		newKeysRemoveCommand(s), newKeysImportCommand(s), newKeysPublishCommand(s))
	return cmd
}

const signingKeys = "signingkeys"

// keysClient is a client of mintmark.io, above all of signingkeys.
type keysClient struct {
	rest.Interface
	server *connection
	// date is the server's clock at its last answer.
	date atomic.Pointer[time.Time]
}

func newKeysClient(server *connection) (*keysClient, error) {
	scheme := runtime.NewScheme()
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	metav1.AddToGroupVersion(scheme, metav1.Unversioned)
	config := rest.CopyConfig(server.config)
	config.APIPath, config.GroupVersion = "/apis", &v1alpha1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	c := &keysClient{server: server}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return dated{next, c} })
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("cannot use the kubeconfig %s: %w", server.source, err)
	}
	c.Interface = client
	return c, nil
}

// openOwn finds the server as open does, and returns a client of mintmark.io.
func (f *connectionFlags) openOwn(cmd *cobra.Command, warnings io.Writer) (*keysClient, error) {
	server, err := f.open(cmd, warnings)
	if err != nil {
		return nil, err
	}
	return newKeysClient(server)
}

// dated notes the server's clock: plans are told by it, not by the clock of this machine.
type dated struct {
	http.RoundTripper
	client *keysClient
}

// RoundTrip sends a request.
func (d dated) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := d.RoundTripper.RoundTrip(request)
	if err == nil {
		if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
			d.client.date.Store(&date)
		}
	}
	return answer, err
}

// now is the time of the server.
func (c *keysClient) now() time.Time {
	if date := c.date.Load(); date != nil {
		return *date
	}
	return time.Now()
}

// list returns all keys.
func (c *keysClient) list(ctx context.Context) (*v1alpha1.SigningKeyList, error) {
	list := &v1alpha1.SigningKeyList{}
	if err := c.Get().Resource(signingKeys).Do(ctx).Into(list); err != nil {
		return nil, fmt.Errorf("failed to list the signing keys: %w", c.server.explain(ctx, err))
	}
	return list, nil
}

// plan returns the life of all keys, by the server's clock.
func (c *keysClient) plan(ctx context.Context) (*signingkey.Schedule, error) {
	list, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	return c.planOf(list), nil
}

func (c *keysClient) planOf(list *v1alpha1.SigningKeyList) *signingkey.Schedule {
	keys := make([]*v1alpha1.SigningKey, len(list.Items))
	for i := range list.Items {
		keys[i] = &list.Items[i]
	}
	schedule := signingkey.Plan(keys, c.now())
	return &schedule
}

// find returns the key of a key id or an object's name.
func (c *keysClient) find(ctx context.Context, name string) (*signingkey.Life, *signingkey.Schedule, error) {
	schedule, err := c.plan(ctx)
	if err != nil {
		return nil, nil, err
	}
	if life := schedule.ByKeyID(name); life != nil {
		return life, schedule, nil
	}
	for i := range schedule.Keys {
		if schedule.Keys[i].Key.Name == name {
			return &schedule.Keys[i], schedule, nil
		}
	}
	return nil, nil, fmt.Errorf("there is no signing key of that key id or name: 'mintmark keys list' shows those there are")
}

func (c *keysClient) create(ctx context.Context, key *v1alpha1.SigningKey, dryRun bool) (*v1alpha1.SigningKey, error) {
	made := &v1alpha1.SigningKey{}
	err := c.Post().Resource(signingKeys).VersionedParams(&metav1.CreateOptions{DryRun: dry(dryRun)}, metav1.ParameterCodec).Body(key).Do(ctx).Into(made)
	if err != nil {
		return nil, c.server.explain(ctx, err)
	}
	return made, nil
}

func (c *keysClient) patch(ctx context.Context, name string, patch []byte, dryRun bool) (*v1alpha1.SigningKey, error) {
	changed := &v1alpha1.SigningKey{}
	err := c.Patch(types.MergePatchType).Resource(signingKeys).Name(name).
		VersionedParams(&metav1.PatchOptions{DryRun: dry(dryRun)}, metav1.ParameterCodec).Body(patch).Do(ctx).Into(changed)
	if err != nil {
		return nil, c.server.explain(ctx, err)
	}
	return changed, nil
}

func dry(run bool) []string {
	if run {
		return []string{metav1.DryRunAll}
	}
	return nil
}

// keyArg is the cobra.PositionalArgs of commands about one key.
func keyArg(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return usageErrorf(cmd, "name a key, by its key id or the name of its object")
	case len(args) > 1:
		return usageErrorf(cmd, "more than one key named")
	}
	return nil
}

// keysCommand is what the commands about keys have in common.
type keysCommand struct {
	connectionFlags
	dryRun bool
}

func (k *keysCommand) addDryRun(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&k.dryRun, "dry-run", false, "Say what would happen, and change nothing")
}

// do runs a function with a client of the server.
func (k *keysCommand) do(cmd *cobra.Command, s streams, run func(context.Context, *keysClient) error) error {
	client, err := k.openOwn(cmd, s.err)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), requestTimeout)
	defer cancel()
	return run(ctx, client)
}

// say prints sentences, each on a line.
func (k *keysCommand) say(s streams, sentences ...string) error {
	if k.dryRun {
		sentences = append([]string{"Dry run: nothing is changed."}, sentences...)
	}
	_, err := fmt.Fprintln(s.out, plain(strings.Join(sentences, "\n")))
	return err
}

// at is an instant in a sentence.
func at(t time.Time) string { return t.UTC().Format(time.RFC3339) }
