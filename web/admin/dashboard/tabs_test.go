package dashboard_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
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
		b.As(browsertest.Look{Width: 1440, Height: 2200}) // rows out of sight are not brought up to date
		b.Go(r.URL + "/")
		b.Await("it is live", live)
	}
	b.ClickOn(`document.querySelector('#nodes tr[data-id=ams1] [data-do=drain]')`)
	b.Await("it is asked", `document.querySelector('#ask').open`)
	b.Press(kb.Enter)
	b.Await("it is done", `/ams1: drained/.test(document.querySelector('#toast').textContent)`)
	b.Cover()

	if got := browsertest.Eval[string](first, `document.querySelector('#nodes tr[data-id=ams1] .state').textContent`); got != "in service" {
		t.Errorf("a hidden tab says that ams1 is %s: it follows what happens", got)
	}
	first.Uncover()
	first.Await("it is live again", live)
	first.Await("it shows what was changed", `document.querySelector('#nodes tr[data-id=ams1] .state').textContent === 'drained'`)
	noFaults(t, first)
	noFaults(t, b)
}

// Who clicks before a page's own script is there is not left without an answer.
func TestEarlyClicks(t *testing.T) {
	t.Parallel()
	to, err := url.Parse(operated(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	late, proxy := make(chan struct{}), httputil.NewSingleHostReverseProxy(to)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "overview") {
			<-late
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(slow.Close)
	b := browsertest.Start(t)
	b.As(browsertest.Looks["1440-light"])
	b.Go(slow.URL + "/")
	b.ClickOn(`document.querySelector('#nodes tr[data-id=ams1] [data-do=drain]')`)
	close(late)
	b.Await("it is asked", `document.querySelector('#ask').open`)
	noFaults(t, b)
}

// What nobody knew is a gap in a trend, and there is a past as soon as a page is opened.
func TestGapsStayGaps(t *testing.T) {
	t.Parallel()
	b := browsertest.Start(t)
	b.As(browsertest.Look{Width: 1440, Height: 2200}) // rows out of sight have no trend yet
	b.Go(operated(t).URL + "/")
	b.Await("a trend has two parts", `document.querySelector('#nodes tr[data-id=ams1] .spark path[d]')?.getAttribute('d').match(/M/g)?.length === 2`)
	b.Await("the plot is there, with its peak", `document.querySelector('.plot canvas') && /^[\d,]{6}$/.test(document.querySelector('.legend tbody td:last-child').textContent)`)
	for _, span := range []string{"day", "week"} {
		b.Click(`[data-span="` + span + `"]`)
		b.Await("the plot has a "+span, `document.querySelector('figure[role=img]').getAttribute('aria-label').startsWith('Listeners over the last `+span+`: all ')`)
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
