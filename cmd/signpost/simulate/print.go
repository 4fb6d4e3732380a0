package simulate

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
)

const (
	plotWidth  = 72
	plotHeight = 10
	maxEvents  = 16
	maxBroken  = 5
)

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%s at the most, %s until %s, %s\n\n", wording.Count(r.Listeners, "listener"), r.From, r.Until, wording.Count(r.Directors, "director"))
	if r.Replay != nil {
		r.Replay.print(w)
	}
	r.printPlot(w)
	r.printNodes(w)
	r.printRegions(w)
	r.printSums(w)
	r.printEvents(w)
	for _, remark := range r.Remarks {
		fmt.Fprintf(w, "note: %s\n", remark)
	}
	for i, b := range r.Broken {
		if i == maxBroken {
			fmt.Fprintf(w, "and %s more, see --json\n", wording.Count(len(r.Broken)-i, "promise"))
			break
		}
		fmt.Fprintf(w, "Signpost did not keep a promise (docs/simulation.md): %s at %s, %s: %s\n", b.Promise, b.At, b.About, b.Detail)
	}
	for _, l := range r.Limits {
		verdict := "holds"
		if l.Broken {
			verdict = "BROKEN"
		}
		fmt.Fprintf(w, "limit %s: %s of at most %s: %s\n", l.Name, percent(l.Value), percent(l.Most), verdict)
	}
}

// columns divides samples among the columns of a plot, and gives the mean of each.
func columns(all []int) []float64 {
	width := min(plotWidth, len(all))
	out := make([]float64, width)
	for c := range out {
		from, to := c*len(all)/width, (c+1)*len(all)/width
		for _, v := range all[from:to] {
			out[c] += float64(v) / float64(to-from)
		}
	}
	return out
}

// printPlot draws who listens, and above them who wants to and hears nothing.
func (r *Report) printPlot(w io.Writer) {
	listening, waiting := columns(r.Samples.Listening), columns(r.Samples.Waiting)
	top := 1.0
	for i := range listening {
		top = max(top, listening[i]+waiting[i])
	}
	label := len(fmt.Sprint(int(top)))
	fmt.Fprintf(w, "%*s  █ listening  ░ waiting for audio\n", label, "")
	for row := plotHeight; row > 0; row-- {
		var line strings.Builder
		for i := range listening {
			level := top * (float64(row) - 0.5) / plotHeight
			switch {
			case listening[i] >= level:
				line.WriteRune('█')
			case listening[i]+waiting[i] >= level:
				line.WriteRune('░')
			default:
				line.WriteByte(' ')
			}
		}
		mark := ""
		if row == plotHeight || row == plotHeight/2 {
			mark = fmt.Sprint(int(top * float64(row) / plotHeight))
		}
		fmt.Fprintf(w, "%*s ┤%s\n", label, mark, strings.TrimRight(line.String(), " "))
	}
	gap := max(1, len(listening)-len(r.From)-len(r.Until))
	fmt.Fprintf(w, "%*s ┴%s\n%*s  %s%*s%s\n\n", label, "0", strings.Repeat("─", len(listening)), label, "", r.From, gap, "", r.Until)
}

// spark draws numbers as one line of blocks, where most is the highest.
func spark(all []int, most int) string {
	const blocks = "▁▂▃▄▅▆▇█"
	runes := []rune(blocks)
	var b strings.Builder
	for i, v := range columns(all) {
		if i%2 == 1 {
			continue // half as wide as the plot
		}
		if v == 0 {
			b.WriteByte(' ')
			continue
		}
		b.WriteRune(runes[min(len(runes)-1, int(v/float64(max(1, most))*float64(len(runes))))])
	}
	return b.String()
}

func (r *Report) printNodes(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tSITE\tTARGET\tLIMIT\tMEAN\tMOST\tAT\tOF TARGET\tQUEUE\tSENT\tLISTENERS OVER TIME, AGAINST THE LIMIT")
	for _, n := range r.Nodes {
		load := "-"
		if n.Target > 0 {
			load = percent(part(n.Most, n.Target))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%d\t%d\t%s\n", n.ID, cmp.Or(n.Site, "-"), orDash(n.Target), orDash(n.Limit), n.Mean, n.Most, n.MostAt, load,
			n.Queue, n.Sent, spark(r.Samples.Nodes[n.ID], cmp.Or(n.Limit, n.Target, n.Most)))
	}
	t.Flush()
	fmt.Fprintln(w)
}

// print compares the regions and nodes as they were with how they would have been.
func (r *Replay) print(w io.Writer) {
	fmt.Fprintf(w, "%s of %s, as it was and as it would have been:\n\n", wording.Count(r.Requests, "request"), strings.Join(r.Records, ", "))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "REGION\tNODE\tSENT\t\tWOULD BE\t\tCHANGE")
	for _, region := range r.Regions {
		name, all := cmp.Or(string(region.ID), "(none)"), region.Refused
		for _, c := range region.Sent {
			all.Was, all.Would = all.Was+c.Was, all.Would+c.Would
		}
		line := func(node string, c Compared) {
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d\t%s\t%+d\n", name, node, c.Was, percent(part(c.Was, all.Was)), c.Would, percent(part(c.Would, all.Would)), c.Would-c.Was)
			name = ""
		}
		for _, n := range region.nodes() {
			line(string(n), region.Sent[n])
		}
		if region.Refused != (Compared{}) {
			line("(refused)", region.Refused)
		}
	}
	t.Flush()
	fmt.Fprintln(w)
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tSENT\tWOULD BE\tMEAN\tWOULD BE\tMOST\tWOULD BE")
	for _, n := range r.Nodes {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\n", n.ID, n.Sent.Was, n.Sent.Would, n.Mean.Was, n.Mean.Would, n.Most.Was, n.Most.Would)
	}
	t.Flush()
	fmt.Fprintln(w)
}

// nodes returns the nodes that a region's listeners were or would have been sent to, those
// with the most first.
func (r *ReplayRegion) nodes() []director.NodeID {
	return slices.SortedFunc(maps.Keys(r.Sent), func(a, b director.NodeID) int {
		x, y := r.Sent[a], r.Sent[b]
		return cmp.Or(cmp.Compare(max(y.Was, y.Would), max(x.Was, x.Would)), cmp.Compare(a, b))
	})
}

func orDash(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func (r *Report) printRegions(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "REGION\tSENT\tTO")
	for _, region := range r.Regions {
		all := 0
		for _, n := range region.Sent {
			all += n
		}
		var to []string
		nodes := slices.SortedFunc(maps.Keys(region.Sent), func(a, b director.NodeID) int {
			return cmp.Or(cmp.Compare(region.Sent[b], region.Sent[a]), cmp.Compare(a, b))
		})
		for _, n := range nodes {
			to = append(to, fmt.Sprintf("%s %s", n, percent(part(region.Sent[n], all))))
		}
		fmt.Fprintf(t, "%s\t%d\t%s\n", cmp.Or(string(region.ID), "(none)"), all, strings.Join(to, ", "))
	}
	t.Flush()
	fmt.Fprintln(w)
}

func (r *Report) printSums(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var outcomes []string
	for _, o := range director.Outcomes() {
		if n := r.Answers.Outcomes[o.String()]; n > 0 {
			outcomes = append(outcomes, fmt.Sprintf("%s %d", o, n))
		}
	}
	a := &r.Audio
	fmt.Fprintf(t, "requests\t%d: %s\n", r.Answers.Requests, cmp.Or(strings.Join(outcomes, ", "), "none answered"))
	fmt.Fprintf(t, "refused\t%s; unanswered %s\n", percent(measures["refused"].of(r)), percent(measures["unanswered"].of(r)))
	fmt.Fprintf(t, "no audio\t%s of attempts at nodes failed; %s gave up (%s)\n", percent(measures["failed"].of(r)), wording.Count(a.Lost, "listener"), percent(measures["lost"].of(r)))
	if a.MostSilent > 0 {
		again := "until the end"
		if a.CalmAgain != "" {
			again = "fewer than 1 in 200 from " + a.CalmAgain
		}
		fmt.Fprintf(t, "waiting\t%d at once at %s; %s\n", a.MostSilent, a.SilentAt, again)
	}
	fmt.Fprintf(t, "waits\t%s took more than 30 s, the longest %.0f s\n", percent(a.Late), a.LongestS)
	t.Flush()
	fmt.Fprintln(w)
}

func (r *Report) printEvents(w io.Writer) {
	for i, e := range r.Events {
		if i == maxEvents {
			fmt.Fprintf(w, "and %s more, see --json\n", wording.Count(len(r.Events)-i, "event"))
			break
		}
		fmt.Fprintf(w, "%s  %s\n", e.At, e.Text)
	}
	if len(r.Events) > 0 {
		fmt.Fprintln(w)
	}
}
