package hls

import (
	"cmp"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beevik/etree"
)

// A period of an MPD, as far as its segments are concerned (ISO/IEC 23009-1, 5.3.2).
type period struct {
	id              string
	start, duration time.Duration // duration 0: not told
	representations []representation
}

// A representation is one version of the content (5.3.5), with what it inherits from its
// adaptation set and its period.
type representation struct {
	what      string // for players: its id, codecs, size, language
	bandwidth int64  // bit/s
	id        string
	base      *url.URL  // to which its segments' URLs refer at the node
	template  *template // nil: it is one file (SegmentBase), or a list of segments
}

// A template makes the URLs of segments (5.3.9.4).
type template struct {
	media, initialization string
	scale                 int64 // units of time a second (@timescale)
	duration              int64 // of each segment, in units (@duration); 0: timeline has them
	number                int64 // of the first segment (@startNumber)
	offset                int64 // what of the media's time is the period's start (@presentationTimeOffset)
	timeline              []run
}

// A run is an S of a SegmentTimeline (5.3.9.6): count segments of one duration. A count of 0
// says that it goes on until the period ends.
type run struct{ at, duration, count int64 }

// maxRuns is how many S a SegmentTimeline may have.
const maxRuns = 50_000

func (r *mpdReader) readPeriods() error {
	var next time.Duration
	for _, e := range r.root.SelectElements("Period") {
		p := period{id: e.SelectAttrValue("id", ""), start: next}
		var err error
		if s := e.SelectAttrValue("start", ""); s != "" {
			if p.start, err = parseDuration(s); err != nil {
				return r.fail(0, "Period: @start: %v", err)
			}
		}
		if s := e.SelectAttrValue("duration", ""); s != "" {
			if p.duration, err = parseDuration(s); err != nil {
				return r.fail(0, "Period: @duration: %v", err)
			}
		}
		next = p.start + p.duration
		if err := r.readPeriod(e, &p); err != nil {
			return err
		}
		r.m.periods = append(r.m.periods, p)
	}
	if len(r.m.periods) == 0 {
		return r.fail(0, "has no Period (5.3.1.2)")
	}
	return nil
}

func (r *mpdReader) readPeriod(e *etree.Element, p *period) error {
	base, err := r.below(r.base, e)
	if err != nil {
		return err
	}
	for _, set := range e.SelectElements("AdaptationSet") {
		setBase, err := r.below(base, set)
		if err != nil {
			return err
		}
		for _, rep := range set.SelectElements("Representation") {
			if r.count++; r.count > maxRepresentations {
				return r.fail(0, "more than %d Representations: no MPD for players", maxRepresentations)
			}
			one := representation{id: rep.SelectAttrValue("id", "")}
			if one.base, err = r.below(setBase, rep); err != nil {
				return err
			}
			one.bandwidth, _ = strconv.ParseInt(rep.SelectAttrValue("bandwidth", ""), 10, 64)
			r.m.least = lesser(r.m.least, max(0, one.bandwidth))
			what := []string{"id=" + one.id}
			for _, name := range []string{"contentType", "mimeType", "codecs", "lang", "width", "height", "audioSamplingRate"} {
				if v := rep.SelectAttrValue(name, set.SelectAttrValue(name, "")); v != "" {
					what = append(what, name+"="+v)
				}
			}
			one.what = strings.Join(what, " ")
			if one.template, err = readTemplate(rep, set, e); err != nil {
				return r.fail(0, "Representation %s: %v", clip(one.id), err)
			}
			p.representations = append(p.representations, one)
		}
	}
	slices.SortStableFunc(p.representations, func(a, b representation) int { return strings.Compare(a.what, b.what) })
	return nil
}

// below returns the base of an element that may have a BaseURL of its own.
func (r *mpdReader) below(base *url.URL, e *etree.Element) (*url.URL, error) {
	b := e.SelectElement("BaseURL")
	if b == nil {
		return base, nil
	}
	u, err := r.resolve(base, b.Text())
	if err != nil {
		return nil, r.fail(0, "%s: BaseURL: %v", e.Tag, err)
	}
	return u, nil
}

// readTemplate reads the SegmentTemplate of a representation. What the representation does not
// say is inherited from its adaptation set, then from its period (5.3.9.1). nil: there is none.
func readTemplate(levels ...*etree.Element) (*template, error) {
	var found []*etree.Element
	for _, e := range levels {
		if t := e.SelectElement("SegmentTemplate"); t != nil {
			found = append(found, t)
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	text := func(name string) string {
		for _, e := range found {
			if v := e.SelectAttrValue(name, ""); v != "" {
				return v
			}
		}
		return ""
	}
	t := &template{media: text("media"), initialization: text("initialization")}
	for _, n := range []struct {
		name   string
		to     *int64
		absent int64
		least  int64
		most   int64
	}{
		{"timescale", &t.scale, 1, 1, math.MaxUint32}, {"duration", &t.duration, 0, 0, math.MaxInt64 / 4},
		{"startNumber", &t.number, 1, 0, math.MaxInt64 / 4}, {"presentationTimeOffset", &t.offset, 0, 0, math.MaxInt64 / 4},
	} {
		v := text(n.name)
		if *n.to = n.absent; v == "" {
			continue
		}
		var err error
		if *n.to, err = strconv.ParseInt(v, 10, 64); err != nil || *n.to < n.least || *n.to > n.most {
			return nil, fmt.Errorf("SegmentTemplate: @%s %q is no number from %d to %d", n.name, clip(v), n.least, n.most)
		}
	}
	for _, e := range found {
		if line := e.SelectElement("SegmentTimeline"); line != nil {
			var err error
			t.timeline, err = readTimeline(line)
			return t, err
		}
	}
	return t, nil
}

func readTimeline(e *etree.Element) ([]run, error) {
	var out []run
	var next int64
	var counted int64
	runs := e.SelectElements("S")
	if len(runs) > maxRuns {
		return nil, fmt.Errorf("more than %d S in a SegmentTimeline", maxRuns)
	}
	for i, s := range runs {
		number := func(name string, absent int64) int64 {
			n, err := strconv.ParseInt(s.SelectAttrValue(name, strconv.FormatInt(absent, 10)), 10, 64)
			if err != nil {
				return math.MinInt64
			}
			return n
		}
		at, duration, repeat := number("t", next), number("d", -1), number("r", 0)
		if repeat < 0 && repeat != math.MinInt64 && i+1 < len(runs) && duration > 0 { // until the next S begins
			if t, err := strconv.ParseInt(runs[i+1].SelectAttrValue("t", ""), 10, 64); err == nil {
				repeat = (t-at)/duration - 1
			}
		}
		open := repeat < 0 && i+1 == len(runs)
		if at < 0 || duration <= 0 || repeat == math.MinInt64 || repeat < 0 && !open || repeat > maxSegments*100 ||
			duration > math.MaxInt64/4/(repeat+2) || at > math.MaxInt64/4 {
			return nil, fmt.Errorf("S %d of a SegmentTimeline has no times that follow each other (5.3.9.6)", i+1)
		}
		one := run{at, duration, repeat + 1}
		if open {
			one.count = 0
		}
		counted += one.count
		if counted > maxSegments*100 {
			return nil, fmt.Errorf("a SegmentTimeline of more than %d segments", maxSegments*100)
		}
		next = at + duration*one.count
		out = append(out, one)
	}
	return out, nil
}

// A MediaSegment is the newest whole segment of a representation.
type MediaSegment struct {
	URI  string // absolute, at the node
	Init string // absolute; empty: it needs none
	// Ends is when its content ends, by the encoder's clock, and from when it is there.
	Ends   time.Time
	Length time.Duration
	// Listed says that the MPD tells that it is there (SegmentTimeline). Otherwise that follows
	// from the time alone.
	Listed bool
}

// Newest returns the newest segment that should be there at now, which is the time by the
// clock of the node or its encoder, of the first representation whose segments are made by a
// template. ok is false if none is there, or the MPD does not tell.
func (m *MPD) Newest(now time.Time) (s MediaSegment, ok bool) {
	for i := len(m.periods) - 1; i >= 0; i-- {
		p := &m.periods[i]
		for j := range p.representations {
			rep := &p.representations[j]
			if rep.template == nil || rep.template.media == "" {
				continue
			}
			origin := m.start.Add(p.start)
			if number, at, length, found := rep.template.last(now.Sub(origin), p.duration, m.Dynamic); found {
				return rep.segment(number, at, length, origin), true
			}
		}
	}
	return MediaSegment{}, false
}

// segment returns a segment of a representation. at and length are in units of its template.
func (rep *representation) segment(number, at, length int64, origin time.Time) MediaSegment {
	t := rep.template
	out := MediaSegment{Ends: origin.Add(t.time(at + length - t.offset)), Length: t.time(length)}
	if n := len(t.timeline); n > 0 {
		out.Listed = t.timeline[n-1].count > 0
	}
	out.URI = rep.url(t.media, number, at)
	if t.initialization != "" {
		out.Init = rep.url(t.initialization, 0, 0)
	}
	return out
}

func (rep *representation) url(pattern string, number, at int64) string {
	u, err := url.Parse(fill(pattern, rep.id, number, rep.bandwidth, at))
	if err != nil {
		return ""
	}
	return rep.base.ResolveReference(u).String()
}

// time returns so many units as a duration.
func (t *template) time(units int64) time.Duration {
	const most = math.MaxInt64/int64(time.Second) - 1
	return time.Duration(min(units/t.scale, most))*time.Second + time.Duration(float64(units%t.scale)/float64(t.scale)*float64(time.Second))
}

// last returns the newest segment: its number, and its time and length in units. since is how
// long ago the period began.
func (t *template) last(since, duration time.Duration, dynamic bool) (number, at, length int64, ok bool) {
	if duration > 0 && (!dynamic || since > duration) {
		since = duration
	}
	units := int64(min(since.Seconds()*float64(t.scale), math.MaxInt64/4))
	if len(t.timeline) == 0 {
		if t.duration == 0 || units < t.duration {
			return 0, 0, 0, false
		}
		n := units/t.duration - 1
		return t.number + n, t.offset + n*t.duration, t.duration, true
	}
	number = t.number
	for i, r := range t.timeline {
		count := r.count
		if count == 0 {
			count = max(0, (units+t.offset-r.at)/r.duration)
		}
		number += count
		if i == len(t.timeline)-1 && number > t.number {
			if count == 0 {
				before := t.timeline[i-1]
				return number - 1, before.at + before.duration*(before.count-1), before.duration, true
			}
			return number - 1, r.at + r.duration*(count-1), r.duration, true
		}
	}
	return 0, 0, 0, false
}

// fill replaces the identifiers of a template (5.3.9.4.4).
func fill(pattern, id string, number, bandwidth, at int64) string {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(pattern, "$")
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		name, after, ok := strings.Cut(rest, "$")
		if !ok {
			out.WriteString("$" + rest)
			return out.String()
		}
		name, format, _ := strings.Cut(name, "%")
		width, _ := strconv.Atoi(strings.TrimSuffix(format, "d"))
		width = max(0, min(width, 32))
		switch name {
		case "":
			out.WriteByte('$')
		case "RepresentationID":
			out.WriteString(id)
		case "Number":
			fmt.Fprintf(&out, "%0*d", width, number)
		case "Bandwidth":
			fmt.Fprintf(&out, "%0*d", width, bandwidth)
		case "Time":
			fmt.Fprintf(&out, "%0*d", width, at)
		default:
			out.WriteString("$" + name + "$")
		}
		pattern = after
	}
}

// Differs says in a few words in what an MPD differs from another so that players cannot be
// moved between them; empty: they can. Players ask each node for the segments of one MPD, so
// the nodes must have the same under the same names.
func (m *MPD) Differs(from *MPD) string {
	switch {
	case m == from:
		return ""
	case m.Dynamic != from.Dynamic:
		return "only one of them is live (@type)"
	case !m.start.Equal(from.start):
		return fmt.Sprintf("its @availabilityStartTime is %s instead of %s, so its segments are others under the same names", m.start.Format(time.RFC3339Nano), from.start.Format(time.RFC3339Nano))
	}
	common := false
	for i := range m.periods {
		p := &m.periods[i]
		for j := range from.periods {
			q := &from.periods[j]
			if p.key() != q.key() {
				continue
			}
			common = true
			if why := p.differs(q); why != "" {
				return why
			}
		}
	}
	if !common {
		return "they have no Period in common"
	}
	return ""
}

func (p *period) differs(q *period) string {
	switch {
	case p.start != q.start:
		return fmt.Sprintf("its Period %s begins at %v instead of %v", clip(p.id), p.start, q.start)
	case len(p.representations) != len(q.representations):
		return fmt.Sprintf("it offers %d representations instead of %d", len(p.representations), len(q.representations))
	}
	for i := range p.representations {
		a, b := &p.representations[i], &q.representations[i]
		low, high := min(a.bandwidth, b.bandwidth), max(a.bandwidth, b.bandwidth)
		switch {
		case a.what != b.what:
			return fmt.Sprintf("it offers %s instead of %s", a.what, b.what)
		case float64(low) < float64(high)*(1-bandwidthSlack):
			return fmt.Sprintf("its representation %s is of %d bit/s instead of %d", clip(a.id), a.bandwidth, b.bandwidth)
		case (a.template == nil) != (b.template == nil):
			return fmt.Sprintf("only one of them has a SegmentTemplate for representation %s", clip(a.id))
		case a.template != nil && !a.template.same(b.template):
			return fmt.Sprintf("its segments of representation %s are others under the same names", clip(a.id))
		case a.template != nil && strings.Contains(a.template.media, "$Bandwidth") && a.bandwidth != b.bandwidth:
			return fmt.Sprintf("its segments of representation %s have other names", clip(a.id))
		}
	}
	return ""
}

// same says whether segments of one name have the same time. Two MPDs may be of different age:
// what only one of them has proves nothing.
func (t *template) same(u *template) bool {
	if t.media != u.media || t.initialization != u.initialization || t.scale != u.scale || t.offset != u.offset || (len(t.timeline) == 0) != (len(u.timeline) == 0) {
		return false
	}
	if len(t.timeline) == 0 {
		return t.duration == u.duration && t.number == u.number
	}
	numbered := strings.Contains(t.media, "$Number")
	a, b := t.places(), u.places()
	return consistent(a, b, numbered) && consistent(b, a, numbered)
}

// A place is a run with the number of its first segment.
type place struct {
	run
	number int64
}

func (t *template) places() (out []place) {
	number := t.number
	for _, r := range t.timeline {
		out = append(out, place{r, number})
		number += r.count
	}
	return out
}

// consistent says whether each run of a that is within one of b begins with a segment of b and,
// if segments are named by their numbers, with the same number.
func consistent(a, b []place, numbered bool) bool {
	for _, p := range a {
		after, _ := slices.BinarySearchFunc(b, p.at, func(q place, at int64) int { return cmp.Compare(q.at, at+1) })
		if after == 0 {
			continue
		}
		q := b[after-1]
		n := (p.at - q.at) / q.duration
		if q.count > 0 && n >= q.count {
			continue
		}
		if (p.at-q.at)%q.duration != 0 || numbered && p.number != q.number+n {
			return false
		}
	}
	return true
}
