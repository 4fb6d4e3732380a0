package e2e

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

// hostile is a title that wants to be script, as anybody who feeds a mount may send.
const hostile = `<script>window.owned=1</script><img src=x onerror="window.owned=1">`

// A stream of listeners who ask one director and go nowhere.
type askers struct {
	mu sync.Mutex
	to []string // node by node, the newest last
}

// asking lets listeners ask a director, one each 25 ms, until the test ends.
func asking(t *testing.T, s *signpost, fleet []*probetest.Node) *askers {
	a := &askers{}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(25 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			resp := s.get("/live.mp3", fmt.Sprintf("10.%d.%d.%d", 1+i/60000, i/250%240, 1+i%250), "VLC/3.0.18 LibVLC/3.0.18")
			resp.Body.Close()
			for j, node := range fleet {
				if strings.HasPrefix(resp.Header.Get("Location"), node.URL()) {
					a.mu.Lock()
					a.to = append(a.to, fmt.Sprintf("n%d", j+1))
					a.mu.Unlock()
				}
			}
		}
	})
	t.Cleanup(func() { close(stop); wg.Wait() })
	return a
}

// share is the part of the last n who were sent to a node.
func (a *askers) share(node string, n int) float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.to) < n {
		return -1
	}
	hits := 0
	for _, to := range a.to[len(a.to)-n:] {
		if to == node {
			hits++
		}
	}
	return float64(hits) / float64(n)
}

// staffed starts two directors with one Redis, two nodes and three people with
// tokens: anna and ben operate, vera looks.
func staffed(t *testing.T) (fleet []*probetest.Node, all []*signpost) {
	t.Helper()
	mount := func(hz int) []probetest.Mount { return []probetest.Mount{{Path: "/live.mp3", Hz: hz, Title: hostile}} }
	fleet = probetest.Fleet(t, probetest.Options{Addr: "127.0.0.11", Mounts: mount(440)}, probetest.Options{Addr: "127.0.0.12", Mounts: mount(660)})
	tokens := filepath.Join(t.TempDir(), "tokens")
	var text strings.Builder
	for name, role := range map[string]string{"anna": "operate", "ben": "operate", "vera": "view"} {
		fmt.Fprintf(&text, "%s %s %x\n", name, role, sha256.Sum256([]byte("I am "+name)))
	}
	if err := os.WriteFile(tokens, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	config := configuration(fleet, "regions: [{id: all, match: default, weights: {n1: 1, n2: 0}}, {id: german, match: {countries: [DE]}, weights: {n1: 1, n2: 1}}]\n"+
		sharing(redistest.Start(t, redistest.Options{})))
	config = strings.NewReplacer("target: 1000}", "target: 100000, site: '<b>site</b>'}", "admin: {", "admin: {tokens_file: '"+tokens+"', ").Replace(unhurried(config))
	return fleet, alike(t, 2, config)
}

// logIn brings somebody to a page of a director.
func logIn(b *browsertest.Tab, s *signpost, who, page string) {
	b.Go(s.admin + page)
	b.Await("the login", `document.body.dataset.page === 'login'`)
	b.Do(chromedp.SendKeys(chromedp.CSS("input[name=token]"), "I am "+who+kb.Enter))
	b.Await("who logged in is where they wanted to be", fmt.Sprintf(`location.pathname === %q && document.body.dataset.live === 'live'`, page))
}

// cell is the expression for a cell of the matrix.
func cell(region, node string) string {
	return fmt.Sprintf(`document.querySelector('#matrix tr[data-region=%q]').cells[document.querySelector('#matrix th[data-node=%q]').cellIndex]`, region, node)
}

// weigh types a weight into the matrix.
func weigh(b *browsertest.Tab, region, node, weight string) {
	b.ClickOn(cell(region, node))
	b.Await("the cell is open", cell(region, node)+`.querySelector('input')`)
	b.Press(weight)
	b.Press(kb.Enter)
}

func shows(selector, text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(%q)].some((el) => el.textContent.includes(%q))`, selector, text)
}

// An office is operators at work, on real directors with real listeners.
type office struct {
	*testing.T
	all           []*signpost
	first, second *signpost // anna is at the first, and listeners ask the second
	listeners     *askers
	anna          *browsertest.Tab
}

func TestOperatorsAtTheirDashboards(t *testing.T) {
	t.Parallel()
	fleet, all := staffed(t)
	o := &office{t, all, all[0], all[1], asking(t, all[1], fleet), browsertest.Start(t)}
	o.anna.As(browsertest.Looks["1440-light"])
	o.wrongToken()
	o.moveListeners()
	o.editTogether()
	o.drain()
	o.makeRule()
	o.showHostile()
	o.play()
	o.onlyLook()
	noFaults(t, o.anna)
	o.loseDirector()
}

// A token that nobody knows lets nobody in.
func (o *office) wrongToken() {
	o.anna.Go(o.first.admin + "/weights")
	o.anna.Await("the login", `document.body.dataset.page === 'login'`)
	o.anna.Do(chromedp.SendKeys(chromedp.CSS("input[name=token]"), "I am nobody"+kb.Enter))
	o.anna.Await("it is refused", shows("[role=alert]", "not known here"))
}

// A row that is saved moves listeners at the other director, and Undo moves them back.
func (o *office) moveListeners() {
	logIn(o.anna, o.first, "anna", "/weights")
	o.second.eventually(patience, "all go to n1", func() bool { return o.listeners.share("n1", 20) == 1 })
	weigh(o.anna, "all", "n2", "3")
	o.anna.Await("the preview", shows("#whatif .names", "n2 0 → 75 %"))
	if o.listeners.share("n1", 20) != 1 {
		o.Error("a preview moved listeners")
	}
	o.anna.Do(chromedp.SendKeys(chromedp.CSS("#save-why"), "n2 has room "+hostile))
	o.anna.Click(`#save [type="submit"]`)
	moved := o.second.eventually(patience, "listeners go to n2", func() bool { return o.listeners.share("n2", 12) > .4 })
	o.Logf("from the click until the other director's answers had moved: %v", moved)
	atMost(o.T, 2*time.Second, "listeners moved", moved)
	o.anna.Await("it can be taken back", shows("#toast button", "Undo"))
	o.anna.Click("#toast button")
	back := o.second.eventually(patience, "all go to n1 again", func() bool { return o.listeners.share("n1", 20) == 1 })
	o.Logf("from the click on Undo until they went back: %v", back)
}

// Of two operators at one row the later one is told, and loses nothing.
func (o *office) editTogether() {
	ben := o.anna.Another()
	logIn(ben, o.second, "ben", "/weights")
	weigh(ben, "german", "n2", "7")
	ben.ClickOn(cell("german", "n1"))
	ben.Press("4") // and while this is open
	weigh(o.anna, "german", "n1", "5")
	o.anna.Click(`#save [type="submit"]`)
	ben.Await("ben is told what anna made of it", shows(`[data-part="clash"]`, "by anna")+" && "+shows(`[data-part="clash"]`, "n1 5, n2 1"))
	ben.Press("2")
	ben.Press(kb.Enter)
	ben.Await("what he typed is there", shows(`[data-part="clash"]`, "n1 42, n2 7"))
	ben.Await("he cannot save over it unseen", `document.querySelector('#save [type="submit"]').disabled`)
	ben.ClickOn(`[...document.querySelectorAll('[data-part="clash"] button')].find((b) => b.textContent === 'Keep mine')`)
	ben.Click(`#save [type="submit"]`)
	ben.Await("it is saved", shows("#toast", "Saved: german"))
	o.anna.Await("anna sees it", cell("german", "n1")+`.textContent.startsWith('42')`)
	noFaults(o.T, ben)
}

// A drained node is watched as it empties.
func (o *office) drain() {
	crowd := newCrowd(o.T)
	crowd.arrive(o.all, 12, time.Second, 9)
	o.anna.Go(o.first.admin + "/")
	o.anna.Await("they are counted", fmt.Sprintf(`Number(%s.textContent) >= 12`, nodeCell(".load .fig span")))
	o.anna.ClickOn(nodeCell(`[data-do="drain"]`))
	o.anna.Await("what would happen", shows("#ask [data-preview]", "listeners"))
	o.anna.Do(chromedp.SendKeys(chromedp.CSS("#ask-why"), "new disks"+kb.Enter))
	o.anna.Await("it is drained", fmt.Sprintf(`/still listen, by anna: new disks/.test(%s.textContent)`, nodeCell(".statecell")))
	o.anna.Screenshot("drain")
	crowd.leave()
	// Those who only asked for it are taken to be on their way for up to 15 s.
	o.anna.Await("it is empty", fmt.Sprintf(`/safe to terminate/.test(%s.textContent)`, nodeCell(".statecell")))
	o.anna.ClickOn(nodeCell(`[data-do="resume"]`))
	o.anna.Await("it is asked", `document.querySelector('#ask').open`)
	o.anna.Press(kb.Enter)
	o.anna.Await("it is back", fmt.Sprintf(`%s.textContent === 'in service'`, nodeCell(".state")))
}

// A rule is made of a suggestion by one click, and holds at the other director.
func (o *office) makeRule() {
	comeBack(o.first, "KitchenRadio/1.2 (old)")
	o.anna.Go(o.first.admin + "/clients")
	o.anna.Await("it is suspect", shows("#clients tr", "KitchenRadio"))
	o.anna.ClickOn(`[...document.querySelectorAll('#clients tr')].find((tr) => tr.textContent.includes('KitchenRadio')).querySelector('button')`)
	o.anna.Await("the rule is there", shows("#rules tr[data-rule]", "by anna"))
	o.second.eventually(patience, "the other director carries their stream", func() bool {
		resp := o.second.get("/live.mp3", "10.200.0.1", "KitchenRadio/1.2 (old)")
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// What wants to be script stays text.
func (o *office) showHostile() {
	for _, page := range []string{"/mounts", "/", "/history", "/weights"} {
		o.anna.Go(o.first.admin + page)
		o.anna.Await("it is live", `document.body.dataset.live === 'live'`)
		want := map[string]string{"/mounts": hostile, "/": "<b>site</b>", "/history": "n2 has room " + hostile, "/weights": "<b>site</b>"}[page]
		o.anna.Await("it is shown as it is", shows("main", want))
		if browsertest.Eval[bool](o.anna, `'owned' in window || Boolean(document.querySelector('main img, main b b, main script'))`) {
			o.Errorf("%s: what a node says became part of the page", page)
		}
	}
}

// A mount is listened to as a listener hears it, who is sent to a node.
func (o *office) play() {
	o.anna.Go(o.first.admin + "/mounts")
	o.anna.Await("it can be played", `document.querySelector('[data-play]')`)
	o.anna.Click("[data-play]")
	o.anna.Await("it plays", `document.querySelector('#player audio').currentTime > .2 && document.querySelector('[data-play][aria-pressed=true]')`)
	o.anna.Click("[data-play]")
	o.anna.Await("it is let go of", `!document.querySelector('#player audio').hasAttribute('src')`)
}

// Who may only look is offered nothing else, and refused.
func (o *office) onlyLook() {
	vera := o.anna.Another()
	logIn(vera, o.first, "vera", "/")
	if browsertest.Eval[bool](vera, `Boolean(document.querySelector('[data-do]'))`) {
		o.Error("vera is offered to drain")
	}
	status := browsertest.Eval[int](vera, `fetch('/api/v1/nodes/n1/drain', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{}'}).then((r) => r.status)`)
	if status != 403 {
		o.Errorf("vera drains: %d", status)
	}
}

// A director that is gone is told of.
func (o *office) loseDirector() {
	o.first.stop()
	o.anna.Await("it is said", `document.body.dataset.live === 'lost' && !document.querySelector('#connection').hidden`)
	o.anna.Screenshot("lost")
}

// nodeCell is the expression for something in the row of n1.
func nodeCell(selector string) string {
	return fmt.Sprintf(`document.querySelector('#nodes tr[data-id=n1] ' + %q)`, selector)
}

// comeBack asks again and again as devices do that cannot follow a redirect.
func comeBack(s *signpost, agent string) {
	for device := range 8 {
		for range 12 { // faster than anybody who plays
			s.get("/live.mp3", fmt.Sprintf("10.201.0.%d", 1+device), agent).Body.Close()
		}
	}
}

// noFaults fails if the console showed an error; that a wrong token and a stale edit are
// refused shows there, too.
func noFaults(t *testing.T, b *browsertest.Tab) {
	t.Helper()
	for _, f := range b.Faults() {
		if !strings.Contains(f, "401") && !strings.Contains(f, "412") {
			t.Errorf("on the console: %s", f)
		}
	}
}
