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
	_, err := fmt.Fprintf(c.out, "signpost %s\ncommit %s of %s\nbuilt with %s for %s/%s\nembedded geo database: %s of %s\n  %s\n",
		b.Version, b.Commit, b.Date, runtime.Version(), runtime.GOOS, runtime.GOARCH,
		src.Type, src.Built.UTC().Format(time.DateOnly), src.Description)
	return err
}
