package client

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// Query is a part of all commands that ask a director.
type Query struct {
	Access
	JSON bool `help:"Print the director's own JSON."`
}

// NodesCmd lists the nodes, or shows one.
type NodesCmd struct {
	Node string `arg:"" optional:"" completion:"nodes" help:"Show only this one, and all of it."`
	Query
}

// Run prints them.
func (c *NodesCmd) Run(ctx context.Context, t *Terminal) error {
	s, err := c.Open(t)
	if err != nil {
		return err
	}
	if c.Node != "" {
		return c.one(ctx, t, s)
	}
	var a api.NodesAnswer
	answer, err := s.Get(ctx, "/api/v1/nodes", &a)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.JSON(answer.Body)
	}
	printNodes(t, a.Nodes)
	return nil
}

func printNodes(t *Terminal, nodes []api.Node) {
	out := newTable("NODE", "STATE", ">SINCE", ">LISTENERS", ">ON THE WAY", ">TARGET", ">LIMIT", ">MBIT/S", "DETAIL")
	for _, n := range nodes {
		mbit := ""
		if n.Kbit > 0 {
			mbit = fmt.Sprintf("%.1f", n.Kbit/1000)
		}
		out.add(n.ID, stateOf(n), t.ago(n.Since), listeners(&n), orNothing(n.EnRoute), orDash(n.Target), orDash(n.Limit), mbit, detailOf(t, n))
	}
	out.print(t)
}

func orNothing(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// stateOf returns a node's state in a few words.
func stateOf(n api.Node) cell {
	switch {
	case n.Override != nil && n.Override.State == "disabled":
		return cell{"disabled", yellow}
	case n.State == director.Down:
		return cell{api.InWords(n.State), red}
	case n.State != director.Fit:
		return cell{api.InWords(n.State), yellow}
	case n.Full:
		return cell{"full", red}
	case len(n.Lacks) > 0:
		return cell{api.InWords(n.State), yellow}
	}
	return cell{api.InWords(n.State), green}
}

// detailOf returns what is worth knowing besides the numbers, the most important first.
func detailOf(t *Terminal, n api.Node) string {
	var all []string
	if n.Override != nil {
		all = append(all, byWhom(t, n.Override))
	} else if n.Drained && n.Registered == nil {
		all = append(all, "drained in the file")
	}
	if n.SafeToTerminate {
		all = append(all, "safe to terminate")
	} else if n.Drain != nil && len(n.Drain.WaitingFor) > 0 {
		all = append(all, waitingText(n.Drain))
	}
	if moved := api.Total(n.Sessions).Moved.String(); moved != "" {
		all = append(all, moved)
	}
	if n.State != director.Fit && n.State != director.Drained || n.Full {
		all = append(all, n.Detail)
	} else if n.State == director.Fit && n.WarmUp < 1 {
		all = append(all, fmt.Sprintf("warming up, at %.0f %%", 100*n.WarmUp))
	}
	if text := n.Attention(t.Now()); text != "" {
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// byWhom writes an override: "by anna: new disks, for 2h more".
func byWhom(t *Terminal, o *api.Override) string {
	out := "by " + o.By
	if o.Why != "" {
		out += ": " + o.Why
	}
	if !o.Until.IsZero() {
		out += ", for " + brief(o.Until.Sub(t.Now())) + " more"
	}
	return out
}

func (c *NodesCmd) one(ctx context.Context, t *Terminal, s *Session) error {
	var n api.NodeDetail
	answer, err := s.Get(ctx, nodePath(c.Node)+"/detail", &n)
	if RefusalOf(err) != nil { // an agent's token may see the node, and no more of it
		answer, err = s.Get(ctx, nodePath(c.Node), &n)
	}
	if err != nil {
		return s.whichNode(ctx, err, c.Node)
	}
	if c.JSON {
		return t.JSON(answer.Body)
	}
	printNode(t, &n)
	return nil
}

func printNode(t *Terminal, n *api.NodeDetail) {
	line := func(name, text string) {
		if text != "" {
			t.say("%-10s %s", name, text)
		}
	}
	since := ""
	if !n.Since.IsZero() {
		since = " since " + n.Since.UTC().Format(time.RFC3339)
	}
	line("node", string(n.ID))
	line("urls", strings.Join(n.URLs, " "))
	line("site", n.Site)
	line("state", stateOf(n.Node).text+since)
	if n.Override != nil {
		line("", byWhom(t, n.Override))
	}
	line("health", n.Health.String()+wrapped(": ", n.Detail)+wrapped(", says ", n.By))
	estimate := ""
	if n.Estimated > 0 {
		estimate = fmt.Sprintf(" (%d an estimate, for DNS)", n.Estimated)
	}
	line("listeners", fmt.Sprintf("%s, %d of them on the way%s; target %s, limit %s", listeners(&n.Node), n.EnRoute, estimate, orDash(n.Target), orDash(n.Limit)))
	if n.Drain != nil {
		line("drain", fmt.Sprintf("%s%s; %s%s", leftText(n.Drain.Left), wrapped(", for ", t.ago(n.Drain.Since)),
			map[bool]string{true: "safe to terminate", false: "not yet safe to terminate"}[n.Drain.SafeToTerminate], wrapped(", ", waitingText(n.Drain))))
	}
	for i, s := range n.Sessions {
		line(map[bool]string{true: "sessions"}[i == 0], fmt.Sprintf("%d at %s%s", s.Playing, s.Mount, wrapped("; ", s.Moved.String())))
	}
	line("sends", fmt.Sprintf("%s; gets %.1f listeners a second; room %.2f, warm-up %.2f", sends(&n.Node), n.SentPerS, n.Room, n.WarmUp))
	line("mounts", strings.Join(n.Mounts, " "))
	for _, l := range n.Lacks {
		line("", l.Text+wrapped(" (", l.Detail)+map[bool]string{true: ")"}[l.Detail != ""]+wrapped(", says ", l.By))
	}
	if !n.CertificateEnds.IsZero() {
		line("ends", "its certificate, "+n.CertificateEnds.UTC().Format(time.RFC3339))
	}
	line("server", n.Server)
	if n.Registered != nil {
		line("agent", fmt.Sprintf("%s (token %s), silent for %d ms", n.Registered.Instance, cmp.Or(n.Registered.Token, "-"), n.Registered.SilentMS))
	}
	printProbes(t, n)
}

// printProbes prints how each director sees the node, and what came of the last probes by
// the one that is asked.
func printProbes(t *Terminal, n *api.NodeDetail) {
	if len(n.Sightings) > 0 {
		t.say("")
		out := newTable("SEEN BY", "STATE", ">SINCE", ">PROBED", ">LISTENERS", "DETAIL")
		for _, one := range n.Sightings {
			count := "not known"
			if one.Listeners != nil {
				count = strconv.Itoa(*one.Listeners)
			}
			out.add(one.By, one.Health, t.ago(one.Since), t.ago(one.Taken), count, one.Detail)
		}
		out.print(t)
	}
	if len(n.Probes) > 0 {
		t.say("")
		out := newTable("PROBE AT", ">TOOK", "OUTCOME", "DETAIL")
		for _, p := range n.Probes {
			outcome := cell{"good", green}
			if p.Failed {
				outcome = cell{"failed", red}
			}
			out.add(p.At.UTC().Format(time.RFC3339), p.Lasted(), outcome, map[bool]string{true: "as a listener: "}[p.Mount != ""]+p.Detail)
		}
		out.print(t)
	}
}

// listeners writes how many there are, or that nobody tells.
func listeners(n *api.Node) string {
	if !n.Counted {
		return "not known"
	}
	return strconv.Itoa(n.Used)
}

// sends writes the bandwidth: as told, as reckoned (marked so), or that it is not known.
func sends(n *api.Node) string {
	switch {
	case n.Kbit > 0 || n.Counted && n.Used-n.EnRoute <= 0:
		return fmt.Sprintf("%.1f Mbit/s", n.Kbit/1000)
	case n.KbitReckoned > 0:
		return fmt.Sprintf("≈ %.1f Mbit/s", n.KbitReckoned/1000)
	}
	return "bandwidth not known"
}

// leftText writes how many still listen; nil: nobody counts them.
func leftText(left *int) string {
	if left == nil {
		return "nobody counts who is left"
	}
	return fmt.Sprintf("%d left", *left)
}

// waitingText names the directors that may not know of a drain; empty: there are none.
func waitingText(d *api.Drain) string {
	if d == nil || len(d.WaitingFor) == 0 {
		return ""
	}
	return "waiting for director " + strings.Join(d.WaitingFor, " and ")
}

// wrapped puts a word before text, if there is any.
func wrapped(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}
