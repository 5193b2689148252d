package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"runtime/debug"
	"strings"
	"time"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

// writeBill writes mintmark_OS_ARCHITECTURE.cdx.json: a CycloneDX bill of the modules that the Go linker put into the binary.
func (r *release) writeBill(b binary) error {
	program := component(cyclonedx.ComponentTypeApplication, &b.info.Main)
	components := []cyclonedx.Component{component(cyclonedx.ComponentTypeLibrary, &debug.Module{Path: "std", Version: b.info.GoVersion})}
	for _, dependency := range b.info.Deps {
		components = append(components, component(cyclonedx.ComponentTypeLibrary, dependency))
	}
	contained := make([]string, 0, len(components))
	for _, c := range components {
		contained = append(contained, c.BOMRef)
	}
	bill := cyclonedx.NewBOM()
	bill.Metadata = &cyclonedx.Metadata{
		Timestamp:  b.time.UTC().Format(time.RFC3339),
		Component:  &program,
		Properties: &[]cyclonedx.Property{{Name: "mintmark:commit", Value: b.revision}, {Name: "mintmark:platform", Value: b.system + "/" + b.architecture}},
	}
	bill.Components = &components
	bill.Dependencies = &[]cyclonedx.Dependency{{Ref: program.BOMRef, Dependencies: &contained}}
	var text bytes.Buffer
	if err := cyclonedx.NewBOMEncoder(&text, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bill); err != nil {
		return err
	}
	return r.write("mintmark_"+b.String()+".cdx.json", text.Bytes())
}

// component describes a module. Its hash is the one of go.sum, over all of the module's files.
func component(kind cyclonedx.ComponentType, m *debug.Module) cyclonedx.Component {
	if m.Replace != nil {
		m = m.Replace
	}
	c := cyclonedx.Component{Type: kind, Name: m.Path, Version: m.Version}
	// A package URL has a plus sign of a version, as in +incompatible, in its percent form.
	c.PackageURL = "pkg:golang/" + m.Path + "@" + strings.ReplaceAll(m.Version, "+", "%2B")
	c.BOMRef = c.PackageURL
	if sum, ok := strings.CutPrefix(m.Sum, "h1:"); ok {
		if raw, err := base64.StdEncoding.DecodeString(sum); err == nil {
			c.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(raw)}}
		}
	}
	return c
}
