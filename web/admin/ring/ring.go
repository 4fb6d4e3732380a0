// Package ring keeps numbers over time, for operators' plots: an hour, a day and a week
// of each series, in memory that is bounded whatever happens. A [Ring] is a state
// machine: it asks no clock and opens no file. [Ring.Encode] and [Decode] make it
// outlive a restart.
package ring

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"
)

// A Kind is what a series is of.
type Kind string

// The kinds of series.
const (
	Total  Kind = "total"  // listeners of the fleet; its one series has no name
	Node   Kind = "node"   // listeners at a node
	Region Kind = "region" // listeners from a region
	Mount  Kind = "mount"  // listeners of a mount
	Answer Kind = "answer" // answers of one form, per second
)

// A Key names a series.
type Key struct {
	Kind Kind
	Name string
}

// A Span is a resolution, and how far back it goes.
type Span int

// The spans.
const (
	Hour Span = iota
	Day
	Week
	numSpans = iota
)

// Interval is how often numbers are sampled: the step of the finest span.
const Interval = 10 * time.Second

// spans has the step and the number of steps of each span.
var spans = [numSpans]struct {
	step  int64 // seconds
	slots int64
}{{10, 360}, {120, 720}, {900, 672}}

// Step returns the time between two values.
func (s Span) Step() time.Duration { return time.Duration(spans[s].step) * time.Second }

// slot returns the number of the step in which a moment is, counted from 1970.
func (s Span) slot(at int64) int64 { return at / spans[s].step }

const (
	// MaxSeries bounds the series: with 1,752 values of 4 bytes each, all take 7 MB.
	MaxSeries = 1000
	// maxName bounds a series' name in bytes.
	maxName = 512
	// idle is how long a series must have had no value before a new one may take its
	// place when all places are taken.
	idle = int64(time.Hour / time.Second)
)

// A Ring holds the series. It is safe for concurrent use.
type Ring struct {
	mu     sync.Mutex
	at     int64 // of the newest sample, in seconds since 1970; 0: there is none
	series map[Key]*series
	left   int // series of the newest sample for which there was no place
}

type series struct {
	last   int64               // when it last had a value
	values [numSpans][]float32 // by slot modulo the number of slots; NaN: not known
	sum    [numSpans]float64   // of the values in the newest slot
	n      [numSpans]int       // how many these are
}

var gap = float32(math.NaN())

// New returns an empty Ring.
func New() *Ring { return &Ring{series: map[Key]*series{}} }

func newSeries() *series {
	s := new(series)
	for i := range s.values {
		s.values[i] = make([]float32, spans[i].slots)
		for j := range s.values[i] {
			s.values[i][j] = gap
		}
	}
	return s
}

// Sample adds values at a moment. A series without a value, or with NaN, has a gap there.
// Of several values in one step of a span, the mean is kept. A clock that is set back
// takes back what was sampled since: it is the older clock that was wrong, as far as
// anybody can say.
func (r *Ring) Sample(at time.Time, values map[Key]float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := at.Unix()
	if now <= 0 {
		return // before 1970: this clock says nothing
	}
	r.move(now)
	r.left = 0
	for key, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) || len(key.Name) > maxName {
			continue
		}
		s := r.series[key]
		if s == nil {
			if s = r.admit(key); s == nil {
				r.left++
				continue
			}
		}
		s.last = now
		for i := range spans {
			s.sum[i] += v
			s.n[i]++
			s.values[i][Span(i).slot(now)%spans[i].slots] = float32(s.sum[i] / float64(s.n[i]))
		}
	}
}

// move goes to the slots of now, and clears those in between. r.mu is held.
func (r *Ring) move(now int64) {
	for i, sp := range spans {
		from, to := Span(i).slot(r.at), Span(i).slot(now)
		if from == to {
			continue
		}
		// Forwards, the slots after the last one are old values; backwards, they are
		// what was sampled by the wrong clock.
		low, high := min(from, to)+1, max(from, to)
		low = max(low, high-sp.slots+1)
		for _, s := range r.series {
			s.sum[i], s.n[i] = 0, 0
			for slot := low; slot <= high; slot++ {
				s.values[i][slot%sp.slots] = gap
			}
		}
	}
	r.at = now
}

// admit makes a series, in the place of the one that has had no value for longest if all
// places are taken; nil: none is idle. r.mu is held.
func (r *Ring) admit(key Key) *series {
	if len(r.series) >= MaxSeries {
		var oldest Key
		last := r.at - idle
		for k, s := range r.series {
			if s.last < last {
				oldest, last = k, s.last
			}
		}
		if last == r.at-idle {
			return nil
		}
		delete(r.series, oldest)
	}
	s := newSeries()
	r.series[key] = s
	return s
}

// Left returns how many series of the newest sample were left out, for there are
// [MaxSeries] already.
func (r *Ring) Left() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left
}

// A Plot is the series of a kind over a span.
type Plot struct {
	Start  time.Time // of the first value
	Step   time.Duration
	Series []Series // by name
}

// Thin makes the steps so much longer that there are at most so many values: each is the
// mean of those that are known.
func (p *Plot) Thin(most int) {
	for len(p.Series) > 0 && len(p.Series[0].Values) > most {
		n := len(p.Series[0].Values)
		k := (n + most - 1) / most
		first := n % k
		for i := range p.Series {
			p.Series[i].Values = means(p.Series[i].Values[first:], k)
		}
		p.Start = p.Start.Add(time.Duration(first) * p.Step)
		p.Step *= time.Duration(k)
	}
}

// means returns the mean of each k values.
func means(values []float32, k int) []float32 {
	out := make([]float32, 0, len(values)/k)
	for group := range slices.Chunk(values, k) {
		sum, known := float32(0), 0
		for _, v := range group {
			if !math.IsNaN(float64(v)) {
				sum, known = sum+v, known+1
			}
		}
		mean := gap
		if known > 0 {
			mean = sum / float32(known)
		}
		out = append(out, mean)
	}
	return out
}

// A Series is one line of a plot.
type Series struct {
	Name   string
	Values []float32 // NaN: not known
}

// Plot returns the series of a kind that have a value in the span that ends at now. Its
// last step is the one that is under way.
func (r *Ring) Plot(kind Kind, span Span, now time.Time) Plot {
	r.mu.Lock()
	defer r.mu.Unlock()
	sp := spans[span]
	end := span.slot(max(now.Unix(), sp.step*sp.slots))
	newest := span.slot(r.at)
	first := end - sp.slots + 1
	p := Plot{Start: time.Unix(first*sp.step, 0).UTC(), Step: span.Step()}
	for key, s := range r.series {
		if key.Kind != kind {
			continue
		}
		out := Series{key.Name, make([]float32, sp.slots)}
		known := false
		for i := range out.Values {
			slot := first + int64(i)
			out.Values[i] = gap
			if slot <= newest && slot > newest-sp.slots {
				out.Values[i] = s.values[span][slot%sp.slots]
			}
			known = known || !math.IsNaN(float64(out.Values[i]))
		}
		if known {
			p.Series = append(p.Series, out)
		}
	}
	slices.SortFunc(p.Series, func(a, b Series) int { return cmp.Compare(a.Name, b.Name) })
	return p
}
