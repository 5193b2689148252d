package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // the two formats register themselves
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

// writePackages writes mintmark_OS_ARCHITECTURE.deb and .rpm as packages/nfpm.yaml describes them.
func (r *release) writePackages(b binary) error {
	described := filepath.Join(r.source, "tools", "release", "packages")
	text, err := os.ReadFile(filepath.Join(described, "nfpm.yaml"))
	if err != nil {
		return err
	}
	values := map[string]string{
		"SOURCE":  r.source,
		"BINARY":  b.file,
		"BILL":    filepath.Join(r.out, "mintmark_"+b.String()+".cdx.json"),
		"ARCH":    b.architecture,
		"VERSION": strings.TrimPrefix(b.version, "v"),
	}
	config, err := nfpm.ParseWithEnvMapping(bytes.NewReader(text), func(name string) string { return values[name] })
	if err != nil {
		return err
	}
	for _, format := range []string{"deb", "rpm"} {
		info, err := config.Get(format)
		if err != nil {
			return err
		}
		info.MTime = b.time
		for _, script := range []*string{&info.Scripts.PostInstall, &info.Scripts.PreRemove, &info.Scripts.PostRemove} {
			*script = filepath.Join(described, *script)
		}
		packager, err := nfpm.Get(format)
		if err != nil {
			return err
		}
		var text bytes.Buffer
		if err := packager.Package(nfpm.WithDefaults(info), &text); err != nil {
			return err
		}
		if err := r.write("mintmark_"+b.String()+"."+format, text.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
