package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/client"
	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/service"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/geo"
	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/admin/api"
	"github.com/signpost-fm/signpost/web/proxy"
)

type explainCmd struct {
	Mount  string     `arg:"" optional:"" help:"What the listener asks for: /live.mp3, /live.mp3.m3u, or the whole URL with its query."`
	Addr   netip.Addr `placeholder:"IP" help:"The listener's address."`
	UA     string     `name:"ua" placeholder:"TEXT" help:"The player's User-Agent."`
	TLS    bool       `help:"The listener comes by https."`
	Header []string   `placeholder:"NAME:VALUE" sep:"none" help:"A further header of the request; may be repeated."`

	DNS      string       `name:"dns" placeholder:"NAME" help:"Explain what a resolver would be answered for a name, instead."`
	Type     string       `placeholder:"TYPE" help:"With --dns: A or AAAA."`
	Resolver netip.Addr   `placeholder:"IP" help:"With --dns: the resolver's address."`
	Subnet   netip.Prefix `placeholder:"CIDR" help:"With --dns: the network for which it says to ask, such as 203.0.113.0/24."`

	Config string `short:"c" placeholder:"FILE" help:"Explain by this file alone, as if every node were up and empty."`
	Probe  bool   `help:"With --config: ask each node once instead."`

	client.Query
}

// Run prints what the answer would be, and why.
func (c *explainCmd) Run(ctx context.Context, t *client.Terminal) error {
	if err := c.complete(); err != nil {
		return err
	}
	ask, askDNS := c.askServer, c.askServerDNS
	if c.Config != "" {
		ask, askDNS = c.askConfig, c.askConfigDNS
	}
	if c.DNS != "" {
		ask = askDNS
	}
	answer, err := ask(ctx, t)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.JSON(answer)
	}
	if c.DNS != "" {
		return printDNS(t.Out, answer)
	}
	var e api.Explanation
	if err := json.Unmarshal(answer, &e); err != nil {
		return fmt.Errorf("explain: %w", err)
	}
	var b strings.Builder
	printExplanation(&b, e)
	_, err = io.WriteString(t.Out, client.Clean(b.String()))
	return err
}

// complete says what is missing, or does not go together.
func (c *explainCmd) complete() error {
	switch {
	case c.DNS != "" && (c.Mount != "" || c.Addr.IsValid()):
		return errors.New("--dns is for who asks by DNS, and needs neither a mount nor --addr: give --resolver, or --subnet, or both")
	case c.DNS != "" && !c.Resolver.IsValid() && !c.Subnet.IsValid():
		return errors.New("--dns needs --resolver, the address of who asks, or --subnet, the network for which it asks, or both")
	case c.DNS == "" && (c.Resolver.IsValid() || c.Subnet.IsValid() || c.Type != ""):
		return errors.New("--type, --resolver and --subnet go with --dns NAME")
	case c.DNS == "" && c.Mount == "":
		return errors.New("what does the listener ask for? Give a mount, such as /live.mp3")
	case c.DNS == "" && !c.Addr.IsValid():
		return errors.New("where is the listener? Give --addr IP")
	case c.Config == "" && c.Probe:
		return errors.New("--probe goes with --config: a running director has probed its nodes already")
	}
	return nil
}

func (c *explainCmd) headers() (http.Header, error) {
	h := http.Header{}
	for _, line := range c.Header {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, fmt.Errorf("--header %q: write it as \"Name: value\"", line)
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return h, nil
}

// askConfig asks a server that was made from the file for this question alone.
func (c *explainCmd) askConfig(context.Context, *client.Terminal) ([]byte, error) {
	header, err := c.headers()
	if err != nil {
		return nil, err
	}
	asked, err := api.ParseAsked(c.Mount)
	if err != nil {
		return nil, err
	}
	mount := asked.Path
	s, locator, snap, err := c.open(mount)
	if err != nil {
		return nil, err
	}
	cfg := web.Config{
		View:       func() director.View { return director.View{Snapshot: snap} },
		Unmap:      locator.Unmap,
		Locate:     locator.Locate,
		Origin:     func(a netip.Addr) string { return service.Origin(locator, a) },
		HashSecret: s.Secret, Policy: s.Policy,
		Log: slog.New(slog.DiscardHandler),
	}
	if s.Proxy.MaxListeners > 0 {
		cfg.Carrier = service.NewCarrier(proxy.New(s.Proxy.Config))
	}
	server, err := web.New(cfg)
	if err != nil {
		return nil, err
	}
	return json.Marshal(server.Explain(web.Question{Addr: c.Addr, Path: mount, Query: asked.Query, UserAgent: c.UA, TLS: c.TLS || asked.TLS, Header: header}))
}

// open reads the configuration and makes a snapshot of it. mount is one that nodes may
// play, where the file does not tell.
func (c *explainCmd) open(mount string) (*config.Settings, *geo.Locator, *director.Snapshot, error) {
	s, err := config.Read(c.Config)
	if err != nil {
		return nil, nil, nil, err
	}
	locator, err := geo.Open(s.Geo)
	if err != nil {
		return nil, nil, nil, err
	}
	fleet, err := director.Compile(s.Fleet)
	if err != nil {
		return nil, nil, nil, err
	}
	if c.Probe {
		reports, _ := s.ProbeOnce()
		return s, locator, fleet.Build(nil, director.Input{Now: time.Now(), Reports: reports}), nil
	}
	return s, locator, config.AssumeUp(fleet, s.Fleet.Nodes, undeclared(s.Fleet, mount)...), nil
}

// undeclared returns the mount, and the mount that it may be a playlist of, if the file
// declares none.
func undeclared(c director.Config, mount string) []string {
	if len(c.Mounts) > 0 {
		return nil
	}
	return []string{mount, strings.TrimSuffix(mount, path.Ext(mount))}
}

// askServer asks a running director by its API.
func (c *explainCmd) askServer(ctx context.Context, t *client.Terminal) ([]byte, error) {
	if _, err := c.headers(); err != nil {
		return nil, err
	}
	s, err := c.Open(t)
	if err != nil {
		return nil, err
	}
	q := url.Values{"addr": {c.Addr.String()}, "mount": {c.Mount}, "ua": {c.UA}, "header": c.Header}
	if c.TLS {
		q.Set("tls", "true")
	}
	answer, err := s.Get(ctx, "/api/v1/explain?"+q.Encode(), nil)
	return answer.Body, err
}

func printExplanation(w io.Writer, e api.Explanation) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("listener", "%s by %s, in %s (%s)", e.Client.Addr, e.Client.Scheme, e.Client.Place, e.Client.Taken)
	if e.Client.PlacedBy != "" {
		line("place by", "%s", e.Client.PlacedBy)
	}
	line("asks for", "%s", e.Mount)
	if e.Rule != nil {
		line("rule", "%s: %s", e.Rule.Name, cmp.Or(e.Rule.Reason, "no reason given"))
	} else {
		line("rule", "none holds; escalate %s", e.Escalate)
	}
	d := e.Decision
	if d.MatchedBy != "" { // otherwise no decision was made
		line("region", "%s, matched by %s; rows: %s", cmp.Or(d.Region, "none, by distance"), d.MatchedBy, strings.Join(d.Ladder, " -> "))
		line("outcome", "%s%s", d.Outcome, map[bool]string{true: " on " + d.Node}[d.Node != ""])
	}
	line("answer", "%d %s: %s", e.Status, api.AnswerInWords(e.Answer), e.Why)
	if e.Location != "" {
		line("location", "%s", e.Location)
	}
	if m := e.Move; m != nil {
		line("session", "at %s%s", m.From, map[bool]string{true: fmt.Sprintf(", and goes to %s: %s", m.To, m.Why), false: ", and stays"}[m.To != m.From])
	}
	for i, said := range e.Draw() {
		line(map[bool]string{true: "why"}[i == 0], "%s", said)
	}
	if e.Inline != nil {
		for _, f := range e.Inline.Failing {
			line("inline", "%s did not play at %s: %s: %s", f.Node, f.At.UTC().Format(time.TimeOnly), f.Why, f.Detail)
		}
	}
	if len(d.Candidates) > 0 {
		fmt.Fprintln(w)
		printCandidates(w, d.Candidates)
	}
	if e.Past != nil {
		fmt.Fprintln(w)
		printPast(w, e.Past)
	}
}

// printPast prints what became of the address's requests at the director that was asked.
func printPast(w io.Writer, p *api.Past) {
	fmt.Fprintf(w, "this director remembers %s of this address since %s", wording.Count(len(p.Records)+p.More, "request"), p.Since.UTC().Format(time.TimeOnly))
	if len(p.Records) == 0 {
		fmt.Fprintln(w)
		return
	}
	fmt.Fprintln(w, ":")
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "TIME\tSTATUS\tASKED FOR\tWHAT BECAME OF IT\tREGION\tRULE\tPLAYER\tIN THE LOG")
	for _, r := range p.Records {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Time.UTC().Format(time.TimeOnly), r.Status, r.Path, r.What(),
			cmp.Or(r.Region, "-"), cmp.Or(r.Rule, "-"), cmp.Or(r.UserAgent, "-"), cmp.Or(r.Listener, "-"))
	}
	t.Flush()
	if p.More > 0 {
		fmt.Fprintf(w, "and %d older\n", p.More)
	}
}

// printCandidates prints every node once, in the first row that lists it, with its numbers, and why it was passed over.
// Of a node in service there is nothing more to tell, unless it is only assumed to be.
func printCandidates(w io.Writer, all []api.Candidate) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "RANK\tNODE\tROW\tREASON\tSHARE\tWEIGHT\tROOM\tWARM\tUSED\tTARGET\tLIMIT\tKM\tDETAIL")
	told := map[string]bool{}
	for _, c := range all {
		if told[c.Node] {
			continue // in a row before
		}
		told[c.Node] = true
		if c.Reason == director.Fit.String() && c.Detail != config.Assumed {
			c.Detail = ""
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.1f %%\t%g\t%.2f\t%.2f\t%s\t%s\t%s\t%s\t%s\n",
			orDash(c.Rank), c.Node, c.Rung, c.Word(), 100*c.Expected, c.Weight, c.Room, c.WarmUp,
			used(c), orDash(c.Target), orDash(c.Limit), km(c.Km), c.Detail)
	}
	t.Flush()
}

func km(distance *float64) string {
	if distance == nil {
		return "-"
	}
	return strconv.Itoa(int(*distance))
}

func orDash(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// used is the number of listeners, and how many of them are on the way.
func used(c api.Candidate) string {
	all := strconv.Itoa(c.Used)
	if c.Uncounted {
		all = "not known"
	}
	switch {
	case c.EnRoute == 0:
		return all
	case c.Estimated > 0:
		return fmt.Sprintf("%s (%d on the way, %d of them an estimate)", all, c.EnRoute, c.Estimated)
	}
	return fmt.Sprintf("%s (%d on the way)", all, c.EnRoute)
}
