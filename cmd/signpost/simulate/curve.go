package simulate

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director/sim"
	"github.com/signpost-fm/signpost/director/wording"
)

// A Clock is a time of the day, since midnight; 24:00 is the end of the day.
type Clock time.Duration

// UnmarshalText reads "20:05" or "20:05:30".
func (c *Clock) UnmarshalText(b []byte) error {
	d, ok := parseClock(string(b))
	if !ok {
		return fmt.Errorf("%q is not a time of the day; write one such as 20:05", b)
	}
	*c = Clock(d)
	return nil
}

// String writes the time as "20:05", with seconds where there are any. Days after the first
// are counted: "01:00+1".
func (c Clock) String() string {
	d := time.Duration(c).Round(time.Second)
	days := d / (24 * time.Hour)
	if days > 0 && d%(24*time.Hour) == 0 {
		days--
	}
	d -= days * 24 * time.Hour
	s := fmt.Sprintf("%02d:%02d", d/time.Hour, d/time.Minute%60)
	if d%time.Minute != 0 {
		s += fmt.Sprintf(":%02d", d/time.Second%60)
	}
	if days > 0 {
		s += fmt.Sprintf("+%d", days)
	}
	return s
}

func parseClock(s string) (time.Duration, bool) {
	parts := strings.Split(strings.TrimSpace(s), ":")
	if len(parts) < 2 || len(parts) > 3 {
		return 0, false
	}
	var d time.Duration
	for i, unit := range []time.Duration{time.Hour, time.Minute, time.Second}[:len(parts)] {
		n, err := strconv.ParseUint(parts[i], 10, 8)
		if err != nil || len(parts[i]) > 2 || i > 0 && n > 59 {
			return 0, false
		}
		d += time.Duration(n) * unit
	}
	return d, d <= 24*time.Hour
}

// A Day is how many listen over time. The curve's times are since midnight of its first day.
type Day struct {
	Curve sim.Curve
	Peak  float64 // the highest value as it was given
}

// Days lists the names of the curves that come with Signpost.
func Days() []string { return []string{"morning-show", "match-night", "breaking-news"} }

// builtIn are the curves by hour and value. They are shapes, drawn by what stations
// publish of their days, and not measured ones.
var builtIn = map[string][][2]float64{
	"morning-show": {
		{0, 0.10}, {3, 0.05}, {5, 0.18}, {6, 0.55}, {7, 0.95}, {7.5, 1}, {8.5, 0.95}, {9.5, 0.70}, {12, 0.50}, {14, 0.42},
		{16.5, 0.55}, {18, 0.45}, {20, 0.25}, {22, 0.18}, {24, 0.10},
	},
	"match-night": {
		{0, 0.06}, {4, 0.03}, {7, 0.22}, {9, 0.25}, {16, 0.25}, {19, 0.35}, {20, 0.55}, {20.75, 0.95}, {21, 1}, {21.5, 0.97},
		{21.6, 0.80}, {21.8, 0.82}, {21.85, 0.98}, {22.6, 1}, {22.7, 0.85}, {23, 0.35}, {24, 0.10},
	},
	"breaking-news": {
		{0, 0.05}, {4, 0.03}, {7, 0.25}, {9, 0.22}, {16.9, 0.20}, {17, 0.22}, {17.05, 0.45}, {17.25, 0.90}, {17.5, 1}, {18.5, 0.95},
		{20, 0.75}, {22, 0.45}, {24, 0.20},
	},
}

// ReadDay returns a curve by its name, or from a CSV file.
func ReadDay(name string) (Day, error) {
	if points, ok := builtIn[name]; ok {
		d := Day{Peak: 1}
		for _, p := range points {
			d.Curve = append(d.Curve, sim.Point{At: time.Duration(p[0] * float64(time.Hour)).Round(time.Second), Value: p[1]})
		}
		return d, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return Day{}, fmt.Errorf("%s: %s; name a CSV file, or one of %s", name, wording.Text(reason(err)), strings.Join(Days(), ", "))
	}
	defer f.Close()
	return parseDay(name, f)
}

// reason is what an error of a file is, without the file's name.
func reason(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// parseDay reads lines of a time and a number of listeners in any unit: "20:05,0.8". The
// first line may have headings. Values are scaled so that the highest is 1.
func parseDay(name string, from io.Reader) (Day, error) {
	r := csv.NewReader(from)
	r.Comment, r.FieldsPerRecord, r.TrimLeadingSpace = '#', -1, true
	var d Day
	var lines []int
	var midnight time.Time
	for first := true; ; first = false {
		fields, err := r.Read()
		if err == io.EOF {
			break
		}
		var wrong *csv.ParseError
		switch {
		case errors.As(err, &wrong):
			return Day{}, fmt.Errorf("%s:%d: %w; write a time and a number a line, as in 20:05,0.8", name, wrong.Line, wrong.Err)
		case err != nil:
			return Day{}, fmt.Errorf("%s: %w", name, reason(err))
		}
		line, _ := r.FieldPos(0)
		fail := func(format string, args ...any) (Day, error) {
			return Day{}, fmt.Errorf("%s:%d: %s", name, line, fmt.Sprintf(format, args...))
		}
		at, ok := parseTime(fields[0], &midnight)
		switch {
		case !ok && first:
			continue // headings
		case !ok:
			return fail("%q is not a time; write one such as 20:05, or 2026-06-01 20:05", fields[0])
		case len(fields) != 2:
			return fail("%s instead of 2; write a time and a number, as in 20:05,0.8", wording.Count(len(fields), "field"))
		case strings.TrimSpace(fields[1]) == "":
			return fail("%s has no value: the curve has a gap; fill it in, or take the line out if its neighbours are as far from each other as the others", fields[0])
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(fields[1]), 64)
		if err != nil || !(value >= 0 && value < 1e12) {
			return fail("%q is not a number of 0 or more", fields[1])
		}
		if n := len(d.Curve); n > 0 && at <= d.Curve[n-1].At {
			return fail("%s is not after the line before it; sort the lines by time, and give dates if they pass midnight", fields[0])
		}
		d.Curve = append(d.Curve, sim.Point{At: at, Value: value})
		d.Peak = max(d.Peak, value)
		lines = append(lines, line)
	}
	switch {
	case len(d.Curve) < 2:
		return Day{}, fmt.Errorf("%s: a curve needs two lines or more, each with a time and a number, as in 20:05,0.8", name)
	case d.Peak == 0:
		return Day{}, fmt.Errorf("%s: nobody ever listens: all values are 0", name)
	}
	if i, usual := gap(d.Curve); i > 0 {
		return Day{}, fmt.Errorf("%s:%d: nothing between %s and %s, while the other lines are %s apart: the curve has a gap; add the lines that are missing",
			name, lines[i], Clock(d.Curve[i-1].At), Clock(d.Curve[i].At), usual)
	}
	for i := range d.Curve {
		d.Curve[i].Value /= d.Peak
	}
	return d, nil
}

// parseTime reads a time of the day, or a date and time; those count from the midnight
// before the first, which is noted in midnight.
func parseTime(s string, midnight *time.Time) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	if at, ok := parseClock(s); ok {
		return at, midnight.IsZero()
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04"} {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if midnight.IsZero() {
			*midnight = time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
		}
		return t.Sub(*midnight), true
	}
	return 0, false
}

// gap returns the first point that is further than one and a half of the usual intervals
// from the one before it; 0: none. The usual interval is the median.
func gap(c sim.Curve) (int, time.Duration) {
	var steps []time.Duration
	for i := range c[1:] {
		steps = append(steps, c[i+1].At-c[i].At)
	}
	slices.Sort(steps)
	usual := steps[len(steps)/2]
	for i := range c[1:] {
		if c[i+1].At-c[i].At > usual*3/2 {
			return i + 1, usual
		}
	}
	return 0, usual
}
