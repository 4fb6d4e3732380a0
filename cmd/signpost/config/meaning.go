package config

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/web"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// A Meaning is what `signpost check` tells about a configuration.
type Meaning struct {
	File     string           `json:"file"`
	Good     bool             `json:"good"`
	Mistakes []MistakeMeaning `json:"mistakes,omitempty"`
	Nodes    []nodeMeaning    `json:"nodes,omitempty"`
	Mounts   []mountMeaning   `json:"mounts,omitempty"`
	Regions  []regionMeaning  `json:"regions,omitempty"`
	Rules    []ruleMeaning    `json:"rules,omitempty"`
	HTTPS    string           `json:"https,omitempty"` // where its certificates come from
	Warnings []string         `json:"warnings,omitempty"`
}

// A MistakeMeaning is one mistake in a file that is refused.
type MistakeMeaning struct {
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
}

type ruleMeaning struct {
	Name   string `json:"name"`
	Holds  string `json:"holds"`
	Answer string `json:"answer"`
	Reason string `json:"reason,omitempty"`
}

type nodeMeaning struct {
	ID     director.NodeID  `json:"id"`
	URLs   []string         `json:"urls"`
	Place  string           `json:"place"`
	Target int              `json:"target,omitempty"`
	Limit  int              `json:"limit,omitempty"`
	Report *director.Report `json:"report,omitempty"`
}

type mountMeaning struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases,omitempty"`
	Type    string   `json:"type,omitempty"`
	Kbit    int      `json:"kbit"`
}

type regionMeaning struct {
	ID       director.RegionID `json:"id"`
	Matches  []string          `json:"matches,omitempty"`
	Ladder   []rungMeaning     `json:"ladder"`
	MayNot   []string          `json:"deny,omitempty"`
	Distance bool              `json:"by_distance,omitempty"`
}

type rungMeaning struct {
	Region string         `json:"region"`
	Nodes  []shareMeaning `json:"nodes"`
}

type shareMeaning struct {
	Node    director.NodeID `json:"node"`
	Percent float64         `json:"percent"`
	Absent  bool            `json:"absent,omitempty"` // it has not registered yet
}

// Meaning asks the core what the configuration means. reports are shown with the nodes;
// nil: none.
func (s *Settings) Meaning(reports map[director.NodeID]director.Report) (Meaning, error) {
	v, err := surveyOf(s.Fleet)
	if err != nil {
		return Meaning{}, err
	}
	m := Meaning{File: s.Name, Good: true, Warnings: s.warnings(v), HTTPS: s.httpsText()}
	for _, n := range s.Fleet.Nodes {
		one := nodeMeaning{ID: n.ID, URLs: n.URLs, Place: placeText(n.Place), Target: n.Target, Limit: n.Limit}
		if r, ok := reports[n.ID]; ok {
			one.Report = &r
		}
		m.Nodes = append(m.Nodes, one)
	}
	for _, mt := range s.Fleet.Mounts {
		m.Mounts = append(m.Mounts, mountMeaning{mt.Name, mt.Aliases, mt.Type, mt.Kbit})
	}
	for i, r := range s.Policy.Rules {
		m.Rules = append(m.Rules, ruleMeaning{ruleName(r, i), holdsFor(r), r.Answer.String(), r.Reason})
	}
	declared := map[director.NodeID]bool{}
	for _, n := range s.Fleet.Nodes {
		declared[n.ID] = true
	}
	rows := map[director.RegionID][]director.Weight{}
	for _, r := range s.Fleet.Regions {
		rows[r.ID] = r.Row
	}
	for _, r := range v.regions {
		one := regionMeaning{ID: r.ID, Matches: matchesOf(r.Match), MayNot: deniedBy(s.Fleet.Regions, r.ID), Distance: len(r.Row) == 0}
		for _, id := range append([]director.RegionID{r.ID}, r.Overflow...) {
			if len(rows[id]) == 0 {
				continue
			}
			part := shares(r.explanation, string(id))
			rung := rungMeaning{Region: string(id)}
			for _, w := range rows[id] {
				rung.Nodes = append(rung.Nodes, shareMeaning{w.Node, 100 * part[w.Node], !declared[w.Node]})
			}
			one.Ladder = append(one.Ladder, rung)
		}
		m.Regions = append(m.Regions, one)
	}
	return m, nil
}

// holdsFor writes for whom a rule holds.
func holdsFor(r web.Rule) string {
	var headers []api.RuleHeader
	for _, h := range r.Headers {
		headers = append(headers, api.RuleHeader(h))
	}
	all := api.RuleInWords(r.UserAgent, r.UserAgentRegexp, headers, r.HTTP)
	if len(all) == 0 {
		return "all players"
	}
	return "players with " + strings.Join(all, ", ")
}

// httpsText says where the certificates for listeners come from; empty: there is no https.
func (s *Settings) httpsText() string {
	switch a := s.Listen.ACME; {
	case len(s.Listen.HTTPS) == 0:
		return ""
	case a == nil:
		return "certificate from " + s.Listen.Certificate.CertFile
	default:
		return fmt.Sprintf("certificates for %s from %s, by %s", strings.Join(a.Names, ", "), a.Directory, a.Challenge)
	}
}

// placeText describes a node's place. An unknown country is left out.
func placeText(p director.Place) string {
	if p == (director.Place{}) {
		return "no place"
	}
	return strings.TrimPrefix(p.String(), "unknown ")
}

func deniedBy(regions []director.Region, id director.RegionID) []string {
	i := slices.IndexFunc(regions, func(r director.Region) bool { return r.ID == id })
	return regions[i].Deny
}

// matchesOf describes what a region matches, the most specific first.
func matchesOf(m director.Match) []string {
	var all []string
	for _, p := range m.CIDRs {
		all = append(all, p.String())
	}
	for _, a := range m.ASNs {
		all = append(all, fmt.Sprintf("AS%d", a))
	}
	all = append(all, m.Subdivisions...)
	for _, c := range m.Countries {
		all = append(all, strings.ToUpper(c))
	}
	for _, c := range m.Continents {
		all = append(all, "continent "+strings.ToUpper(c))
	}
	if m.Default {
		all = append(all, "everything else")
	}
	return all
}

// Print writes m as text.
func (m Meaning) Print(w io.Writer) {
	fmt.Fprintf(w, "%s is good: %s, %s, %s\n", m.File, wording.Count(len(m.Nodes), "node"), wording.Count(len(m.Mounts), "mount"), wording.Count(len(m.Regions), "region"))
	m.printNodes(w)
	fmt.Fprintln(w, "\nMounts")
	if len(m.Mounts) == 0 {
		fmt.Fprintln(w, "  every mount that a node reports")
	}
	for _, mt := range m.Mounts {
		fmt.Fprintf(w, "  %s\n", strings.Join(slices.Concat([]string{mt.Name}, mt.Aliases, nonEmpty(mt.Type, fmt.Sprintf("%d kbit/s", mt.Kbit))), "  "))
	}
	m.printRegions(w)
	if len(m.Rules) > 0 {
		fmt.Fprintln(w, "\nRules, in the order in which they are tried; those that come with Signpost follow")
	}
	for _, r := range m.Rules {
		fmt.Fprintf(w, "  %s: %s get %s\n", r.Name, r.Holds, map[bool]string{true: "the stream "}[r.Answer == web.Proxy.String()]+api.AnswerInWords(r.Answer))
	}
	if m.HTTPS != "" {
		fmt.Fprintf(w, "\nHTTPS\n  %s\n", m.HTTPS)
	}
	if len(m.Warnings) > 0 {
		fmt.Fprintln(w, "\nWarnings")
	}
	for _, warning := range m.Warnings {
		fmt.Fprintf(w, "  %s\n", warning)
	}
}

func nonEmpty(all ...string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

func (m Meaning) printNodes(w io.Writer) {
	fmt.Fprintln(w, "\nNodes")
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, n := range m.Nodes {
		capacity := "capacity: what the server tells"
		if n.Target > 0 || n.Limit > 0 {
			capacity = strings.Join(nonEmpty(optional("target", n.Target), optional("limit", n.Limit)), ", ")
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", n.ID, strings.Join(n.URLs, " "), n.Place, capacity)
	}
	t.Flush()
	for _, n := range m.Nodes {
		if n.Report != nil {
			fmt.Fprintf(w, "  %s is %s: %s\n", n.ID, n.Report.Health, n.Report.Detail)
			for _, mt := range n.Report.Mounts {
				fmt.Fprintf(w, "    %s  %s  %s  %s\n", mt.Path, mt.Type, wording.Count(mt.Listeners, "listener"), mt.Title)
			}
		}
	}
}

func optional(name string, n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s %d", name, n)
}

func (m Meaning) printRegions(w io.Writer) {
	fmt.Fprintln(w, "\nRegions, and what share of its listeners each node gets while all are up and none is nearly full")
	if len(m.Regions) == 0 {
		fmt.Fprintln(w, "  none: everybody goes to the nearest nodes, by load")
	}
	for _, r := range m.Regions {
		matches := strings.Join(r.Matches, ", ")
		if matches == "" {
			matches = "nothing of its own"
		}
		fmt.Fprintf(w, "  %s: %s\n", r.ID, matches)
		if r.Distance {
			fmt.Fprintln(w, "    the nearest nodes, by load")
		}
		for i, rung := range r.Ladder {
			name := ""
			if i > 0 || rung.Region != string(r.ID) {
				name = "then " + rung.Region + ": "
			}
			parts := make([]string, len(rung.Nodes))
			for j, p := range rung.Nodes {
				parts[j] = fmt.Sprintf("%s %.1f %%", p.Node, p.Percent)
				if p.Absent {
					parts[j] = string(p.Node) + " once it has registered"
				}
			}
			fmt.Fprintf(w, "    %s%s\n", name, strings.Join(parts, ", "))
		}
		if len(r.MayNot) > 0 {
			fmt.Fprintf(w, "    may not hear %s\n", strings.Join(r.MayNot, ", "))
		}
	}
}
