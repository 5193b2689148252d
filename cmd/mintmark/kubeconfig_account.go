package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// forAccount writes a kubeconfig with a token of a service account, or with the command that fetches one. A token is requested
// in either case: a kubeconfig whose command can't work is not written.
func (c *kubeconfigCreate) forAccount(cmd *cobra.Command, s streams, made *newKubeconfig, namespace, account string) error {
	request := &authenticationv1.TokenRequest{}
	if seconds := int64(c.duration / time.Second); !c.exec || cmd.Flags().Changed("duration") {
		request.Spec.ExpirationSeconds = &seconds
	}
	answer, err := made.server.createToken(cmd.Context(), namespace, account, request)
	if err != nil {
		return err
	}
	credentials, until := clientcmdapi.NewAuthInfo(), "until "+at(answer.Status.ExpirationTimestamp.Time)
	if c.exec {
		if credentials.Exec, err = c.plugin(cmd, made.server, namespace, account); err != nil {
			return err
		}
		until = fmt.Sprintf("with tokens that clients fetch by running '%s token create'", credentials.Exec.Command)
	} else {
		credentials.Token = answer.Status.Token
	}
	username := serviceaccount.MakeUsername(namespace, account)
	if err := made.write(username, namespace, credentials); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, plain(fmt.Sprintf("Wrote %s: %s, %s.", made.path(), username, until)))
	return err
}

// plugin is the exec plugin of a kubeconfig that fetches tokens over the same connection.
func (c *kubeconfigCreate) plugin(cmd *cobra.Command, server *connection, namespace, account string) (*clientcmdapi.ExecConfig, error) {
	program, err := ownProgram()
	if err != nil {
		return nil, err
	}
	args := []string{"token", "create", account, "--namespace", namespace, "--" + flagExecCredential}
	if cmd.Flags().Changed("duration") {
		args = append(args, "--duration", c.duration.String())
	}
	again, env, err := c.again(server)
	if err != nil {
		return nil, err
	}
	return &clientcmdapi.ExecConfig{
		APIVersion: clientauthenticationv1.SchemeGroupVersion.String(),
		Command:    program, Args: append(args, again...), Env: env,
		InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
		InstallHint:     "This kubeconfig gets its tokens from the program mintmark: put it into your PATH.",
	}, nil
}

// ownProgram is how this program is called from anywhere: by its name if that finds it, else by its path.
func ownProgram() (string, error) {
	own, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("cannot tell where this program is: %w", err)
	}
	const name = "mintmark"
	found, err := exec.LookPath(name)
	if err != nil {
		return own, nil //nolint:nilerr // then the path it is
	}
	inPath, pathErr := os.Stat(found)
	running, ownErr := os.Stat(own)
	if pathErr == nil && ownErr == nil && os.SameFile(inPath, running) {
		return name, nil
	}
	return own, nil
}

// again returns the flags and environment that lead to the same server, as the same user, from any directory.
func (f *connectionFlags) again(server *connection) (args []string, env []clientcmdapi.ExecEnvVar, err error) {
	absolute := func(path string) string {
		whole, absErr := filepath.Abs(path)
		if absErr != nil {
			err = absErr
		}
		return whole
	}
	add := func(flag, value string) {
		if value != "" {
			args = append(args, "--"+flag, value)
		}
	}
	switch len(server.files) {
	case 0:
	case 1:
		add(clientcmd.RecommendedConfigPathFlag, absolute(server.files[0]))
	default:
		files := make([]string, len(server.files))
		for i, file := range server.files {
			files[i] = absolute(file)
		}
		env = []clientcmdapi.ExecEnvVar{{Name: kubeconfigEnv, Value: strings.Join(files, string(filepath.ListSeparator))}}
	}
	add(clientcmd.FlagContext, server.context)
	add(clientcmd.FlagAPIServer, f.overrides.ClusterInfo.Server)
	if authority := f.overrides.ClusterInfo.CertificateAuthority; authority != "" {
		add(clientcmd.FlagCAFile, absolute(authority))
	}
	if f.bearerFile != "" {
		add(flagBearerTokenFile, absolute(f.bearerFile))
	}
	add(clientcmd.FlagImpersonate, f.overrides.AuthInfo.Impersonate)
	for _, group := range f.overrides.AuthInfo.ImpersonateGroups {
		add(clientcmd.FlagImpersonateGroup, group)
	}
	return args, env, err
}
