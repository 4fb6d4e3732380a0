package service

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/notify"
	"github.com/signpost-fm/signpost/cmd/signpost/output"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/admin"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// standing returns everything that is wrong now, with its time. It is the one list behind
// status, the pages, /readyz, metrics, the log and what is posted.
func (d *Service) standing() []notify.Condition {
	return d.watch.Standing(time.Now(), d.syncer.View().Snapshot, d.conditions())
}

// shown returns what stands for operators to mend. Where no node is in service, that all
// mounts are off the air follows.
func (d *Service) shown() (all []notify.Condition) {
	none := d.noNodeFit()
	for _, c := range d.standing() {
		if !c.Meant && !(none && c.Kind == notify.OffAir) {
			all = append(all, c)
		}
	}
	return all
}

// warnings returns what operators see of it.
func (d *Service) warnings() (all []api.Warning) {
	for _, c := range d.shown() {
		all = append(all, api.Warning{Key: c.Key, Text: c.Text, Since: c.Since, Remedy: c.Remedy, Degraded: c.Degraded})
	}
	return all
}

// readyz is what /readyz answers: what everybody may read.
func (d *Service) readyz() web.Readiness {
	r := readiness(d.shown())
	r.SnapshotAge = d.syncer.Status().SnapshotAge
	select {
	case <-d.Ready():
	default:
		r.Waits = "the nodes' playlists of HLS are being read"
	}
	return r
}

// readiness says what is wrong. What has words for everybody is among the reasons, even if
// it degrades nothing, such as a certificate that will soon end.
func readiness(shown []notify.Condition) (r web.Readiness) {
	var reasons []string
	for _, c := range shown {
		r.Degraded = r.Degraded || c.Degraded
		if !c.Degraded && c.Public == "" {
			continue
		}
		if reason := cmp.Or(c.Public, c.Text); !slices.Contains(reasons, reason) { // of two nodes, perhaps
			reasons = append(reasons, reason)
		}
	}
	r.Reason = strings.Join(reasons, "; ")
	return r
}

// conditions returns what is wrong besides nodes and mounts.
func (d *Service) conditions() (all []notify.Condition) {
	add := func(c notify.Condition) {
		c.Kind = notify.Warning
		if c.Over == "" {
			c.Over = "mended: " + c.Text
		}
		all = append(all, c)
	}
	st := d.syncer.Status()
	if others := namesakes(st.Director, st.Directors); len(others) > 0 {
		add(notify.Condition{
			Key: "name", Text: fmt.Sprintf("%s has the name %s, too: nobody can tell the directors apart by it", strings.Join(others, " and "), st.Director.Name),
			Remedy: "give each a store.name of its own, or start it with --name", Over: "no other director has the name " + st.Director.Name,
		})
	}
	for _, c := range d.maskedConditions(st) {
		add(c)
	}
	for _, w := range admin.StoreWarnings(st) {
		public, over := storePublic(w)
		add(notify.Condition{Key: w.Key, Text: w.Text, Since: w.Since, Remedy: w.Remedy, Degraded: w.Degraded, Public: public, Over: over})
	}
	s := d.status.Load()
	if s.refused != nil {
		const text = "the configuration file is refused: the one before stays in force, and a restart would fail"
		add(notify.Condition{Key: "config", Text: text + ": " + strings.Join(firstMistakes(s.refused), "; "), Remedy: "correct the file; `signpost check` tells all", Degraded: true, Public: text, Over: "the configuration file is in force again"})
	}
	if len(s.restart) > 0 {
		add(notify.Condition{Key: "restart", Text: "changes of the configuration wait for a restart: " + strings.Join(s.restart, ", "), Degraded: true})
	}
	if d.noNodeFit() {
		add(notify.Condition{Key: "no_node", Text: "no node is in service: each is down, drained or not yet probed", Degraded: true, Over: "a node is in service again", Remedy: "look at the nodes; listeners are sent to the last known good"})
	}
	for _, c := range []*certificates{&d.certs, &d.adminCerts} {
		for _, one := range c.conditions(time.Now()) {
			add(one)
		}
	}
	for _, c := range d.certificateTroubles() {
		add(c)
	}
	for _, c := range d.azuraTroubles() {
		add(c)
	}
	for _, w := range d.prober.Warnings() {
		add(notify.Condition{
			Key: "probe/" + string(w.Node), Node: string(w.Node), Text: fmt.Sprintf("node %s answers in part: %s", w.Node, w.Text), Remedy: w.Remedy, Since: w.Since,
			Public: "a node's statistics cannot be read in full", Over: fmt.Sprintf("node %s tells all again", w.Node),
		})
	}
	for _, r := range d.origins.Refusals() {
		add(notify.Condition{
			Key: "hls/" + string(r.Node) + r.Mount, Node: string(r.Node), Text: fmt.Sprintf("players are not moved to node %s at %s: %s", r.Node, r.Mount, r.Text), Since: r.Since,
			Public: "a node's playlist cannot be used", Over: fmt.Sprintf("players are moved to node %s at %s again", r.Node, r.Mount),
			Remedy: "give the node the playlist that the others have, or the mount the right path there",
		})
	}
	if t := d.tokens.trouble(); t != "" {
		const text = "the file of tokens is refused, and the one before stays in force"
		add(notify.Condition{Key: "tokens", Text: text + ": " + t, Public: text, Remedy: "correct it; it is read again by itself", Over: "the file of tokens is in force again"})
	}
	if w := d.files.warning(d.started); w != "" {
		add(notify.Condition{Key: "descriptors", Text: w, Degraded: true})
	}
	if d.forgets() {
		add(notify.Condition{Key: "forgets", Text: forgetful, Remedy: "set state_dir, or store.redis"})
	}
	for i, text := range d.plots.troubles() {
		add(notify.Condition{Key: fmt.Sprint("plots/", i), Text: text})
	}
	for _, o := range []struct {
		key, what string
		*output.Writer
	}{{"records", "request records", d.records.writer()}, {"log", "log lines", d.options.LogTo}} {
		if text := outputTrouble(o.what, o.Writer); text != "" {
			add(notify.Condition{Key: o.key, Text: text, Degraded: true, Over: o.what + " are written again"})
		}
	}
	return all
}

// forgetful is what operators should know before they change something.
const forgetful = "what operators change (weights, drains, rules) is forgotten when this director stops, for it has neither state_dir nor Redis"

// forgets says whether operators' changes end with this process.
func (d *Service) forgets() bool { return d.started.StateDir == "" && d.started.Store.Redis == nil }

// storePublic is what everybody may read of the store's warnings, without paths and
// persons, and what is told when they are over.
func storePublic(w api.Warning) (public, over string) {
	switch key, _, _ := strings.Cut(w.Key, "/"); key {
	case "store":
		return strings.TrimPrefix(w.Text, "edits are refused: "), "the store answers again: edits are accepted"
	case "state_dir":
		return "the copy of operators' changes in state_dir cannot be written", "the copy of operators' changes is written again"
	case "lost":
		return "operators' changes in state_dir cannot be used, or were lost", ""
	}
	return "", "this director trusts its own network again"
}

// outputTrouble returns what keeps records or log lines from being written; empty: nothing.
func outputTrouble(what string, w *output.Writer) string {
	if w == nil {
		return ""
	}
	switch err, blocked := w.Err(); {
	case err != nil:
		return fmt.Sprintf("%s cannot be written: %v; %d were dropped so far", what, err, w.Dropped())
	case blocked:
		return fmt.Sprintf("%s wait for a reader that takes nothing; %d were dropped so far", what, w.Dropped())
	}
	return ""
}

// noNodeFit reports whether no node is fit. Before the first snapshot that is not known.
func (d *Service) noNodeFit() bool {
	view := d.syncer.View()
	if view.Snapshot == nil {
		return false
	}
	for i := range view.Nodes() {
		if view.Node(i).State == director.Fit {
			return false
		}
	}
	return true
}

// tell logs an event, with its time and the remedy.
func (d *Service) tell(e notify.Event) {
	level := slog.LevelWarn
	switch e.Kind {
	case notify.OffAir:
		level = slog.LevelError
	case notify.OnAir, notify.MountBack, notify.NodeUp, notify.NodeHasRoom, notify.WarningOver:
		level = slog.LevelInfo
	}
	attrs := []slog.Attr{slog.String("event", string(e.Kind))}
	for _, a := range []struct{ key, value string }{{"node", e.Node}, {"mount", e.Mount}, {"remedy", e.Remedy}} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	if !e.Since.IsZero() {
		attrs = append(attrs, slog.Time("since", e.Since.UTC().Truncate(time.Second)))
	}
	d.log.LogAttrs(context.Background(), level, e.Text, attrs...)
}
