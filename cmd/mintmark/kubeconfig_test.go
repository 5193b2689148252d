//go:build unix

package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const found = "mintmark-data/admin.kubeconfig"

// foundKubeconfig is a bench with a kubeconfig at the default path.
func foundKubeconfig(t *testing.T) *fakeAPI {
	t.Helper()
	api := bench(t)
	writeFile(t, found, "")
	api.kubeconfig(t, found, "")
	return api
}

// edit changes a kubeconfig.
func edit(t *testing.T, file string, change func(*clientcmdapi.Config)) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	change(config)
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
}

// A kubeconfig at the default path runs no program, reads no other file and sends nothing to another machine. Named with a
// flag, the same file works as it does with kubectl.
func TestFoundKubeconfigSays(t *testing.T) {
	for name, test := range map[string]struct {
		change func(api *fakeAPI, c *clientcmdapi.Config)
		err    string
		named  string // the error if the file is named, if there is one then
	}{
		"a program": {
			change: func(_ *fakeAPI, c *clientcmdapi.Config) {
				c.AuthInfos["admin"] = &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{
					APIVersion: "client.authentication.k8s.io/v1", Command: "./plugin", InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
				}}
			},
			err: `its user "admin" has a program to run (exec)`,
		},
		"a program for a user that is not chosen": {
			change: func(_ *fakeAPI, c *clientcmdapi.Config) {
				c.AuthInfos["stranger"].Exec = &clientcmdapi.ExecConfig{APIVersion: "client.authentication.k8s.io/v1", Command: "./plugin"}
			},
			err: `its user "stranger" has a program to run (exec)`,
		},
		"an auth provider": {
			change: func(_ *fakeAPI, c *clientcmdapi.Config) {
				c.AuthInfos["admin"] = &clientcmdapi.AuthInfo{AuthProvider: &clientcmdapi.AuthProviderConfig{Name: "oidc"}}
			},
			err: `its user "admin" has a plug-in for credentials (auth-provider)`, named: "no Auth Provider found",
		},
		"a token file": {
			change: func(_ *fakeAPI, c *clientcmdapi.Config) {
				c.AuthInfos["admin"] = &clientcmdapi.AuthInfo{TokenFile: "credential"}
			},
			err: `the credentials of its user "admin" are in other files`, named: "no such file",
		},
		"a client certificate elsewhere": {
			change: func(_ *fakeAPI, c *clientcmdapi.Config) {
				c.AuthInfos["admin"].ClientCertificate, c.AuthInfos["admin"].ClientKey = "../crt", "../key"
			},
			err: `the credentials of its user "admin" are in other files`, named: "unable to read client-cert",
		},
		"a proxy": {
			change: func(_ *fakeAPI, c *clientcmdapi.Config) { c.Clusters["c"].ProxyURL = "http://127.0.0.1:1" },
			err:    `its cluster "c" is behind a proxy (proxy-url)`, named: "nothing listens at",
		},
		"an authority elsewhere": {
			change: func(_ *fakeAPI, c *clientcmdapi.Config) { c.Clusters["c"].CertificateAuthority = "../ca.crt" },
			err:    `the authority of its cluster "c" is in another file`, named: "unable to read certificate-authority",
		},
		"any certificate": {
			change: func(_ *fakeAPI, c *clientcmdapi.Config) {
				c.Clusters["c"].InsecureSkipTLSVerify, c.Clusters["c"].CertificateAuthorityData = true, nil
			},
			err: `its cluster "c" takes any certificate`,
		},
		"another machine": {
			change: func(_ *fakeAPI, c *clientcmdapi.Config) { c.Clusters["c"].Server = "https://192.0.2.1" },
			err:    `the server of its cluster "c" is not on this machine`, named: "-",
		},
		"a name": {
			change: func(_ *fakeAPI, c *clientcmdapi.Config) { c.Clusters["c"].Server = "https://tokens.example" },
			err:    `the server of its cluster "c" is not on this machine`, named: "-",
		},
		"no TLS": {
			change: func(_ *fakeAPI, c *clientcmdapi.Config) { c.Clusters["c"].Server = "http://127.0.0.1:1" },
			err:    `the server of its cluster "c" is not on this machine`, named: "nothing listens at http://127.0.0.1:1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := foundKubeconfig(t)
			writeFile(t, "mintmark-data/plugin", "#!/bin/sh\ntouch ran\n"+
				`echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"`+adminCredential+`"}}'`+"\n")
			if err := os.Chmod("mintmark-data/plugin", 0o700); err != nil {
				t.Fatal(err)
			}
			edit(t, found, func(c *clientcmdapi.Config) { test.change(api, c) })
			mintmark(t, "a-secret-token", "token", "review", "-").
				want(t, 2, "", found+", found in the working directory, is not used: "+test.err)
			if _, err := os.Stat("ran"); err == nil || api.request != nil {
				t.Errorf("a program was run (%v), or the server asked (%v)", err, api.request)
			}
			if test.named == "-" {
				return // it would ask another machine
			}
			got := mintmark(t, "", "token", "create", "app", "--kubeconfig", found)
			if test.named == "" {
				got.want(t, 0, "ey", "")
			} else {
				got.want(t, 1, "", test.named)
			}
		})
	}
}

// A kubeconfig at the default path is not read if another user could have put it there.
func TestFoundKubeconfigIsWhere(t *testing.T) {
	for name, test := range map[string]struct {
		change func() error
		err    string
	}{
		"as the server writes it":        {change: func() error { return nil }},
		"a directory others may read":    {change: func() error { return os.Chmod("mintmark-data", 0o755) }},
		"a file of a repository":         {change: func() error { return os.Chmod(found, 0o644) }, err: "other users have access to " + found + " (mode 0644, and 0600 is right)"},
		"a file others may write":        {change: func() error { return os.Chmod(found, 0o602) }, err: "mode 0602"},
		"a file its group may write":     {change: func() error { return os.Chmod(found, 0o620) }, err: "mode 0620"},
		"a directory others may write":   {change: func() error { return os.Chmod("mintmark-data", 0o707) }, err: "other users have access to mintmark-data"},
		"a directory its group may":      {change: func() error { return os.Chmod("mintmark-data", 0o770) }, err: "(mode 0770, and 0750 is right)"},
		"a parent others may write":      {change: func() error { return os.Chmod(".", 0o777) }, err: "other users may write to the directory "},
		"a sticky parent":                {change: func() error { return os.Chmod(".", 0o777|os.ModeSticky) }},
		"a file of another user":         {change: func() error { return os.Chown(found, 65534, -1) }, err: found + " belongs to another user (uid 65534)"},
		"a directory of another user":    {change: func() error { return os.Chown("mintmark-data", 65534, -1) }, err: "mintmark-data belongs to another user (uid 65534)"},
		"a parent of another user":       {change: func() error { return os.Chown(".", 65534, -1) }, err: "belongs to another user (uid 65534)"},
		"a link to a file":               {change: func() error { return link(found) }, err: "it is a link or no plain file"},
		"a link to a directory":          {change: func() error { return link("mintmark-data") }, err: "mintmark-data is a link or no directory"},
		"a directory instead of a file":  {change: func() error { return errors.Join(os.Remove(found), os.Mkdir(found, 0o700)) }, err: "it is a link or no plain file"},
		"a pipe, which blocks who opens": {change: func() error { return errors.Join(os.Remove(found), syscall.Mkfifo(found, 0o600)) }, err: "it is a link or no plain file"},
	} {
		t.Run(name, func(t *testing.T) {
			api := foundKubeconfig(t)
			if err := test.change(); errors.Is(err, os.ErrPermission) {
				t.Skip("only root can give files to another user")
			} else if err != nil {
				t.Fatal(err)
			}
			got := mintmark(t, "", "token", "create", "app")
			if test.err == "" {
				got.want(t, 0, "ey", "")
				return
			}
			got.want(t, 1, "", test.err)
			got.want(t, 1, "", "If you trust it, name it: --kubeconfig "+found)
			if api.request != nil {
				t.Error("the server was asked")
			}
		})
	}
}

// link moves a file away and links to it.
func link(path string) error {
	away, err := filepath.Abs("away")
	return errors.Join(err, os.Rename(path, away), os.Symlink(away, path))
}
