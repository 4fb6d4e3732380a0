package dashboard

import (
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Formats of numbers and times. The ES modules have the same ones: a test compares
// them.

var functions = template.FuncMap{
	"count": count[int], "hits": count[uint64], "mbit": mbit, "ago": func(t time.Time) string { return ago(t, time.Now()) },
	"rfc": rfc, "clock": clock, "join": joined[director.NodeID], "urlpath": url.PathEscape,
	"inc": func(i int) int { return i + 1 }, "title": title, "wording": wording, "bar": newBar, "nodebar": nodeBar,
	"listeners": listeners, "sends": sends,
	"rate": rate, "percent": percent, "number": number,
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// count formats 1234567 as 1,234,567.
func count[N int | uint64](n N) string {
	s := fmt.Sprint(n)
	digits := strings.TrimPrefix(s, "-")
	var b strings.Builder
	b.WriteString(s[:len(s)-len(digits)])
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// mbit formats kbit/s as Mbit/s: 1.5, or 1,200.
func mbit(kbit float64) string { return rate(kbit / 1000) }

// rate formats a number per second: 1.5, or 1,200.
func rate(n float64) string {
	if n >= 99.95 {
		return count(int(math.Round(n)))
	}
	return strconv.FormatFloat(n, 'f', 1, 64)
}

// percent formats a part 0..1 as whole percent, and as "<1" if it is less than 1 % but not 0.
func percent(part float64) string {
	if part > 0 && part < .01 {
		return "<1"
	}
	return strconv.Itoa(int(math.Round(part * 100)))
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// ago formats how long ago t was: "just now", "40 s", "3 h". The zero time is "".
func ago(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := max(0, now.Sub(t))
	for _, u := range []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}} {
		if d >= u.size {
			return fmt.Sprintf("%d %s", d/u.size, u.name)
		}
	}
	if d < 10*time.Second {
		return "just now"
	}
	return fmt.Sprintf("%d s", d/(10*time.Second)*10)
}

func rfc(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// joined formats a list of names, six at most.
func joined[S ~string](names []S) string {
	const enough = 6
	parts := make([]string, 0, enough+1)
	for i, n := range names {
		if i == enough {
			parts = append(parts, fmt.Sprintf("and %d more", len(names)-enough))
			break
		}
		parts = append(parts, string(n))
	}
	return strings.Join(parts, ", ")
}

// A bar shows listeners against target and limit, in percent of its width.
type bar struct {
	Class             string // "w": at target, "b": at limit
	Used, Route, Tick string
}

func newBar(used, enRoute, target, limit int) bar {
	whole := float64(limit)
	if limit == 0 {
		whole = float64(target) * 1.25
	}
	whole = max(whole, float64(used))
	if whole == 0 {
		whole = 1
	}
	part := func(n int) float64 { return math.Round(float64(n)/whole*1000) / 10 }
	settled := part(max(0, used-enRoute))
	b := bar{Used: number(settled), Route: number(math.Round((part(used)-settled)*10) / 10)}
	if target > 0 {
		b.Tick = number(part(target))
	}
	switch {
	case limit > 0 && used >= limit:
		b.Class = " b"
	case target > 0 && used >= target:
		b.Class = " w"
	}
	return b
}
