// Command kubectl is the real kubectl, built from its published library, so that the tests meet the release that
// go.mod names and not whichever one a machine happens to have.
package main

import (
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	// As in the release's own main: the command prints its output itself, CheckErr prints the error and exits.
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
