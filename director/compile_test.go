package director

import (
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"
)

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	t.Parallel()
	cidr := netip.MustParsePrefix
	tests := map[string]struct {
		set  func(c *Config, l *lab)
		want string // place: part of the message
	}{
		"no nodes":       {func(c *Config, _ *lab) { c.Nodes = nil }, "nodes: no nodes"},
		"id":             {func(c *Config, _ *lab) { c.Nodes[0].ID = "a b" }, `nodes[0].id: "a b" has ' ' in it`},
		"duplicate id":   {func(c *Config, _ *lab) { c.Nodes[1].ID = "a" }, `nodes[1].id: "a" is already the id of node 1`},
		"no url":         {func(c *Config, _ *lab) { c.Nodes[0].URLs = nil }, "nodes[0].urls: no URL"},
		"no scheme":      {func(c *Config, _ *lab) { c.Nodes[0].URLs[0] = "a.example:8000" }, `nodes[0].urls[0]: "a.example:8000" has no scheme`},
		"other scheme":   {func(c *Config, _ *lab) { c.Nodes[0].URLs[0] = "ftp://a.example" }, `nodes[0].urls[0]: "ftp://a.example" has no scheme`},
		"credentials":    {func(c *Config, _ *lab) { c.Nodes[0].URLs[0] = "http://source:hackme@a.example" }, "nodes[0].urls[0]: a URL with a user or password"},
		"query":          {func(c *Config, _ *lab) { c.Nodes[0].URLs[0] = "http://a.example/?x=1" }, "nodes[0].urls[0]:"},
		"two of a kind":  {func(c *Config, _ *lab) { c.Nodes[0].URLs = append(c.Nodes[0].URLs, "http://b.example") }, "nodes[0].urls[1]: a second http URL"},
		"with a mount":   {func(c *Config, _ *lab) { c.Nodes[0].URLs[0] += "/radio/live.mp3" }, `ends in the stream's own path /live.mp3, which is added to it: listeners would be sent to http://a.example:8000/radio/live.mp3/live.mp3; give "http://a.example:8000/radio"`},
		"with a stream":  {func(c *Config, _ *lab) { c.Nodes[0].URLs[0] += "/other.OGG" }, `give "http://a.example:8000", and where the stream has another path there, name that under paths`},
		"mount within":   {func(c *Config, _ *lab) { c.Nodes[0].InternalURL = "http://10.0.0.7/live.mp3" }, `nodes[0].internal_url: "http://10.0.0.7/live.mp3" ends in the stream's own path`},
		"points back":    {func(c *Config, _ *lab) { c.Self = []string{"A.example:8000"} }, `nodes[0].urls[0]: "http://a.example:8000" points back at a director`},
		"points back 80": {func(c *Config, _ *lab) { c.Self = []string{"r.example:80"}; c.Nodes[0].URLs[0] = "http://r.example" }, "points back at a director"},
		"internal":       {func(c *Config, _ *lab) { c.Nodes[0].InternalURL = "10.0.0.7:8000" }, `nodes[0].internal_url: "10.0.0.7:8000" `},
		"internal back":  {func(c *Config, _ *lab) { c.Self = []string{"b:80"}; c.Nodes[0].InternalURL = "http://b" }, `nodes[0].internal_url: "http://b" points back at a director`},
		"limit":          {func(c *Config, _ *lab) { c.Nodes[0].Limit = 900 }, "nodes[0].limit: the limit 900 is below the target 1000"},
		"mbit":           {func(c *Config, _ *lab) { c.Nodes[0].Mbit = Mbit{10, 5} }, "nodes[0].mbit.limit: the limit 5 is below the target 10"},
		"below zero":     {func(c *Config, _ *lab) { c.Nodes[0].Relays = -1 }, "nodes[0].relays: must be 0 or more"},
		"place":          {func(c *Config, _ *lab) { c.Nodes[0].Place = Place{Point: CityPoint, Lat: 91} }, "nodes[0].place: latitude"},
		"mount":          {func(c *Config, _ *lab) { c.Mounts[0].Name = "live" }, `mounts[0].name: "live" does not begin with a slash`},
		"mount twice":    {func(c *Config, _ *lab) { c.Mounts[1].Aliases = []string{"/live.mp3"} }, `mounts[1].aliases[0]: "/live.mp3" already names`},
		"header in it":   {func(c *Config, _ *lab) { c.Mounts[0].Name = "/a\r\nSet-Cookie: x" }, "mounts[0].name:"},
		"path":           {func(c *Config, _ *lab) { c.Nodes[0].Paths = map[string]string{"/nope": "/x"} }, `nodes[0].paths./nope: no mount is named "/nope"`},
		"unknown node":   {func(_ *Config, l *lab) { l.row("eu", everyone, "A", 1) }, `regions[0].weights.A: no node has the id "A"; did you mean "a"?`},
		"listed unknown": {func(_ *Config, l *lab) { l.listed("eu", everyone, "a", "x") }, `regions[0].weights[1]: no node has the id "x"`},
		"weight":         {func(_ *Config, l *lab) { l.row("eu", everyone, "a", -1) }, "regions[0].weights.a: weight -1: must be 0 or more"},
		"not a number": {func(_ *Config, l *lab) { l.row("eu", everyone, "a", 1).Row[0].Weight = math.NaN() },
			"regions[0].weights.a: weight NaN"},
		"all zero":     {func(_ *Config, l *lab) { l.row("eu", everyone, "a", 0) }, "regions[0].weights: every weight is 0"},
		"region twice": {func(_ *Config, l *lab) { l.row("eu", everyone, "a", 1); l.row("eu", Match{}, "a", 1) }, `regions[1].id: "eu" is already`},
		"two defaults": {func(_ *Config, l *lab) { l.row("x", everyone, "a", 1); l.row("y", everyone, "a", 1) }, `regions[1].match.default: region "x" is the default already`},
		"same CIDR": {func(_ *Config, l *lab) {
			l.row("x", Match{CIDRs: []netip.Prefix{cidr("10.0.0.0/8")}}, "a", 1)
			l.row("y", Match{CIDRs: []netip.Prefix{cidr("10.9.0.0/8")}}, "a", 1)
		}, `regions[1].match.cidrs[0]: 10.0.0.0/8 already belongs to region "x"`},
		"same country": {func(_ *Config, l *lab) { l.row("x", Match{Countries: []string{"DE", "de"}}, "a", 1) }, `regions[0].match.countries[1]: country DE already belongs to region "x"`},
		"continent":    {func(_ *Config, l *lab) { l.row("x", Match{Continents: []string{"XX"}}, "a", 1) }, `regions[0].match.continents[0]: "XX" is not a continent`},
		"subdivision":  {func(_ *Config, l *lab) { l.row("x", Match{Subdivisions: []string{"Bavaria"}}, "a", 1) }, `regions[0].match.subdivisions[0]: "Bavaria" is not an ISO 3166-2 code`},
		"AS0":          {func(_ *Config, l *lab) { l.row("x", Match{ASNs: []uint32{0}}, "a", 1) }, "regions[0].match.asns[0]: AS0"},
		"overflow":     {func(_ *Config, l *lab) { l.row("x", everyone, "a", 1).Overflow = []RegionID{"y"} }, `regions[0].overflow[0]: no region has the id "y"`},
		"into itself":  {func(_ *Config, l *lab) { l.row("x", everyone, "a", 1).Overflow = []RegionID{"x"} }, "regions[0].overflow[0]: a region cannot overflow into itself"},
		"into no row":  {func(_ *Config, l *lab) { l.row("x", everyone, "a", 1).Overflow = []RegionID{"y"}; l.row("y", Match{}) }, `regions[0].overflow[0]: region "y" has no weights`},
		"in a circle": {func(_ *Config, l *lab) {
			l.row("x", everyone, "a", 1).Overflow = []RegionID{"y"}
			l.row("y", Match{}, "b", 1).Overflow = []RegionID{"x"}
		}, "regions[1].overflow[0]: overflow goes in a circle (x -> y -> x)"},
		"deny":          {func(_ *Config, l *lab) { l.row("x", everyone, "a", 1).Deny = []string{"/nope"} }, `regions[0].deny[0]: no mount is named "/nope"`},
		"spill":         {func(c *Config, _ *lab) { c.Tuning.SpillAt = 1.5 }, "tuning.spill_at: must be above 0 and below 1"},
		"overflow url":  {func(c *Config, _ *lab) { c.OverflowURL = "cdn.example{mount}" }, "overflow_url: "},
		"CIDR unusable": {func(_ *Config, l *lab) { l.row("x", Match{CIDRs: []netip.Prefix{{}}}, "a", 1) }, "regions[0].match.cidrs[0]: not a CIDR"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 2)
			tt.set(&l.cfg, l)
			_, err := Compile(l.cfg)
			var ce *ConfigError
			if !errors.As(err, &ce) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant a ConfigError with %q", err, tt.want)
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.cfg.Nodes[0].URLs = nil
	l.row("eu", everyone, "x", 1, "y", 1)
	_, err := Compile(l.cfg)
	if n := len(strings.Split(err.Error(), "\n")); n != 3 {
		t.Errorf("%d mistakes told, want 3:\n%v", n, err)
	}
}

// Two regions may catch each other's listeners through regions that only name nodes.
func TestMutualOverflowThroughSpareRegions(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.row("eu", Match{Continents: []string{"EU"}}, "a", 1).Overflow = []RegionID{"us-spare"}
	l.row("us", everyone, "b", 1).Overflow = []RegionID{"eu-spare"}
	l.row("eu-spare", Match{}, "a", 1)
	l.row("us-spare", Match{}, "b", 1)
	l.report("b", func(r *Report) { r.Health = Failed })
	if got := decide(l.snapshot(), Listener{}, 1); got != "overflow a" {
		t.Errorf("got %q, want overflow a", got)
	}
}
