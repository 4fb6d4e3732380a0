package dashboard_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/signpost-fm/signpost/web/admin/dashboard"
	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

// remember gives the page a past that a test has no time to wait for.
const remember = `(() => {
	const past = Array.from({length: 290}, (_, i) => {
		const wave = (at, by, period) => at + by * Math.sin((i + by) / period) + by * .2 * Math.sin(i * 1.7) * Math.sin(i * .37 + at);
		return {
			answers: {redirect: wave(62, 9, 40), m3u: wave(9, 2, 17), pls: wave(3, 1, 23), proxy: wave(6, 2, 31), json: wave(4, 1, 11)},
			nodes: {fra1: wave(28, 6, 40), ams1: wave(20, 4, 35), ams2: wave(12, 3, 30), nyc1: wave(14, 4, 50), waw1: wave(6, 2, 27), sao1: wave(4, 1, 20), sgp1: wave(1, 0, 9)},
			regions: {de: wave(38, 6, 40), nl: wave(20, 4, 35), europe: wave(9, 3, 30), americas: wave(14, 4, 50), telekom: wave(3, 1, 20)},
		};
	});
	const trends = Object.fromEntries(['fra1', 'fra2', 'ams1', 'ams2', 'waw1', 'nyc1', 'nyc2', 'sao1', 'sgp1'].map((id, n) =>
		[id, Array.from({length: 120}, (_, i) => Math.round(id === 'nyc2' ? Math.max(0, (70 - i) * 40) : id === 'fra2' ? 8000 - i * 15 : 4000 + 600 * Math.sin(i / (14 + 2 * n)) + i * (n - 3) * 2))]));
	sessionStorage.setItem('traffic', JSON.stringify({at: Date.now(), value: past}));
	sessionStorage.setItem('trends', JSON.stringify({at: Date.now(), value: trends}));
})()`

const live = `document.body.dataset.live === 'live'`

// Every page, as every look has it. Somebody should look at the pictures.
func TestLooks(t *testing.T) {
	t.Parallel()
	r := operated(t)
	for page, path := range map[string]string{
		"fleet": "/", "clients": "/clients", "mounts": "/mounts", "history": "/history", "weights": "/weights",
		"explain": "/explain?addr=91.0.0.1&mount=/live.mp3&ua=VLC/3.0.18",
	} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			b := browsertest.Start(t)
			for _, name := range slices.Sorted(maps.Keys(browsertest.Looks)) {
				b.As(browsertest.Looks[name])
				b.Go(r.URL + "/login")
				if page == "fleet" {
					b.Screenshot("login-" + name)
				}
				browsertest.Eval[chromedp.Void](b, remember)
				b.Go(r.URL + path)
				b.Await(page+" is live", live)
				if page == "weights" {
					typeWeights(b)
				}
				b.Screenshot(page + "-" + name)
				if page == "weights" {
					browsertest.Eval[chromedp.Void](b, `document.querySelector('[data-discard]').click()`)
					b.Await("nothing is left to save", `!document.querySelector('#save')`)
				}
			}
			if page == "fleet" {
				b.ClickOn(`document.querySelector('#nodes tr[data-id=ams1] [data-do=drain]')`)
				b.Await("what would happen", `document.querySelector('#ask [data-preview] .say')`)
				b.Screenshot("ask-390-light")
			}
			noFaults(t, b)
		})
	}
}

// typeWeights has the page of weights show what would happen.
func typeWeights(b *browsertest.Tab) {
	for node, weight := range map[string]string{"fra1": "1", "ams2": "4"} {
		b.ClickOn(fmt.Sprintf(`document.querySelector('#matrix tr[data-region=de]').cells[document.querySelector('#matrix th[data-node=%s]').cellIndex]`, node))
		b.Press(weight + kb.Enter)
	}
	b.Await("what would happen", `document.querySelector('[data-part="nodes"] table') && /ams2 17 → 57/.test(document.querySelector('[data-part="shares"]').textContent)`)
}

// The page is written by Go first and brought up to date by JavaScript: both must say
// the same of the same.
func TestBothHalvesSayTheSame(t *testing.T) {
	t.Parallel()
	r := operated(t)
	b := browsertest.Start(t)
	b.As(browsertest.Look{Width: 1440, Height: 1600}) // rows out of sight are left as they are
	b.Go(r.URL + "/")
	b.Await("it is live", live)
	b.Await("rows are brought up to date", `document.querySelectorAll('#nodes .spark path[d]').length === 9`)
	const words = `(table) => [...table.querySelectorAll('tbody tr')].map((tr) => [...tr.cells].filter((c) => !c.matches('.trend'))
		.map((c) => c.innerHTML.replace(/[\d,.]+/g, '#').replace(/ title="[^"]*"| datetime="[^"]*"|>(# (s|min|h|d)|just now)</g, '').trim()).join('|'))`
	was := browsertest.Eval[[]string](b, `fetch('/').then((r) => r.text()).then((page) => (`+words+`)(new DOMParser().parseFromString(page, 'text/html').querySelector('#nodes')))`)
	is := browsertest.Eval[[]string](b, `(`+words+`)(document.querySelector('#nodes'))`)
	for i := range was {
		if was[i] != is[i] {
			t.Errorf("from the server:\n%s\nbrought up to date:\n%s", was[i], is[i])
		}
	}
	if len(was) != 9 {
		t.Errorf("%d rows, want 9", len(was))
	}
	got := browsertest.Eval[[]string](b, `import(document.querySelector('script').src.replace('dashboard.js', 'dom.js')).then((m) => [
		m.count(0), m.count(1234567), m.mbit(0), m.mbit(1540), m.mbit(99949), m.mbit(99950), m.mbit(1234567), m.percent(0), m.percent(.004), m.percent(.126), m.percent(1),
		...[0, 9, 10, 59, 60, 3599, 3600, 86399, 86400, 864000].map((s) => m.ago(0, s * 1000))])`)
	want := dashboard.NumbersAsWritten()
	if !slices.Equal(got, want) {
		t.Errorf("numbers in the browser %q, from the server %q", got, want)
	}
}

// Keys reach everything, and a choice of colours lasts.
func TestByKeyboard(t *testing.T) {
	t.Parallel()
	b := browsertest.Start(t)
	b.As(browsertest.Looks["1440-light"])
	b.Go(operated(t).URL + "/")
	b.Await("it is live", live)
	b.Press("/")
	b.Await("one can search", `document.activeElement.id === 'filter'`)
	browsertest.Eval[chromedp.Void](b, `document.activeElement.value = ''`) // a key that comes by protocol is typed although it was taken
	b.Press("ams")
	b.Await("the nodes that are looked for are left", `[...document.querySelectorAll('#nodes tbody tr:not([hidden])')].map((tr) => tr.dataset.id).join() === 'ams1,ams2'`)
	b.Press(kb.Tab + kb.Tab)
	b.Await("the order can be changed", `document.activeElement.dataset.sort === 'state'`)
	b.Press(kb.Enter)
	b.Await("it is", `document.activeElement.closest('th').ariaSort === 'ascending'`)
	b.Click(`[data-by="answers"]`)
	b.Press(kb.ArrowRight)
	b.Await("the plot is by node", `document.activeElement.dataset.by === 'nodes' && document.activeElement.ariaSelected === 'true'`)
	b.Await("and shows them", `/fra1/.test(document.querySelector('.legend').textContent)`)
	browsertest.Eval[chromedp.Void](b, `document.querySelector('#theme').focus()`)
	b.Press("d") // dark
	b.Await("it is dark", `getComputedStyle(document.body).colorScheme === 'dark'`)
	b.Do(chromedp.Reload())
	b.Await("it stays dark", `document.documentElement.dataset.theme === 'dark' && document.querySelector('#theme').value === 'dark'`)
	noFaults(t, b)
}
