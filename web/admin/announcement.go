package admin

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/api"
	"github.com/signpost-fm/signpost/web/idn"
)

const (
	maxName      = 64         // bytes
	maxURLs      = 2          // one a scheme
	maxNodeAddrs = 16         // of one node
	maxMounts    = 2000       // of one node
	maxListeners = 10_000_000 // at one node; wrapped counters are far above
	maxKbit      = 1e10       // 10 Tbit/s
	maxAge       = time.Minute
	maxStateAge  = 10 * 365 * 24 * time.Hour
)

// registration checks an announcement and makes a registration of it, with times by
// the clock of now. The error names everything that cannot be true.
func registration(a *api.Announcement, id, token string, now time.Time) (store.Registration, error) {
	c := checker{}
	c.name("the node's id", id)
	c.name("instance", a.Instance)
	c.spec(&a.Node)
	c.measured(&a.Report)
	r := store.Registration{
		Node: director.NodeID(id), URLs: a.Node.URLs, InternalURL: a.Node.InternalURL, Site: a.Node.Site, Place: c.place(a.Node.Place),
		Target: a.Node.Target, Limit: a.Node.Limit, MaxNewPerS: a.Node.MaxNewPerS, Pace: a.Node.Pace, Addrs: a.Node.Addresses,
		Instance: a.Instance, Token: token, Report: reportOf(&a.Report, now),
	}
	if a.Drained {
		r.Drained = now
	}
	return r, c.err()
}

func reportOf(m *api.Measured, now time.Time) director.Report {
	before := func(ms int64) time.Time { return now.Add(-time.Duration(ms) * time.Millisecond) }
	r := director.Report{
		Taken: before(m.AgeMS), Health: m.Health, Since: before(m.SinceAgeMS), Detail: m.Detail,
		Full: m.Full, Listeners: m.Listeners, Limit: m.Limit, Kbit: m.Kbit, Server: m.Server,
		Mounts: m.Mounts, AnyMount: m.AnyMount,
	}
	for _, v := range m.Verdicts {
		r.Verdicts = append(r.Verdicts, director.Verdict{
			Path: v.Path, State: v.State, Cause: v.Cause, Detail: v.Detail, Listed: v.Listed, Since: before(v.SinceAgeMS), Taken: before(v.AgeMS), By: "its agent",
		})
	}
	if m.ReturnedAgeMS != nil {
		r.Returned = before(*m.ReturnedAgeMS)
	}
	return r
}

// A checker collects mistakes in a body, each with its field and what would be right.
type checker []string

func (c *checker) fail(field, format string, args ...any) {
	const enough = 8 // nobody reads more
	if len(*c) < enough {
		*c = append(*c, field+": "+fmt.Sprintf(format, args...))
	}
}

func (c checker) err() error {
	if len(c) == 0 {
		return nil
	}
	return errors.New(strings.Join(c, "; "))
}

// name checks an id, which becomes part of URLs, logs and metrics.
func (c *checker) name(field, s string) {
	odd := strings.ContainsFunc(s, func(r rune) bool {
		return r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.", r)
	})
	if s == "" || len(s) > maxName || odd {
		c.fail(field, "%.80q: give 1 to %d letters, digits, '-', '_' and '.'", s, maxName)
	}
}

func (c *checker) count(field string, n, least int) {
	if n < least || n > maxListeners {
		c.fail(field, "%d cannot be true; it is a number from %d to %d", n, least, maxListeners)
	}
}

func (c *checker) age(field string, ms int64, most time.Duration) {
	if ms < 0 || ms > most.Milliseconds() {
		c.fail(field, "%d cannot be true, or is of no use any more; it is an age from 0 to %d ms", ms, most.Milliseconds())
	}
}

func (c *checker) text(field, s string, most int) {
	if len(s) > most || !utf8.ValidString(s) {
		c.fail(field, "give at most %d bytes of UTF-8", most)
	}
}

func (c *checker) spec(n *api.NodeSpec) {
	if len(n.URLs) > maxURLs {
		c.fail("node.urls", "a node has one URL a scheme, not %d", len(n.URLs))
	}
	for i := range n.URLs {
		c.url("node.urls", &n.URLs[i])
	}
	c.url("node.internal_url", &n.InternalURL)
	if n.Site != "" {
		c.name("node.site", n.Site)
	}
	c.count("node.target", n.Target, 0)
	c.count("node.limit", n.Limit, 0)
	c.count("node.max_new_per_s", n.MaxNewPerS, 0)
	switch n.Pace {
	case "", director.PacePrefer, director.PaceHold:
	default:
		c.fail("node.pace", "%.80q: use prefer or hold", n.Pace)
	}
	if len(n.Addresses) > maxNodeAddrs {
		c.fail("node.addresses", "give at most %d, not %d", maxNodeAddrs, len(n.Addresses))
	}
}

// url checks a URL, and writes its host name as DNS has it.
func (c *checker) url(field string, raw *string) {
	c.text(field, *raw, 1024)
	ascii, err := idn.URL(*raw)
	if err != nil {
		c.fail(field, "%v", err)
		return
	}
	*raw = ascii
}

func (c *checker) place(p *api.Place) (out director.Place) {
	if p == nil {
		return out
	}
	if p.Country != "" {
		code, err := director.ParseCode(p.Country)
		if err != nil {
			c.fail("node.place.country", "%v; write one of ISO 3166-1", err)
		}
		out.Country = code
	}
	if !(p.Lat >= -90 && p.Lat <= 90 && p.Lon >= -180 && p.Lon <= 180) {
		c.fail("node.place", "%g,%g is not on Earth; latitude is within -90..90 and longitude within -180..180", p.Lat, p.Lon)
	}
	out.Lat, out.Lon, out.Point = p.Lat, p.Lon, director.CityPoint
	if p.CountryCentre {
		out.Point = director.CountryCentre
	}
	return out
}

func (c *checker) measured(m *api.Measured) {
	c.age("report.age_ms", m.AgeMS, maxAge)
	c.age("report.since_age_ms", m.SinceAgeMS, maxStateAge)
	if m.ReturnedAgeMS != nil {
		c.age("report.returned_age_ms", *m.ReturnedAgeMS, maxStateAge)
	}
	if m.Health == director.HealthUnknown {
		c.fail("report.health", "say up or down; measure first, and register then")
	}
	c.count("report.listeners", m.Listeners, -1)
	c.count("report.limit", m.Limit, 0)
	if !(m.Kbit >= 0 && m.Kbit <= maxKbit) || math.IsNaN(m.Kbit) {
		c.fail("report.kbit", "%g cannot be true; it is a number from 0 to %g", m.Kbit, float64(maxKbit))
	}
	c.text("report.detail", m.Detail, api.MaxText)
	c.text("report.server", m.Server, api.MaxText)
	if len(m.Mounts) > maxMounts {
		c.fail("report.mounts", "%d are more than the %d of the largest server", len(m.Mounts), maxMounts)
		return
	}
	for i := range m.Mounts {
		c.mount(fmt.Sprintf("report.mounts[%d]", i), &m.Mounts[i])
	}
	if len(m.Verdicts) > maxMounts {
		c.fail("report.verdicts", "%d are more than the %d mounts of the largest server", len(m.Verdicts), maxMounts)
		return
	}
	for i := range m.Verdicts {
		c.verdict(fmt.Sprintf("report.verdicts[%d]", i), &m.Verdicts[i])
	}
}

func (c *checker) verdict(field string, v *api.MeasuredVerdict) {
	c.path(field+".path", v.Path)
	c.age(field+".age_ms", v.AgeMS, maxStateAge)
	c.age(field+".since_age_ms", v.SinceAgeMS, maxStateAge)
	c.text(field+".cause", string(v.Cause), api.MaxText)
	c.text(field+".detail", v.Detail, api.MaxText)
}

func (c *checker) path(field, path string) {
	if !strings.HasPrefix(path, "/") || len(path) > 1024 || !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl) {
		c.fail(field, "%.80q is no mount's path, which begins with a slash", path)
	}
}

func (c *checker) mount(field string, m *director.MountReport) {
	c.path(field+".path", m.Path)
	c.count(field+".listeners", m.Listeners, -1)
	c.count(field+".peak", m.Peak, 0)
	c.count(field+".limit", m.Limit, 0)
	for name, text := range map[string]string{"type": m.Type, "name": m.Name, "title": m.Title} {
		c.text(field+"."+name, text, api.MaxText)
	}
}
