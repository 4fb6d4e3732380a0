package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/version"
	"github.com/signpost-fm/signpost/geo"
)

type versionCmd struct{}

// Run prints the version, and the source of the embedded database.
func (versionCmd) Run(c *console) error {
	b, src := version.Current(), geo.Embedded()
	from := ""
	if b.Commit != version.Unknown {
		from = fmt.Sprintf("commit %s of %s\n", b.Commit, b.Date)
	}
	_, err := fmt.Fprintf(c.out, "signpost %s\n%sbuilt with %s for %s/%s\nembedded geo database: %s of %s\n  %s\n",
		b.Version, from, runtime.Version(), runtime.GOOS, runtime.GOARCH,
		src.Type, src.Built.UTC().Format(time.DateOnly), src.Description)
	return err
}
