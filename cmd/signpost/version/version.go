// Package version says which build of Signpost this is.
package version

import (
	"cmp"
	"runtime/debug"
)

// `make build` and `make release` set these with
// -ldflags "-X github.com/signpost-fm/signpost/cmd/signpost/version.version=v1.2.3".
// They are for builds outside a git checkout, of which the go command records nothing.
var (
	version string // the tag, or what `git describe` makes of the commit
	commit  string // its hash
	date    string // when it was committed, RFC 3339
)

// A Build identifies a program. Fields that are not known are "unknown".
type Build struct{ Version, Commit, Date string }

// Current returns what the linker set, or else what the go command recorded.
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
