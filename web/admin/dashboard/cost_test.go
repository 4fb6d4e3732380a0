package dashboard_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

// observe has the browser keep its own account of a page: tasks of more than 50 ms,
// and how long it took from a key to the next picture.
const observe = `
window.tasks = []; window.keys = [];
new PerformanceObserver((l) => tasks.push(...l.getEntries().map((e) => e.duration))).observe({type: 'longtask'});
new PerformanceObserver((l) => keys.push(...l.getEntries().filter((e) => e.name === 'keydown' || e.name === 'input').map((e) => e.duration)))
  .observe({type: 'event', durationThreshold: 16});
`

// spent is how many seconds the page's thread has worked so far, by what for.
func spent(t *testing.T, b *browsertest.Tab) map[string]float64 {
	t.Helper()
	got := browsertest.Call(b, performance.GetMetrics, cdp.Empty{})
	out := map[string]float64{}
	for _, m := range got.Metrics {
		out[m.Name] = m.Value
	}
	return out
}

func largest(of []float64) float64 {
	if len(of) == 0 {
		return 0
	}
	return slices.Max(of)
}

// With 200 nodes that all change each second, and 30 regions, what comes in must
// cost so little that nobody notices it while typing.
func TestNewsCostLittle(t *testing.T) {
	config, reports := large()
	r := play(t, config, reports)
	b := browsertest.Start(t)
	browsertest.Call(b, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks})

	t.Run("fleet", func(t *testing.T) {
		b.Go(r.URL + "/")
		b.Await("news", `document.body.dataset.live === 'live'`)
		browsertest.Eval[chromedp.Void](b, observe+`
window.news = 0;
new MutationObserver(() => news++).observe(document.querySelector('#sum [data-f="used"]'), {childList: true, characterData: true, subtree: true}); 0`)
		before := spent(t, b)
		browsertest.Eval[bool](b, `new Promise((enough) => setInterval(() => news >= 5 && enough(true), 100))`)
		after := spent(t, b)
		long := browsertest.Eval[[]float64](b, "tasks")
		each := (after["TaskDuration"] - before["TaskDuration"]) / 5 * 1000
		t.Logf("each second's news of 200 nodes: %.1f ms of the page's thread (script %.1f ms, style and layout %.1f ms); %d tasks above 50 ms, the longest %.0f ms",
			each, (after["ScriptDuration"]-before["ScriptDuration"])/5*1000,
			(after["LayoutDuration"]-before["LayoutDuration"]+after["RecalcStyleDuration"]-before["RecalcStyleDuration"])/5*1000, len(long), largest(long))
		if each > 150 {
			t.Errorf("each second's news cost %.0f ms", each)
		}
	})

	t.Run("weights", func(t *testing.T) {
		b.Go(r.URL + "/weights")
		b.Await("news", `document.body.dataset.live === 'live'`)
		browsertest.Eval[chromedp.Void](b, observe+`document.querySelector('#matrix tbody td').focus(); 0`)
		before := spent(t, b)
		const cells = 24
		for i := range cells {
			b.Press(strconv.Itoa(10 + i))
			b.Press(kb.Enter)
			if i%12 == 11 {
				b.Press(kb.ArrowRight)
			}
		}
		b.Await("what would happen", `document.querySelector('[data-part="verdict"] .say')`)
		after := spent(t, b)
		long, keys := browsertest.Eval[[]float64](b, "tasks"), browsertest.Eval[[]float64](b, "keys")
		slices.Sort(keys)
		middle := 0.0
		if len(keys) > 0 {
			middle = keys[len(keys)/2]
		}
		each := func(what string) float64 { return (after[what] - before[what]) / (3 * cells) * 1000 }
		t.Logf("%d keys in a matrix of 6,000 cells: %d took more than 16 ms to the next picture, half of these less than %.0f ms, the slowest %.0f ms; the page's thread worked %.0f ms a key (script %.1f ms, style %.1f ms, layout %.1f ms); %d tasks above 50 ms, the longest %.0f ms",
			3*cells, len(keys), middle, largest(keys), each("TaskDuration"), each("ScriptDuration"), each("RecalcStyleDuration"), each("LayoutDuration"), len(long), largest(long))
		if middle > 100 {
			t.Errorf("typing stutters: half of the slower keys take more than %.0f ms", middle)
		}
		got := browsertest.Eval[string](b, `document.querySelector('#matrix tbody td b').textContent`)
		if got != "10" {
			t.Errorf("the first cell says %q, want 10: what was typed was lost", got)
		}
	})
	if faults := b.Faults(); len(faults) > 0 {
		t.Errorf("on the console: %q", faults)
	}
}
