// Package version says which build of Signpost this is.
package version

import (
	"cmp"
	"runtime/debug"
)

// `make build` and `make release` set these with
// -ldflags "-X github.com/signpost-fm/signpost/cmd/signpost/version.version=v1.2.3".
// They are for a build outside the work tree, of which the go command knows nothing.
var (
	version string // the tag, or what `git describe` makes of the commit
	commit  string // its hash
	date    string // when it was committed, RFC 3339
)

// A Build is where a program comes from. What is not known is "unknown".
type Build struct{ Version, Commit, Date string }

// Current is what the linker was given, or else what the go command recorded of the
// module and the commit.
func Current() Build {
	b := Build{version, commit, date}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b.orUnknown()
	}
	changed := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = cmp.Or(b.Commit, s.Value)
		case "vcs.time":
			b.Date = cmp.Or(b.Date, s.Value)
		case "vcs.modified":
			changed = s.Value == "true"
		}
	}
	if b.Version == "" && changed {
		b.Commit += " with local changes"
	}
	b.Version = cmp.Or(b.Version, info.Main.Version)
	return b.orUnknown()
}

func (b Build) orUnknown() Build {
	const unknown = "unknown"
	return Build{cmp.Or(b.Version, unknown), cmp.Or(b.Commit, unknown), cmp.Or(b.Date, unknown)}
}
