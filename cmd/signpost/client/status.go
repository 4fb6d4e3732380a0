package client

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/signpost-fm/signpost/web/admin/api"
)

// StatusCmd shows the state of the directors.
type StatusCmd struct{ Query }

// Run prints it.
func (c *StatusCmd) Run(ctx context.Context, t *Terminal) error {
	s, err := c.Open(t)
	if err != nil {
		return err
	}
	var a api.StatusAnswer
	answer, err := s.Get(ctx, "/api/v1/status", &a)
	switch {
	case err != nil:
		return err
	case c.JSON:
		return t.JSON(answer.Body)
	}
	printStatus(t, a)
	return nil
}

func printStatus(t *Terminal, a api.StatusAnswer) {
	t.say("director %s%s, version %s, up %s; store: %s; operators' changes: %d",
		a.Director, wrapped(", name ", a.Name), cmp.Or(a.Version, "unknown"), brief(time.Duration(a.UptimeS)*time.Second), cmp.Or(a.Store, "unknown"), a.Revision)
	t.say("decides by what was known %s ago; last contact with the store %s ago", milliseconds(a.SnapshotAgeMS), milliseconds(a.PictureAgeMS))
	for _, p := range a.Problems {
		t.say("! %s", p)
	}
	out := newTable("NAME", "DIRECTOR", "SITE", "CONFIGURATION", "")
	for _, d := range a.Directors {
		config := cell{"the same", plain}
		if !d.SameConfig {
			config = cell{"another", yellow}
		}
		out.add(cmp.Or(d.Name, "-"), d.ID, d.Site, config, cell{wrapped("suspects itself: ", d.Suspect), yellow})
	}
	if len(out.rows) > 0 {
		t.say("")
		out.print(t)
	}
	missing := newTable("NAME", "MISSING", "SITE", ">HEARD", ">WAITED FOR")
	for _, d := range a.Missing {
		missing.add(cmp.Or(d.Name, "-"), d.ID, d.Site, t.ago(d.Heard)+" ago", brief(d.Until.Sub(t.Now()))+" more")
	}
	if len(missing.rows) > 0 {
		t.say("")
		missing.print(t)
	}
	effects := newTable("OPERATORS' CHANGE", "EFFECT", "")
	for _, e := range a.Effects {
		what, _ := api.EntryInWords(e.Entry)
		effects.add(what, api.EffectInWords(e.Kind), e.Detail)
	}
	if len(effects.rows) > 0 {
		t.say("")
		effects.print(t)
	}
}

func milliseconds(ms int64) string { return fmt.Sprintf("%.1f s", float64(ms)/1000) }
