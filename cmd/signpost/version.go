package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/signpost-fm/signpost/geo"
)

// version is set when a release is linked: -ldflags "-X main.version=v1.2.3".
var version string

// buildVersion names this build: the release, or what the go command recorded of the
// module and the commit.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(version, "unknown")
	}
	name := cmp.Or(version, info.Main.Version, "(devel)")
	commit, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			commit = " " + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " with local changes"
		}
	}
	return name + commit + changed
}

type versionCmd struct{}

// Run prints the version, and where the embedded geography comes from.
func (versionCmd) Run(c *console) error {
	src := geo.Embedded()
	_, err := fmt.Fprintf(c.out, "signpost %s\nbuilt with %s for %s/%s\nembedded geo database: %s of %s\n  %s\n",
		buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH,
		src.Type, src.Built.UTC().Format(time.DateOnly), src.Description)
	return err
}
