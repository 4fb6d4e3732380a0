package dashboard_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

// What 200 nodes that all change each second cost is so little that nobody notices
// beside what the page costs when it is opened.
func TestNewsCostLittle(t *testing.T) {
	t.Parallel()
	full(t)
	config, reports := large(200, 30)
	r := play(t, config, reports)
	b := browsertest.Start(t)
	opened := b.Trace(func() {
		b.Go(r.URL + "/")
		b.Await("the first news", live)
	})
	const news = 4
	w := b.Trace(func() {
		browsertest.Eval[bool](b, `new Promise((enough) => {
			let news = 0;
			new MutationObserver(() => { if (++news === `+strconv.Itoa(news)+`) enough(true); })
				.observe(document.querySelector('#sum [data-f="used"]'), {childList: true, characterData: true, subtree: true});
		})`)
	})
	t.Logf("news of 200 nodes: %v of a processor each second; the longest of %d tasks %v", w.Total/news, w.Tasks, w.Longest)
	neverStutters(t, opened, w)
	noFaults(t, b)
}

// Typing in a matrix loses nothing while news come in and what would happen is shown.
// At full size it has 200 nodes and 30 regions, and typing never stutters.
func TestTyping(t *testing.T) {
	t.Parallel()
	config, reports := large(40, 15) // more rows than are typed into
	if soaking {
		config, reports = large(200, 30)
	}
	r := play(t, config, reports)
	b := browsertest.Start(t)
	open := func() {
		b.Go(r.URL + "/weights")
		b.Await("the first news", live)
		browsertest.Eval[chromedp.Void](b, `document.querySelector('#matrix tbody td').focus()`)
	}
	const cells, keys = 12, 3 * 12
	typing := func() {
		for i := range cells {
			b.Press(strconv.Itoa(10 + i))
			b.Press(kb.Enter)
			if i%6 == 5 {
				b.Press(kb.ArrowRight)
			}
		}
		b.Await("what would happen", `document.querySelector('[data-part="verdict"] .say')`)
	}
	if soaking {
		opened := b.Trace(open)
		w := b.Trace(typing)
		t.Logf("%d keys in a matrix of 6,000 cells: %v of a processor each, news and previews included; the longest of %d tasks %v", keys, w.Total/keys, w.Tasks, w.Longest)
		neverStutters(t, opened, w)
	} else {
		open()
		typing()
	}
	if got := browsertest.Eval[string](b, `[...document.querySelectorAll('#matrix td b')].map((b) => b.textContent).join()`); len(got) != len("10,")*cells-1 {
		t.Errorf("the cells say %s, want %d weights: what was typed was lost", got, cells)
	}
	noFaults(t, b)
}

// soaking says whether tests run at their full size.
var soaking = os.Getenv("SIGNPOST_SOAK") != ""

func full(t *testing.T) {
	t.Helper()
	if !soaking {
		t.Skip("SIGNPOST_SOAK=1 runs it")
	}
}

// neverStutters fails if one task takes nearly as long as the longest when the page was
// opened, which people wait for. It takes a third.
func neverStutters(t *testing.T, opened, w browsertest.Work) {
	t.Helper()
	ratio := w.Longest.Seconds() / opened.Longest.Seconds()
	t.Logf("to open the page took %v in %d tasks, the longest %v: the longest of these is %.2f of that", opened.Total, opened.Tasks, opened.Longest, ratio)
	if ratio > .75 {
		t.Errorf("the page answers nobody for %v", w.Longest)
	}
}

func noFaults(t *testing.T, b *browsertest.Tab) {
	t.Helper()
	if faults := b.Faults(); len(faults) > 0 {
		t.Errorf("on the console: %q", faults)
	}
}
