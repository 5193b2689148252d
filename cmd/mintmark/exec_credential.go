package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientauthenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	clientauthenticationv1beta1 "k8s.io/client-go/pkg/apis/clientauthentication/v1beta1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	flagExecCredential = "exec-credential"
	// execInfoEnv is where a client tells the exec plugin of its kubeconfig what it asks for.
	execInfoEnv = "KUBERNETES_EXEC_INFO"
	// execDepthEnv is how many of these commands wait for this one.
	execDepthEnv = "MINTMARK_EXEC_DEPTH"
	maxExecDepth = 3
)

// execQuestion is what a client asks its exec plugin for. The client takes no answer of another version.
type execQuestion struct {
	apiVersion string
	// cluster is the one that the client talks to, if its kubeconfig has provideClusterInfo.
	cluster *clientcmdapi.Cluster
}

// askedExec reads the question from the environment. Without one the answer has the version v1.
func askedExec() (*execQuestion, error) {
	v1 := clientauthenticationv1.SchemeGroupVersion.String()
	info := os.Getenv(execInfoEnv)
	if info == "" {
		return &execQuestion{apiVersion: v1}, nil
	}
	var question clientauthenticationv1.ExecCredential
	if err := json.Unmarshal([]byte(info), &question); err != nil || question.Kind != "ExecCredential" {
		return nil, fmt.Errorf("$%s is not an ExecCredential: leave the variable to the client that runs this command", execInfoEnv)
	}
	if known := []string{v1, clientauthenticationv1beta1.SchemeGroupVersion.String()}; !slices.Contains(known, question.APIVersion) {
		return nil, fmt.Errorf("the client asks for %q: use apiVersion %s in the kubeconfig's exec", question.APIVersion, v1)
	}
	asked := &execQuestion{apiVersion: question.APIVersion}
	if c := question.Spec.Cluster; c != nil {
		asked.cluster = &clientcmdapi.Cluster{
			Server: c.Server, TLSServerName: c.TLSServerName, InsecureSkipTLSVerify: c.InsecureSkipTLSVerify,
			CertificateAuthorityData: c.CertificateAuthorityData, ProxyURL: c.ProxyURL, DisableCompression: c.DisableCompression,
		}
	}
	return asked, nil
}

// answer is a token as the client takes it.
func (q *execQuestion) answer(status *authenticationv1.TokenRequestStatus) *clientauthenticationv1.ExecCredential {
	return &clientauthenticationv1.ExecCredential{
		TypeMeta: metav1.TypeMeta{APIVersion: q.apiVersion, Kind: "ExecCredential"},
		Status:   &clientauthenticationv1.ExecCredentialStatus{Token: status.Token, ExpirationTimestamp: &status.ExpirationTimestamp},
	}
}

// noCircle counts how many of these commands run one another as exec plugins, and refuses to be one too many: a kubeconfig
// whose plugin reads the same kubeconfig would start programs for ever.
func noCircle(loaded *clientcmdapi.Config, source string) error {
	depth, err := strconv.Atoi(os.Getenv(execDepthEnv))
	if err != nil {
		depth = 0
	}
	for _, user := range loaded.AuthInfos {
		if user.Exec == nil {
			continue
		}
		if depth >= maxExecDepth {
			return fmt.Errorf("the kubeconfig %s gets its credentials from a command that reads it again: name one with credentials of its own with --kubeconfig", source)
		}
		user.Exec.Env = append(user.Exec.Env, clientcmdapi.ExecEnvVar{Name: execDepthEnv, Value: strconv.Itoa(depth + 1)})
	}
	return nil
}

// contextOf is the name of the context that is used of a kubeconfig.
func (f *connectionFlags) contextOf(loaded *clientcmdapi.Config) string {
	if f.overrides.CurrentContext != "" {
		return f.overrides.CurrentContext
	}
	return loaded.CurrentContext
}
