package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// boundObjectKinds are what a token can be bound to, all of core v1.
var boundObjectKinds = []string{"Node", "Pod", "Secret"}

type tokenCreate struct {
	connectionFlags
	output    outputFormat
	audiences []string
	duration  time.Duration
	bound     authenticationv1.BoundObjectReference
	opaque    opaqueToken
	// execCredential has the token printed as client-go's exec plugins do.
	execCredential bool
}

func newTokenCreateCommand(s streams) *cobra.Command {
	c := &tokenCreate{output: outputFormat{allowed: []string{"json", "yaml"}}}
	cmd := &cobra.Command{
		Use:   "create ACCOUNT",
		Short: "Request a token for a service account, or create one for a user",
		Long: `Request a token for a service account and print it, and nothing else, on standard output, as
'kubectl create token' does. What the server warns of, such as a shortened lifetime, goes to
standard error.

With --exec-credential it is what the exec plugin of a kubeconfig prints: kubectl and other clients
run this command for a token, and again when that has ended. 'mintmark kubeconfig create' writes
such a kubeconfig.

With --opaque, create an access token of OpenShift for a user (--user), which kubectl and the
server's other clients then are that user with. It is printed once and kept nowhere: the server
knows a hash of it. Its owner lists and deletes such tokens as useroauthaccesstokens.`,
		Example: `  # A token for the service account "app" in the kubeconfig's namespace
  mintmark token create app

  # For ten minutes and for one audience only
  mintmark token create app --namespace prod --audience vault --duration 10m

  # One that ends with a pod
  mintmark token create app --bound-object-kind Pod --bound-object-name web-0

  # In a CI job: the job's own token, from the CI system, for one of Mintmark
  mintmark token create app --audience vault --server https://tokens.example.com:7443 \
    --certificate-authority ca.crt --bearer-token-file job-token

  # An opaque one for the user "ada", for an hour
  mintmark token create --opaque --user ada --duration 1h`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := c.opaque.validate(cmd, args); err != nil || c.opaque.wanted {
				return err
			}
			if len(args) != 1 || args[0] == "" {
				return usageErrorf(cmd, "name one service account: %s ACCOUNT", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.opaque.wanted {
				return c.runOpaque(cmd, s)
			}
			return c.run(cmd, args[0], s)
		},
	}
	c.addTo(cmd)
	return cmd
}

func (c *tokenCreate) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	clientcmd.FlagInfo{
		LongName: clientcmd.FlagNamespace, ShortName: "n",
		Description: "Namespace of the service account (default: the kubeconfig context's, else \"default\")",
	}.BindTransformingStringFlag(flags, &c.overrides.Context.Namespace, clientcmd.RemoveNamespacesPrefix)
	flags.StringArrayVar(&c.audiences, "audience", nil, "Audience of the token; may be repeated (default: the server's own audiences)")
	flags.DurationVar(&c.duration, "duration", 0, "Lifetime to ask for, e.g. 10m or 24h; the server may give another (default: the server's)")
	flags.StringVar(&c.bound.Kind, "bound-object-kind", "", "Kind of an object that the token ends with: "+strings.Join(boundObjectKinds, ", "))
	flags.StringVar(&c.bound.Name, "bound-object-name", "", "Name of that object; required with --bound-object-kind")
	flags.StringVar((*string)(&c.bound.UID), "bound-object-uid", "", "UID of that object (default: that of the object that has the name now)")
	flags.BoolVar(&c.execCredential, flagExecCredential, false, "Print the token as an ExecCredential (client.authentication.k8s.io/v1), for the exec plugin of a kubeconfig")
	c.opaque.addTo(cmd)
	c.output.addTo(cmd)
	c.connectionFlags.addTo(cmd)
	completeFlag(cmd, clientcmd.FlagNamespace)
	completeFlag(cmd, "audience")
	completeFlag(cmd, "duration")
	completeFlag(cmd, "bound-object-kind", boundObjectKinds...)
	completeFlag(cmd, "bound-object-name")
	completeFlag(cmd, "bound-object-uid")
}

// validate refuses what 'kubectl create token' refuses; everything else is the server's to say.
func (c *tokenCreate) validate(cmd *cobra.Command) error {
	kinds := strings.Join(boundObjectKinds, ", ")
	switch {
	case c.duration < 0:
		return usageErrorf(cmd, "--duration must be positive, or 0 to leave it to the server")
	case c.duration%time.Second != 0:
		return usageErrorf(cmd, "--duration must be in whole seconds")
	case slices.Contains(c.audiences, ""):
		return usageErrorf(cmd, "--audience must not be empty: leave it out to get a token for the server's own audiences")
	case c.bound.Kind == "" && c.bound.Name != "":
		return usageErrorf(cmd, "--bound-object-name needs --bound-object-kind (one of %s)", kinds)
	case c.bound.Kind == "" && c.bound.UID != "":
		return usageErrorf(cmd, "--bound-object-uid needs --bound-object-kind (one of %s) and --bound-object-name", kinds)
	case c.bound.Kind != "" && !slices.Contains(boundObjectKinds, c.bound.Kind):
		return usageErrorf(cmd, "--bound-object-kind must be one of %s", kinds)
	case c.bound.Kind != "" && c.bound.Name == "":
		return usageErrorf(cmd, "--bound-object-kind needs the object's name: give it with --bound-object-name")
	case c.execCredential && c.output.value != "":
		return usageErrorf(cmd, "--%s is a format of its own: leave out --output", flagExecCredential)
	}
	return nil
}

func (c *tokenCreate) request() *authenticationv1.TokenRequest {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: c.audiences}}
	if c.duration > 0 {
		seconds := int64(c.duration / time.Second)
		request.Spec.ExpirationSeconds = &seconds
	}
	if c.bound.Kind != "" {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: c.bound.Kind, Name: c.bound.Name, UID: c.bound.UID,
		}
	}
	return request
}

func (c *tokenCreate) run(cmd *cobra.Command, account string, s streams) error {
	if err := c.validate(cmd); err != nil {
		return err
	}
	if c.execCredential {
		var err error
		if c.question, err = askedExec(); err != nil {
			return err
		}
	}
	server, err := c.open(cmd, s.err)
	if err != nil {
		return err
	}
	answer, err := server.createToken(cmd.Context(), server.namespace, account, c.request())
	if err != nil {
		return err
	}
	return c.print(s, answer)
}

// createToken requests a token of a service account.
func (c *connection) createToken(ctx context.Context, namespace, account string, request *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
	client, err := corev1client.NewForConfig(c.config)
	if err != nil {
		return nil, fmt.Errorf("cannot use the kubeconfig %s: %w", c.source, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err := client.ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to create token: %w", c.explain(ctx, err))
	}
	if answer.Status.Token == "" {
		return nil, errors.New("failed to create token: no token in server response")
	}
	return answer, nil
}

func (c *tokenCreate) print(s streams, answer *authenticationv1.TokenRequest) error {
	switch {
	case c.execCredential:
		return c.output.print(s.out, c.question.answer(&answer.Status))
	case c.output.value != "":
		answer.TypeMeta = metav1.TypeMeta{APIVersion: authenticationv1.SchemeGroupVersion.String(), Kind: "TokenRequest"}
		answer.ManagedFields = nil // kubectl doesn't show it either
		return c.output.print(s.out, answer)
	}
	return printToken(s, answer.Status.Token)
}

// printToken prints a token as kubectl has it: with a newline for the person, but none in a file, where not every reader
// of tokens would take it off.
func printToken(s streams, token string) error {
	end := ""
	if isTerminal(s.out) {
		end = "\n"
	}
	_, err := fmt.Fprint(s.out, token, end)
	return err
}

// runOpaque creates an opaque token.
func (c *tokenCreate) runOpaque(cmd *cobra.Command, s streams) error {
	if err := c.validate(cmd); err != nil {
		return err
	}
	server, err := c.open(cmd, s.err)
	if err != nil {
		return err
	}
	client, err := newOpenShift(server)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), requestTimeout)
	defer cancel()
	token, err := client.create(ctx, &c.opaque, c.duration)
	if err != nil {
		return fmt.Errorf("failed to create token: %w", err)
	}
	return printToken(s, token)
}
