package main

import (
	"github.com/signpost-fm/signpost/cmd/signpost/notice"
	"github.com/signpost-fm/signpost/cmd/signpost/version"
)

type licensesCmd struct {
	SBOM bool   `name:"sbom" help:"The bill of materials instead, as CycloneDX in JSON: what this program is built of."`
	Of   string `hidden:"" help:"The same of another file, which was built from the same source, for any platform."`
}

// Run prints the licences of all that the program links and embeds.
func (l *licensesCmd) Run(c *console) error {
	if l.SBOM {
		return notice.WriteBill(c.out, version.Current(), l.Of)
	}
	_, err := c.out.Write(notice.Licences())
	return err
}
