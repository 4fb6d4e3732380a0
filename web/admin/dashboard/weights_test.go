package dashboard_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

// A matrix is the page of weights with somebody at it, while the set of nodes changes.
type matrix struct {
	*rig
	*browsertest.Tab
	t      *testing.T
	config director.Config
}

// openMatrix opens the page of a fleet of ams1, fra1 and par1. An agent may register
// bru1, which has its weight already, and each weight is another one.
func openMatrix(t *testing.T) *matrix {
	t.Helper()
	c := director.Config{MayRegister: []string{"bru1"}, Mounts: []director.Mount{{Name: "/live.mp3"}}, Self: []string{"radio.example:80"}}
	for _, id := range []director.NodeID{"ams1", "fra1", "par1"} {
		c.Nodes = append(c.Nodes, node(id))
	}
	given := func(id director.NodeID, w float64) director.Weight {
		return director.Weight{Node: id, Weight: w, Given: true}
	}
	c.Regions = []director.Region{{
		ID: "all", Match: director.Match{Default: true}, Row: []director.Weight{given("ams1", 1), given("bru1", 2), given("fra1", 3.125), given("par1", 4)},
	}}
	r := play(t, c, func(now time.Time) []director.Report {
		var out []director.Report
		for _, id := range []director.NodeID{"ams1", "bru1", "fra1", "par1", "aar1"} {
			out = append(out, report(id, now))
		}
		return out
	})
	m := &matrix{r, browsertest.Start(t), t, c}
	m.As(browsertest.Looks["1440-light"])
	m.Go(r.URL + "/weights")
	m.Await("it is live", live)
	m.columns("ams1 fra1 par1")
	return m
}

func node(id director.NodeID) director.Node {
	return director.Node{ID: id, URLs: []string{"http://" + string(id) + ".radio.example:8000"}, Target: 1000}
}

func report(id director.NodeID, now time.Time) director.Report {
	return director.Report{Node: id, Taken: now, Since: now.Add(-time.Hour), Health: director.Up, AnyMount: true, Detail: "answers"}
}

// columns waits until the nodes are those.
func (m *matrix) columns(nodes string) {
	m.t.Helper()
	m.Await("the nodes are "+nodes, fmt.Sprintf(`[...document.querySelectorAll('#matrix th[data-node]')].map((th) => th.dataset.node).join(' ') === %q`, nodes))
}

// register lets an agent register bru1.
func (m *matrix) register() {
	m.t.Helper()
	n := node("bru1")
	if _, err := m.syncer.Register(store.Registration{Node: n.ID, URLs: n.URLs, Target: n.Target, Instance: "run1", Report: report(n.ID, time.Now())}, 0); err != nil {
		m.t.Fatal(err)
	}
}

func (m *matrix) deregister() {
	m.t.Helper()
	if err := m.syncer.Deregister("bru1", store.Speaker{Instance: "run1"}); err != nil {
		m.t.Fatal(err)
	}
}

func (m *matrix) reload() {
	m.t.Helper()
	if err := m.syncer.SetConfig(m.config); err != nil {
		m.t.Fatal(err)
	}
}

// cell is the expression for the cell below the name of a node.
func (m *matrix) cell(region, node string) string {
	return fmt.Sprintf(`document.querySelector('#matrix tr[data-region=%s]').cells[document.querySelector('#matrix th[data-node=%s]').cellIndex]`, region, node)
}

// begin types a weight, and leaves the cell open.
func (m *matrix) begin(region, node, weight string) {
	m.t.Helper()
	m.ClickOn(m.cell(region, node))
	m.Await("the cell is open", m.cell(region, node)+`.querySelector('input')`)
	m.Press(weight)
}

func (m *matrix) weigh(region, node, weight string) {
	m.t.Helper()
	m.begin(region, node, weight)
	m.Press(kb.Enter)
}

// forecast waits until the page shows what would happen.
func (m *matrix) forecast() {
	m.t.Helper()
	m.Await("what would happen", `document.querySelector('[data-part="verdict"] .say')`)
}

// save saves, and holds what is in the store then against what is wanted.
func (m *matrix) save(region director.RegionID, want map[director.NodeID]float64) {
	m.t.Helper()
	version := fmt.Sprintf(`document.querySelector('#matrix tr[data-region=%s]').dataset.version`, region)
	seen := browsertest.Eval[string](m.Tab, version)
	m.Click(`#save [type="submit"]`)
	m.Await("it is saved", fmt.Sprintf(`!document.querySelector('#save') && %s !== %q`, version, seen))
	if diff := cmp.Diff(want, m.syncer.Overlay().Rows[region].Weights); diff != "" {
		m.t.Errorf("%s as saved (-want +got):\n%s", region, diff)
	}
}

// A weight is saved for the node below whose name it was typed, whatever nodes come
// and go while the page is open, and nodes that are not there keep theirs.
func TestWeightsStayWithTheirNodes(t *testing.T) {
	t.Parallel()
	m := openMatrix(t)
	m.weigh("all", "ams1", "5")
	m.begin("all", "par1", "7")
	m.register()
	m.columns("ams1 bru1 fra1 par1")
	m.Await("what is being typed stands where it should", m.cell("all", "par1")+`.querySelector('input') === document.activeElement`)
	m.Press("5")
	m.Press(kb.Enter)
	m.save("all", map[director.NodeID]float64{"ams1": 5, "bru1": 2, "fra1": 3.125, "par1": 75})

	m.weigh("all", "fra1", "6")
	m.deregister()
	m.columns("ams1 fra1 par1")
	m.save("all", map[director.NodeID]float64{"ams1": 5, "bru1": 2, "fra1": 6, "par1": 75})
	m.weigh("all", "ams1", "8")
	m.save("all", map[director.NodeID]float64{"ams1": 8, "bru1": 2, "fra1": 6, "par1": 75})
	noFaults(t, m.Tab)
}

// A proposal is played while somebody looks, and no longer.
func TestPlayedThrough(t *testing.T) {
	t.Parallel()
	m := openMatrix(t)
	begin := func() {
		m.weigh("all", "ams1", "3")
		m.forecast()
		m.Click(`[data-part="play"] button`)
		m.Await("it is half played", `document.querySelector('[data-part="play"] progress')?.value === 0.5`)
	}
	gone := func(how string) {
		t.Helper()
		select {
		case <-m.left:
		case <-time.After(2 * time.Minute):
			t.Errorf("the director still plays after %s", how)
		}
	}
	begin()
	m.weigh("all", "ams1", "4")
	gone("another weight was typed")
	begin()
	m.Click(`[data-part="play"] button`)
	gone("it was cancelled")
	begin()
	m.Click(`#whatif [data-discard]`)
	gone("the weights were discarded")
	begin()
	close(m.played)
	m.Await("what came of it", `document.querySelector('[data-part="play"] .say.bad')?.textContent === '7 requests would be refused'`)
	if got := browsertest.Eval[string](m.Tab, `document.querySelector('[data-part="play"] tbody tr').innerText.replace(/\s+/g, ' ')`); got != "ams1 750 75 % 20:07" {
		t.Errorf("the node is %q", got)
	}
	noFaults(t, m.Tab)
}

// A file that is read again may have other nodes and other regions.
func TestMatrixFollowsTheFile(t *testing.T) {
	t.Parallel()
	m := openMatrix(t)
	m.begin("all", "fra1", "9")
	m.forecast()
	m.config.Nodes = append([]director.Node{node("aar1")}, m.config.Nodes[1:]...)
	row := m.config.Regions[0].Row
	m.config.Regions = []director.Region{{ID: "north", Row: row[1:3], Match: director.Match{Countries: []string{"DK"}}}, {ID: "world", Row: row[2:3], Match: director.Match{Default: true}}}
	m.reload()
	m.columns("aar1 fra1 par1")
	m.Await("the regions are those of the file", `[...document.querySelectorAll('#matrix tbody tr')].map((tr) => tr.dataset.region).join() === 'north,world'`)
	m.Await("it is said that a region is gone", `/is gone: all/.test(document.querySelector('#toast').textContent) && !document.querySelector('#save')`)
	m.weigh("north", "fra1", "1")
	m.save("north", map[director.NodeID]float64{"bru1": 2, "fra1": 1})

	m.weigh("world", "aar1", "2")
	m.weigh("world", "par1", "4")
	m.save("world", map[director.NodeID]float64{"aar1": 2, "fra1": 3.125, "par1": 4})
	m.weigh("world", "aar1", "3")
	m.forecast()
	m.config.Nodes = m.config.Nodes[:2]
	m.reload()
	m.columns("aar1 fra1")
	m.save("world", map[director.NodeID]float64{"aar1": 3, "fra1": 3.125})
	noFaults(t, m.Tab)
}

// The order of overflow is edited beside the weights: drafts, what would happen, one save
// for both, somebody else's change, and back to the file's.
func TestOverflowIsEdited(t *testing.T) {
	t.Parallel()
	config, reports := station()
	r := play(t, config, reports)
	m := &matrix{r, browsertest.Start(t), t, config}
	m.As(browsertest.Looks["390-light"])
	m.Go(r.URL + "/weights")
	m.Await("it is live", live)
	says := func(region, text string) string {
		return fmt.Sprintf(`document.querySelector('#matrix tr[data-region=%s] .over span').textContent === %q`, region, text)
	}
	edit := func(region string) {
		m.Click(fmt.Sprintf(`[data-overflow=%s]`, region))
		m.Await("the order is shown", `document.querySelector('#order').open`)
	}
	add := func(region string) {
		browsertest.Eval[bool](m.Tab, fmt.Sprintf(`(() => { const add = document.querySelector('#order select'); add.value = %q; add.dispatchEvent(new Event('change')); return true; })()`, region))
	}
	m.Await("the file's order", says("de", "europe"))
	edit("de")
	add("world")
	m.Click(`#order [aria-label="world earlier"]`)
	holdBars(t, m.Tab, "the order of overflow")
	holdAxe(t, m.Tab, "the order of overflow")
	m.Screenshot("order-390-light")
	m.Click(`#order [value=take]`)
	m.Await("the draft is in the row", says("de", "world, then europe"))
	m.forecast()
	m.weigh("de", "fra1", "7")
	m.Await("both are not saved yet", `/2 changes/.test(document.querySelector('[data-part="changes"]').textContent) && /overflow: europe → world, then europe/.test(document.querySelector('[data-part="changes"]').textContent)`)
	m.save("de", map[director.NodeID]float64{"fra1": 7, "fra2": 2, "ams1": 1})
	o := m.syncer.Overlay()
	if diff := cmp.Diff([]director.RegionID{"world", "europe"}, o.Overflows["de"].Regions); diff != "" || o.Revision != 1 {
		t.Errorf("saved as revision %d (-want +got):\n%s", o.Revision, diff)
	}

	edit("de")
	m.Click(`#order [aria-label="Remove europe"]`)
	m.Click(`#order [value=take]`)
	m.Await("another draft", says("de", "world"))
	if _, err := m.syncer.Change(t.Context(), store.Author{By: "ben", Why: "mine"}, func(o *store.Overlay) error {
		o.Overflows["de"] = store.Overflow{Regions: []director.RegionID{"americas"}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	m.Await("somebody was faster", `/overflow of de was changed meanwhile by ben/.test(document.querySelector('[data-part="clash"]').textContent) && document.querySelector('#save [type=submit]').disabled`)
	m.ClickOn(`[...document.querySelectorAll('[data-part="clash"] button')].find((b) => b.textContent === 'Take theirs')`)
	m.Await("theirs is in the row", says("de", "americas")+` && !document.querySelector('#save')`)
	edit("de")
	m.Click(`#order [data-file]`)
	m.Await("as in the file", says("de", "europe"))
	m.Click(`#save [type="submit"]`)
	m.Await("it is saved", `!document.querySelector('#save') && !document.querySelector('#matrix tr[data-region=de] .over [data-stamp]')`)
	if _, there := m.syncer.Overlay().Overflows["de"]; there {
		t.Error("the file's order is still replaced")
	}
	noFaults(t, m.Tab)
}
