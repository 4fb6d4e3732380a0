package notice

import (
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/signpost-fm/signpost/cmd/signpost/version"
)

// goItself is the name of the component that is Go.
const goItself = "Go's standard library and runtime"

// WriteBill writes a bill of materials to w, as CycloneDX 1.6 in JSON: the modules of which
// the program is built, as the go command recorded them, Go, and the data that it embeds. file is
// a program that was built from the same source for another platform; empty: the running
// one. The same program always has the same bill. The error is from reading file or from w.
func WriteBill(w io.Writer, build version.Build, file string) error {
	info, ok := debug.ReadBuildInfo()
	if file != "" {
		var err error
		if info, err = buildinfo.ReadFile(file); err != nil {
			return err
		}
	} else if !ok {
		info = &debug.BuildInfo{GoVersion: runtime.Version()}
	}
	return writeBill(w, build, info)
}

func writeBill(w io.Writer, build version.Build, info *debug.BuildInfo) error {
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Component: &cdx.Component{
		BOMRef: "signpost", Type: cdx.ComponentTypeApplication, Name: "signpost", Version: build.Version,
		PackageURL: "pkg:golang/github.com/signpost-fm/signpost@" + build.Version, Licenses: licences(apache),
	}}
	if build.Date != version.Unknown {
		bom.Metadata.Timestamp = build.Date
	}
	var all []cdx.Component
	for _, c := range known.Components {
		if c.Version != "" {
			continue // a module, which is listed as it was linked
		}
		if c.Name == goItself {
			v := strings.TrimPrefix(info.GoVersion, "go")
			all = append(all, cdx.Component{
				BOMRef: "go", Type: cdx.ComponentTypeLibrary, Name: "std", Version: v, Description: c.Name,
				PackageURL: "pkg:golang/std@" + v, Licenses: licences(c.Licence),
			})
			continue
		}
		all = append(all, cdx.Component{BOMRef: c.Name, Type: cdx.ComponentTypeData, Name: c.Name, Licenses: licences(c.Licence)})
	}
	for _, m := range info.Deps {
		all = append(all, linked(m))
	}
	bom.Components = &all
	refs := make([]string, len(all))
	for i := range all {
		refs[i] = all[i].BOMRef
	}
	bom.Dependencies = &[]cdx.Dependency{{Ref: "signpost", Dependencies: &refs}}
	return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
}

// linked is a module as the go command recorded it.
func linked(m *debug.Module) cdx.Component {
	if m.Replace != nil {
		m = m.Replace
	}
	url := "pkg:golang/" + m.Path + "@" + m.Version
	c := cdx.Component{BOMRef: url, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: url}
	// go.sum's hash is SHA-256, of a list of the files' hashes.
	if sum, ok := strings.CutPrefix(m.Sum, "h1:"); ok {
		if b, err := base64.StdEncoding.DecodeString(sum); err == nil {
			c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(b)}}
		}
	}
	for _, k := range known.Components {
		if k.Name == m.Path {
			c.Licenses = licences(k.Licence)
		}
	}
	return c
}

func licences(name string) *cdx.Licenses {
	l := &cdx.License{ID: name}
	if strings.Contains(name, " ") { // none of SPDX's names
		l = &cdx.License{Name: name}
	}
	return &cdx.Licenses{{License: l}}
}
