package dashboard_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

// A browser has six connections to a director without TLS. Tabs that nobody looks at
// leave them to the one that is worked in, and are up to date when they are looked at.
func TestHiddenTabsHoldNothing(t *testing.T) {
	t.Parallel()
	r := operated(t)
	first := browsertest.Start(t)
	b := first
	for i := range 7 {
		if i > 0 {
			b.Cover()
			b = first.Beside()
		}
		b.As(browsertest.Looks["1440-light"])
		b.Go(r.URL + "/")
		b.Await("it is live", live)
	}
	b.ClickOn(`document.querySelector('#nodes tr[data-id=ams1] [data-do=drain]')`)
	b.Await("it is asked", `document.querySelector('#ask').open`)
	b.Press(kb.Enter)
	b.Await("it is done", `/ams1: drained/.test(document.querySelector('#toast').textContent)`)
	b.Cover()

	if got := browsertest.Eval[string](first, `document.querySelector('#nodes tr[data-id=ams1] .state').textContent`); got != "fit" {
		t.Errorf("a hidden tab says that ams1 is %s: it follows what happens", got)
	}
	first.Uncover()
	first.Await("it is live again", live)
	first.Await("it shows what was changed", `document.querySelector('#nodes tr[data-id=ams1] .state').textContent === 'drained'`)
	noFaults(t, first)
	noFaults(t, b)
}

// What was not looked at is a gap, and nothing is said of it.
func TestGapsStayGaps(t *testing.T) {
	t.Parallel()
	b := browsertest.Start(t)
	b.As(browsertest.Looks["1440-light"])
	b.Go(operated(t).URL + "/login")
	browsertest.Eval[chromedp.Void](b, remember)
	browsertest.Eval[chromedp.Void](b, `for (const of of ['traffic', 'trends']) {
		const {at, value} = JSON.parse(sessionStorage.getItem(of));
		for (const row of of === 'traffic' ? [value] : Object.values(value)) row.fill(null, 40, 80);
		sessionStorage.setItem(of, JSON.stringify({at, value}));
	}`)
	b.Go(strings.TrimSuffix(browsertest.Eval[string](b, `location.href`), "login"))
	b.Await("it is live", live)
	b.Await("a trend has two parts", `document.querySelector('#nodes tr[data-id=ams1] .spark path[d]')?.getAttribute('d').match(/M/g)?.length === 2`)
	b.Await("what is between them is no sample", `Number(document.querySelector('.legend tbody td:last-child').textContent) > 50`)
	b.Screenshot("gaps")
	got := browsertest.Eval[[]int](b, `import(document.querySelector('script').src.replace('dashboard.js', 'live.js')).then(({missed}) =>
		[1000, 2900, 61000, 9e9].map((ms) => missed(performance.now() - ms, 1000, 300).length))`)
	if got[0] != 0 || got[1] != 0 || got[2] != 60 || got[3] != 300 {
		t.Errorf("after 1 s, 2.9 s, 61 s and very long there are %d samples missing, want 0, 0, 60, 300", got)
	}
	noFaults(t, b)
}

// A director that does not answer is told of, and nobody waits for good.
func TestSilenceIsTold(t *testing.T) {
	t.Parallel()
	b := browsertest.Start(t)
	b.As(browsertest.Looks["1440-light"])
	b.Go(operated(t).URL + "/")
	b.Await("it is live", live)
	browsertest.Eval[chromedp.Void](b, `{
		const timeout = AbortSignal.timeout.bind(AbortSignal);
		AbortSignal.timeout = (ms) => timeout(ms / 100);
		window.fetch = (_, {signal}) => new Promise((_, refuse) => signal.addEventListener('abort', () => refuse(signal.reason)));
	}`)
	b.ClickOn(`document.querySelector('#nodes tr[data-id=ams1] [data-do=drain]')`)
	b.Await("it is asked", `document.querySelector('#ask').open`)
	b.Press(kb.Enter)
	b.Await("it is said", `/has not answered for 15 s/.test(document.querySelector('#toast').textContent)`)
	noFaults(t, b)
}
