package admin

import (
	"cmp"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/web/admin/api"
	"github.com/signpost-fm/signpost/web/admin/ring"
)

// A sampler takes the samples of the plots. One goroutine uses it.
type sampler struct {
	step int64   // of the newest sample, in intervals since 1970
	last Traffic // then
	at   time.Time
}

// sample takes a sample if it is time for one.
func (a *API) sample() {
	now := a.cfg.Now()
	step := now.Unix() / int64(ring.Interval/time.Second)
	if step == a.sampler.step {
		return
	}
	a.cfg.Plots.Sample(now, a.values(now))
	a.sampler.step = step
}

// values returns what is known now. Whatever is not known is left out.
func (a *API) values(now time.Time) map[ring.Key]float64 {
	out := map[ring.Key]float64{}
	before, t := &a.sampler, a.cfg.Traffic()
	if s := now.Sub(before.at).Seconds(); !before.at.IsZero() && s > 0 {
		for answer, rate := range rates(before.last.Answers, t.Answers, s) {
			out[ring.Key{Kind: ring.Answer, Name: answer}] = rate
		}
	}
	before.last, before.at = t, now
	if a.cfg.Syncer == nil {
		return out
	}
	view, err := a.view()
	if err != nil {
		return out
	}
	d := a.describer(view, 0)
	total, known := 0, false
	for n := range view.Nodes() {
		st := view.Node(n)
		if !d.told(&st.Report, d.registered[st.ID]) {
			continue
		}
		used := d.Live.Used(n)
		total, known = total+used, true
		out[ring.Key{Kind: ring.Node, Name: string(st.ID)}] = float64(used)
	}
	if !known {
		return out
	}
	out[ring.Key{Kind: ring.Total}] = float64(total)
	for region, n := range view.Demand(a.cfg.Mix).Regions() {
		out[ring.Key{Kind: ring.Region, Name: string(region)}] = float64(n)
	}
	mounts, err := a.Mounts()
	if err != nil {
		return out
	}
	for _, m := range mounts.Mounts {
		if m.Counted {
			out[ring.Key{Kind: ring.Mount, Name: m.Name}] = float64(m.Listeners)
		}
	}
	return out
}

const (
	defaultSeries = 6
	allSeries     = ring.MaxSeries
)

var (
	plotKinds = []ring.Kind{ring.Total, ring.Node, ring.Region, ring.Mount, ring.Answer}
	plotSpans = map[string]ring.Span{"hour": ring.Hour, "day": ring.Day, "week": ring.Week}
)

// Plots answers the query of a GET /api/v1/plots. Its error is a *[api.Problem].
func (a *API) Plots(query url.Values) (api.PlotsAnswer, error) {
	out := api.PlotsAnswer{By: cmp.Or(query.Get("by"), string(ring.Total)), Span: cmp.Or(query.Get("span"), "hour"), Series: []api.PlotSeries{}}
	kind := ring.Kind(out.By)
	if !slices.Contains(plotKinds, kind) {
		return out, problem(http.StatusBadRequest, "by: say total, node, region, mount or answer")
	}
	span, ok := plotSpans[out.Span]
	if !ok {
		return out, problem(http.StatusBadRequest, "span: say hour, day or week")
	}
	most, err := atMost(query.Get("most"))
	if err != nil {
		return out, problem(http.StatusBadRequest, err.Error())
	}
	points, err := atMost(cmp.Or(query.Get("points"), strconv.Itoa(allSeries)))
	if err != nil {
		return out, problem(http.StatusBadRequest, "points: give how many values are enough, 1 to "+strconv.Itoa(allSeries))
	}
	p := a.cfg.Plots.Plot(kind, span, a.cfg.Now())
	p.Thin(points)
	out.Start, out.StepS, out.Reckoned = p.Start, int(p.Step/time.Second), kind == ring.Region
	names := query["name"]
	lines := slices.DeleteFunc(p.Series, func(s ring.Series) bool { return len(names) > 0 && !slices.Contains(names, s.Name) })
	slices.SortStableFunc(lines, func(a, b ring.Series) int { return cmp.Compare(sum(b.Values), sum(a.Values)) })
	rest := lines[min(most, len(lines)):]
	for _, s := range lines[:len(lines)-len(rest)] {
		out.Series = append(out.Series, api.PlotSeries{Name: s.Name, Values: pointers(s.Values)})
	}
	if out.Others = len(rest); out.Others > 0 {
		out.Series = append(out.Series, api.PlotSeries{Values: pointers(together(rest))})
	}
	return out, nil
}

func atMost(s string) (int, error) {
	if s == "" {
		return defaultSeries, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > allSeries {
		return 0, errors.New("most: give how many series are shown one by one, 1 to " + strconv.Itoa(allSeries))
	}
	return n, nil
}

// sum adds up what is known.
func sum(values []float32) (all float64) {
	for _, v := range values {
		if !math.IsNaN(float64(v)) {
			all += float64(v)
		}
	}
	return all
}

// together adds series up. Where one of them is not known, the others count; where none
// is, the sum is not known either.
func together(lines []ring.Series) []float32 {
	out := slices.Clone(lines[0].Values)
	for _, s := range lines[1:] {
		for i, v := range s.Values {
			switch {
			case math.IsNaN(float64(v)):
			case math.IsNaN(float64(out[i])):
				out[i] = v
			default:
				out[i] += v
			}
		}
	}
	return out
}

// pointers makes JSON's null of what is not known. Rates keep one decimal.
func pointers(values []float32) []*float64 {
	out := make([]*float64, len(values))
	for i, v := range values {
		if !math.IsNaN(float64(v)) {
			out[i] = new(math.Round(float64(v)*10) / 10)
		}
	}
	return out
}

func (a *API) getPlots(ctx echo.Context) error {
	out, err := a.Plots(ctx.QueryParams())
	if err != nil {
		return err
	}
	return ctx.JSON(http.StatusOK, out) // on one line: it has thousands of values
}
