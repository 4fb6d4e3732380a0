package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/signpost-fm/signpost/cmd/signpost/client"
	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
	"github.com/signpost-fm/signpost/web/dns"
)

// askConfigDNS lets a server that answers nobody explain.
func (c *explainCmd) askConfigDNS(ctx context.Context, _ *client.Terminal) ([]byte, error) {
	s, locator, snap, err := c.open("")
	if err != nil {
		return nil, err
	}
	if len(s.DNS.Listen) == 0 {
		return nil, errors.New(c.Config + " has no DNS in it; give dns.listen and dns.zone")
	}
	server, err := dns.New(dns.Config{
		View:   func() director.View { return director.View{Snapshot: snap} },
		Unmap:  locator.Unmap,
		Locate: locator.Locate, Widest: locator.Widest,
		Directors: func() []dns.Director { return []dns.Director{{Addrs: s.DNS.Addrs}} },
		Secret:    s.Secret, Policy: s.DNS.Policy,
	})
	if err != nil {
		return nil, err
	}
	server.LookUp(ctx)
	x, err := server.Explain(dns.Question{Name: c.DNS, Type: c.Type, Resolver: c.Resolver, Subnet: c.Subnet})
	if err != nil {
		return nil, err
	}
	return json.Marshal(x)
}

// askServerDNS asks a running director's operators' side.
func (c *explainCmd) askServerDNS(ctx context.Context, t *client.Terminal) ([]byte, error) {
	s, err := c.Open(t)
	if err != nil {
		return nil, err
	}
	q := url.Values{"name": {c.DNS}, "type": {c.Type}}
	if c.Resolver.IsValid() {
		q.Set("resolver", c.Resolver.String())
	}
	if c.Subnet.IsValid() {
		q.Set("subnet", c.Subnet.String())
	}
	answer, err := s.Get(ctx, "/api/v1/explain/dns?"+q.Encode(), nil)
	return answer.Body, err
}

// A dnsExplanation is what is printed of a dns.Explanation.
type dnsExplanation struct {
	Name, Type, Resolver, Subnet, By, Drawn, Outcome string
	Scope, TTL                                       int
	Addrs                                            []string
	Nodes                                            []struct{ Node, Addr string }
	Brings                                           float64  `json:"listeners_per_answer"`
	Unknown                                          []string `json:"without_address"`
	Decision                                         *struct {
		Place      string
		Region     string
		MatchedBy  string `json:"matched_by"`
		Ladder     []string
		Candidates []api.Candidate
	}
}

func printDNS(w io.Writer, answer []byte) error {
	var e dnsExplanation
	if err := json.Unmarshal(answer, &e); err != nil {
		return fmt.Errorf("explain: %w", err)
	}
	var b strings.Builder
	e.print(&b)
	_, err := io.WriteString(w, client.Clean(b.String()))
	return err
}

func (e dnsExplanation) print(w io.Writer) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("resolver", "%s", cmp.Or(e.Resolver, "unknown"))
	line("subnet", "%s", cmp.Or(e.Subnet, "it tells none, so that its own place counts"))
	line("asks for", "%s %s", e.Name, e.Type)
	if d := e.Decision; d != nil {
		line("place", "%s, by the %s", d.Place, e.By)
		if d.MatchedBy != "" {
			line("region", "%s, matched by %s; rows: %s", cmp.Or(d.Region, "none, by distance"), d.MatchedBy, strings.Join(d.Ladder, " -> "))
		}
	}
	line("outcome", "%s", e.Outcome)
	var parts []string
	for _, n := range e.Nodes {
		parts = append(parts, n.Addr+" ("+n.Node+")")
	}
	if len(parts) == 0 {
		parts = e.Addrs
	}
	line("answer", "%s", cmp.Or(strings.Join(parts, ", "), "no address"))
	line("ttl", "%d s", e.TTL)
	if e.Subnet != "" {
		line("scope", "/%d: within it everybody is answered the same", e.Scope)
	} else if len(e.Nodes) > 0 {
		line("drawn", "%s; the next may be another", e.Drawn)
	}
	if e.Brings > 0 {
		line("brings", "%.1f listeners an answer, by an estimate", e.Brings)
	}
	if len(e.Unknown) > 0 {
		line("unknown", "%s: no answer leads there, for nobody could tell an address", strings.Join(e.Unknown, ", "))
	}
	if d := e.Decision; d != nil && len(d.Candidates) > 0 {
		fmt.Fprintln(w)
		printCandidates(w, d.Candidates)
	}
}
