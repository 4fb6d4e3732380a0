package importer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/signpost-fm/signpost/cmd/signpost/yamlfile"
	"github.com/signpost-fm/signpost/director/wording"
)

// YAML writes the fleet as a configuration file, with a comment wherever a value was
// derived. The same fleet is always written as the same bytes.
func (f *Fleet) YAML() []byte {
	var m yamlfile.Mapping
	add := func(key string, value any, above ...string) {
		m = append(m, yamlfile.Key{Name: key, Value: value, Above: above})
	}
	add("listen", f.listen())
	if len(f.Mounts) > 0 {
		add("mounts", f.mounts(), "What listeners may ask for.")
	}
	add("nodes", f.nodes(), "The streaming servers.")
	if row := f.row(); row != nil {
		add("regions", yamlfile.List{{Mapping: yamlfile.Mapping{{Name: "id", Value: "everywhere"}, {Name: "match", Value: "default"}, {Name: "weights", Value: row}}}},
			"Everybody is spread by these weights. Give regions of their own to those who should be served by some nodes only.")
	} else {
		m[len(m)-1].Above = append(m[len(m)-1].Above, "Listeners go to the nearest ones, by `place`; among near ones, by load. `regions` can say otherwise.")
	}
	add("state_dir", f.StateDir, "What operators change at run time is kept here.")
	return yamlfile.Write([]string{"Made by `" + f.Command + "`.", "`signpost check FILE` says what it means; docs/configuration.md describes every key."}, m)
}

func (f *Fleet) listen() (m yamlfile.Mapping) {
	m = yamlfile.Mapping{{Name: "http", Value: []string{f.Listen}}}
	if f.PublicURL != "" {
		m = append(m, yamlfile.Key{Name: "public_urls", Value: []string{f.PublicURL}, Above: []string{"The URL that listeners are given. No node may have it."}})
	} else {
		m[0].Above = []string{"Where listeners reach the directors is best written here too, as in public_urls: [\"http://radio.example\"]"}
	}
	if f.DefaultMount != "" {
		m = append(m, yamlfile.Key{Name: "default_mount", Value: f.DefaultMount, Above: []string{"What / stands for."}})
	}
	var sids yamlfile.Mapping
	for _, s := range f.Mounts {
		n := strconv.Itoa(s.SID)
		if s.SID > 0 && !slices.ContainsFunc(sids, func(k yamlfile.Key) bool { return k.Name == n }) {
			sids = append(sids, yamlfile.Key{Name: n, Value: s.Name})
		}
	}
	if sids != nil {
		m = append(m, yamlfile.Key{Name: "sids", Value: sids, Above: []string{"What SHOUTcast's paths stand for, as /stream/1/ and /;?sid=1."}})
	}
	return m
}

func (f *Fleet) mounts() (all yamlfile.List) {
	for _, s := range f.Mounts {
		m := yamlfile.Mapping{{Name: "name", Value: s.Name}}
		if len(s.Aliases) > 0 {
			m = append(m, yamlfile.Key{Name: "aliases", Value: s.Aliases})
		}
		m = appendText(m, "title", s.Title)
		m = appendText(m, "type", s.Type)
		if s.Kbit > 0 {
			m = append(m, yamlfile.Key{Name: "kbit", Value: s.Kbit})
		}
		item := yamlfile.Item{Mapping: m}
		if s.Remark != "" {
			item.Above = []string{s.Remark}
		}
		all = append(all, item)
	}
	return all
}

func appendText(m yamlfile.Mapping, key, text string) yamlfile.Mapping {
	if text == "" {
		return m
	}
	return append(m, yamlfile.Key{Name: key, Value: text})
}

func (f *Fleet) nodes() (all yamlfile.List) {
	for i := range f.Nodes {
		n := &f.Nodes[i]
		about := n.From
		if n.Version != "" {
			about += ", " + n.Version
		}
		m := yamlfile.Mapping{{Name: "id", Value: n.ID}, {Name: "urls", Value: n.URLs}}
		m = appendText(m, "kind", n.Kind)
		m = appendText(m, "site", n.Site)
		m = appendText(m, "place", n.Place)
		if n.Limit > 0 {
			if n.Target > 0 {
				m = append(m, yamlfile.Key{Name: "target", Value: n.Target, Beside: "listeners that it should hold"})
			}
			m = append(m, yamlfile.Key{Name: "limit", Value: n.Limit, Beside: n.LimitNote})
		} else if n.Target > 0 {
			m = append(m, yamlfile.Key{Name: "target", Value: n.Target})
		}
		if n.LimitMbit > 0 {
			m = append(m, yamlfile.Key{Name: "mbit", Value: yamlfile.Mapping{{Name: "limit", Value: n.LimitMbit}}, Above: []string{"<max-bandwidth>"}})
		}
		if n.MaxNew > 0 {
			m = append(m, yamlfile.Key{Name: "max_new_per_s", Value: n.MaxNew, Beside: "what stock Icecast 2.4 takes; leave it out for another server"})
		}
		if n.Relays > 0 {
			m = append(m, yamlfile.Key{Name: "relays", Value: n.Relays, Beside: n.RelaysNote})
		}
		if n.Drained {
			m = append(m, yamlfile.Key{Name: "drained", Value: true})
		}
		if n.ProbePath != "" {
			m = append(m, yamlfile.Key{Name: "probe", Value: yamlfile.Mapping{{Name: "path", Value: n.ProbePath}}})
		}
		m = appendText(m, "credentials_file", n.AdminFile)
		if len(n.Paths) > 0 {
			var paths yamlfile.Mapping
			for _, name := range sortedKeys(n.Paths) {
				paths = append(paths, yamlfile.Key{Name: name, Value: n.Paths[name]})
			}
			m = append(m, yamlfile.Key{Name: "paths", Value: paths})
		}
		item := yamlfile.Item{Mapping: m, Above: []string{about}}
		if n.AdminFile == "" && n.Kind == "" {
			item.Above = append(item.Above, fmt.Sprintf("With credentials_file: %s.secret (one line, user:password, of its administrator) more is known of it.", n.ID))
		}
		all = append(all, item)
	}
	return all
}

// row returns the weights of all nodes, if any was given.
func (f *Fleet) row() (row yamlfile.Mapping) {
	given := false
	for i := range f.Nodes {
		weight := 1.0
		if w := f.Nodes[i].Weight; w != nil {
			weight, given = *w, true
		}
		row = append(row, yamlfile.Key{Name: f.Nodes[i].ID, Value: number(weight)})
	}
	if !given {
		return nil
	}
	return row
}

// number is written without a point if it needs none.
func number(x float64) any {
	if x == float64(int(x)) {
		return int(x)
	}
	return x
}

// Understood says in one line for each node what is known of it.
func (f *Fleet) Understood() (lines []string) {
	for i := range f.Nodes {
		n := &f.Nodes[i]
		parts := []string{strings.Join(n.URLs, ", ")}
		if n.Version != "" {
			parts = append(parts, n.Version)
		}
		if n.Place != "" {
			parts = append(parts, "in "+n.Place)
		}
		if n.Limit > 0 {
			parts = append(parts, fmt.Sprintf("limit %d", n.Limit))
		}
		parts = append(parts, cmp.Or(PathsOf(n.Mounts), "mounts not known"))
		if n.Master != "" {
			parts = append(parts, "slave of "+n.Master)
		}
		from := map[string]bool{}
		for _, m := range n.Mounts {
			if m.Relayed != nil && m.Relayed.addr() != n.Master {
				from[m.Relayed.addr()] = true
			}
		}
		if len(from) > 0 {
			parts = append(parts, "relays from "+strings.Join(sortedKeys(from), ", "))
		}
		if n.Relays > 0 {
			parts = append(parts, "feeds "+wording.Count(n.Relays, "relay"))
		}
		lines = append(lines, fmt.Sprintf("%s (%s): %s", n.ID, n.From, strings.Join(parts, "; ")))
	}
	return lines
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
