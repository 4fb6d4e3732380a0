package dashboard_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/signpost-fm/signpost/web/admin/dashboard"
	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

const live = `document.body.dataset.live === 'live'`

// Every page, as every look has it. Somebody should look at the pictures.
func TestLooks(t *testing.T) {
	t.Parallel()
	usual, long := operated(t), edited(t)
	for page, path := range map[string]string{
		"overview": "/", "node": "/nodes/nyc2", "mount": "/mounts/jazz.ogg", "directors": "/directors", "clients": "/clients", "mounts": "/mounts", "history": "/history", "weights": "/weights",
		"explain":       "/explain?addr=91.0.0.1&mount=/live.mp3&ua=VLC/3.0.18",
		"long-overview": "/", "long-history": "/history", "long-weights": "/weights",
	} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			b := browsertest.Start(t)
			r := usual
			if strings.HasPrefix(page, "long-") {
				r = long
			}
			for _, width := range []string{"1440", "768", "390"} {
				for _, scheme := range []string{"-light", "-dark"} { // in one page, which follows
					name := page + "-" + width + scheme
					b.As(browsertest.Looks[width+scheme])
					if scheme == "-light" {
						if page == "overview" {
							b.Go(r.URL + "/login")
							b.Screenshot("login-" + width + scheme)
						}
						b.Go(r.URL + path)
						b.Await(page+" is live", live)
						if page == "weights" {
							typeWeights(b)
						}
					}
					b.Await("colours have changed", `!document.getAnimations().some((a) => a instanceof CSSTransition)`)
					b.Screenshot(name)
					holdBars(t, b, name)
					if scheme == "-light" && width != "768" {
						holdAxe(t, b, name)
					}
				}
				if page == "weights" {
					browsertest.Eval[chromedp.Void](b, `document.querySelector('[data-discard]').click()`)
					b.Await("nothing is left to save", `!document.querySelector('#save')`)
				}
			}
			if page == "overview" {
				b.ClickOn(`document.querySelector('#nodes tr[data-id=ams1] [data-do=drain]')`)
				b.Await("what would happen", `document.querySelector('#ask [data-preview] .say')`)
				b.Screenshot("ask-390-dark")
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
	b.As(browsertest.Look{Width: 1440, Height: 2200}) // rows out of sight are left as they are
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
	const down = `(page) => page.querySelector('#nodes tr[data-id=nyc2] .fig span').textContent`
	if says := browsertest.Eval[string](b, `(`+down+`)(document)`); says != "not known" {
		t.Errorf("a node that is down has %q listeners", says)
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
	b.Click(`[data-by="total"]`)
	b.Press(kb.Tab + kb.Enter)
	b.Await("the plot is by node", `document.activeElement.dataset.by === 'node' && document.activeElement.ariaPressed === 'true'`)
	b.Await("and shows them", `/sgp1/.test(document.querySelector('.legend').textContent)`)
	browsertest.Eval[chromedp.Void](b, `document.querySelector('#theme').focus()`)
	b.Press("d") // dark
	b.Await("it is dark", `getComputedStyle(document.body).colorScheme === 'dark'`)
	b.Do(chromedp.Reload())
	b.Await("it stays dark", `document.documentElement.dataset.theme === 'dark' && document.querySelector('#theme').value === 'dark'`)
	noFaults(t, b)
}
