package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"k8s.io/component-base/version"
)

// buildVersion is what "mintmark version" prints, all of it recorded by the Go toolchain, so
// that no build script is needed to get it right.
type buildVersion struct {
	Version    string `json:"version"`            // of the module, e.g. "v0.1.0"; "(devel)" when unknown
	Revision   string `json:"revision,omitempty"` // of the commit
	Time       string `json:"time,omitempty"`     // of the commit, RFC 3339
	Modified   bool   `json:"modified,omitempty"` // built from a changed working tree
	Kubernetes string `json:"kubernetes"`         // the API level that is spoken, e.g. "v1.37"
	GoVersion  string `json:"goVersion"`
	Platform   string `json:"platform"`
}

func newVersionCommand(s streams) *cobra.Command {
	output := outputFormat{allowed: []string{"json", "yaml"}}
	cmd := &cobra.Command{
		Use:               "version",
		Short:             "Print the version of Mintmark and of the Kubernetes API it speaks",
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			info, _ := debug.ReadBuildInfo()
			v := versionFrom(info)
			if output.value != "" {
				return output.print(s.out, v)
			}
			return v.write(s.out)
		},
	}
	output.addTo(cmd)
	return cmd
}

// versionFrom reads the build information; nil, for a binary built without modules, leaves
// the version unknown.
func versionFrom(info *debug.BuildInfo) buildVersion {
	v := buildVersion{
		Version:    "(devel)",
		Kubernetes: "v" + version.DefaultKubeBinaryVersion,
		GoVersion:  runtime.Version(),
		Platform:   runtime.GOOS + "/" + runtime.GOARCH,
	}
	if info == nil {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			v.Revision = setting.Value
		case "vcs.time":
			v.Time = setting.Value
		case "vcs.modified":
			v.Modified = setting.Value == "true"
		}
	}
	return v
}

func (v buildVersion) write(w io.Writer) error {
	source := ""
	if v.Revision != "" {
		source = fmt.Sprintf(" (commit %.12s of %s", v.Revision, v.Time)
		if v.Modified {
			source += ", with changes"
		}
		source += ")"
	}
	_, err := fmt.Fprintf(w, "mintmark %s%s\nKubernetes API %s\n%s %s\n", v.Version, source, v.Kubernetes, v.GoVersion, v.Platform)
	return err
}
