package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/signpost-fm/signpost/geo"
)

// What `make build` and `make release` link in: -ldflags "-X main.version=v1.2.3".
// They say of a build what the go command cannot know of one outside the work tree.
var (
	version string // the tag, or what `git describe` makes of the commit
	commit  string // its hash
	date    string // when it was committed, RFC 3339
)

// A build is where a program comes from.
type build struct{ version, commit, date string }

// thisBuild is what was linked in, or else what the go command recorded of the
// module and the commit.
func thisBuild() build {
	b := build{version, commit, date}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b.orUnknown()
	}
	changed := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.commit = cmp.Or(b.commit, s.Value)
		case "vcs.time":
			b.date = cmp.Or(b.date, s.Value)
		case "vcs.modified":
			changed = s.Value == "true"
		}
	}
	if b.version == "" && changed {
		b.commit += " with local changes"
	}
	b.version = cmp.Or(b.version, info.Main.Version)
	return b.orUnknown()
}

func (b build) orUnknown() build {
	const unknown = "unknown"
	return build{cmp.Or(b.version, unknown), cmp.Or(b.commit, unknown), cmp.Or(b.date, unknown)}
}

// buildVersion names this build for logs and metrics.
func buildVersion() string { return thisBuild().version }

type versionCmd struct{}

// Run prints the version, and where the embedded geography comes from.
func (versionCmd) Run(c *console) error {
	b, src := thisBuild(), geo.Embedded()
	_, err := fmt.Fprintf(c.out, "signpost %s\ncommit %s of %s\nbuilt with %s for %s/%s\nembedded geo database: %s of %s\n  %s\n",
		b.version, b.commit, b.date, runtime.Version(), runtime.GOOS, runtime.GOARCH,
		src.Type, src.Built.UTC().Format(time.DateOnly), src.Description)
	return err
}
