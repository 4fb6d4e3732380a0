package dashboard_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

// noticed is the longest that a page may keep somebody waiting who types: beyond
// 100 ms people notice it (R. Miller, 1968). It is of the processor's time.
const noticed = 100 * time.Millisecond

// What 200 nodes that all change each second cost is so little that nobody notices.
func TestNewsCostLittle(t *testing.T) {
	t.Parallel()
	config, reports := large()
	r := play(t, config, reports)
	b := browsertest.Start(t)
	b.Go(r.URL + "/")
	b.Await("the first news", live)
	const news = 4
	w := b.Trace(func() {
		browsertest.Eval[bool](b, `new Promise((enough) => {
			let news = 0;
			new MutationObserver(() => { if (++news === `+strconv.Itoa(news)+`) enough(true); })
				.observe(document.querySelector('#sum [data-f="used"]'), {childList: true, characterData: true, subtree: true});
		})`)
	})
	t.Logf("news of 200 nodes: %v of a processor each second; the longest of %d tasks %v", w.Total/news, w.Tasks, w.Longest)
	if w.Longest > noticed {
		t.Errorf("the page answers nobody for %v", w.Longest)
	}
	noFaults(t, b)
}

// Typing in a matrix of 200 nodes and 30 regions never stutters, while news come in
// and what would happen is shown.
func TestTypingNeverStutters(t *testing.T) {
	t.Parallel()
	config, reports := large()
	r := play(t, config, reports)
	b := browsertest.Start(t)
	b.Go(r.URL + "/weights")
	b.Await("the first news", live)
	browsertest.Eval[chromedp.Void](b, `document.querySelector('#matrix tbody td').focus()`)
	const cells, keys = 12, 3 * 12
	w := b.Trace(func() {
		for i := range cells {
			b.Press(strconv.Itoa(10 + i))
			b.Press(kb.Enter)
			if i%6 == 5 {
				b.Press(kb.ArrowRight)
			}
		}
		b.Await("what would happen", `document.querySelector('[data-part="verdict"] .say')`)
	})
	t.Logf("%d keys in a matrix of 6,000 cells: %v of a processor each, news and previews included; the longest of %d tasks %v", keys, w.Total/keys, w.Tasks, w.Longest)
	if w.Longest > noticed {
		t.Errorf("the page answers nobody for %v", w.Longest)
	}
	if got := browsertest.Eval[string](b, `[...document.querySelectorAll('#matrix td b')].map((b) => b.textContent).join()`); len(got) != len("10,")*cells-1 {
		t.Errorf("the cells say %s, want %d weights: what was typed was lost", got, cells)
	}
	noFaults(t, b)
}

func noFaults(t *testing.T, b *browsertest.Tab) {
	t.Helper()
	if faults := b.Faults(); len(faults) > 0 {
		t.Errorf("on the console: %q", faults)
	}
}
