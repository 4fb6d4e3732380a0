// Package version says which build of Signpost this is.
package version

import (
	"cmp"
	"regexp"
	"runtime/debug"
	"time"
)

// `make build` and `make release` set these with
// -ldflags "-X github.com/signpost-fm/signpost/cmd/signpost/version.version=v1.2.3".
// They are for builds outside a git checkout, of which the go command records nothing.
var (
	version string // the tag, or what `git describe` makes of the commit
	commit  string // its hash
	date    string // when it was committed, RFC 3339
)

// Unknown stands for what is not known of a build.
const Unknown = "unknown"

// A Build identifies a program. Fields that are not known are [Unknown].
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
	if b.Commit == "" {
		b.Commit, b.Date = commitIn(b.Version)
	}
	return b.orUnknown()
}

// pseudo is the end of a version that `go install` makes of a commit without a tag:
// its time and the beginning of its hash (https://go.dev/ref/mod#pseudo-versions).
var pseudo = regexp.MustCompile(`[-.](\d{14})-([0-9a-f]{12})$`)

// commitIn returns what a version tells of its commit.
func commitIn(version string) (commit, date string) {
	m := pseudo.FindStringSubmatch(version)
	if m == nil {
		return "", ""
	}
	if at, err := time.Parse("20060102150405", m[1]); err == nil {
		date = at.Format(time.RFC3339)
	}
	return m[2], date
}

func (b Build) orUnknown() Build {
	return Build{cmp.Or(b.Version, Unknown), cmp.Or(b.Commit, Unknown), cmp.Or(b.Date, Unknown)}
}
