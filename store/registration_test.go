package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// edge is what an agent says of a node.
func edge(id director.NodeID, instance string, listeners int) store.Registration {
	return store.Registration{
		Node: id, URLs: []string{"http://" + string(id) + ".example:8000"}, Target: 100,
		Instance: instance, Token: "agents",
		Report: director.Report{Taken: time.Now(), Health: director.Up, Listeners: listeners, Mounts: []director.MountReport{{Path: "/live.mp3"}}},
	}
}

// edges is a fleet with one declared node, in which edge-* may register; the row
// of everybody names two of them.
func edges() director.Config {
	c := config("n1")
	c.MayRegister = []string{"edge-*"}
	for _, id := range []director.NodeID{"edge-1", "edge-2"} {
		c.Regions[0].Row = append(c.Regions[0].Row, director.Weight{Node: id, Weight: 1, Given: true})
	}
	return c
}

func register(t *testing.T, d *rig, r store.Registration) store.Registration {
	t.Helper()
	got, err := d.Register(r, 0)
	if err != nil {
		t.Fatalf("%s: Register: %v", d.name, err)
	}
	return got
}

// node returns what a director's snapshot says of a node; false: it is not there.
func (d *rig) node(id director.NodeID) (director.NodeState, bool) {
	n, ok := d.View().FindNode(id)
	if !ok {
		return director.NodeState{}, false
	}
	return d.View().Node(n), true
}

// isAt says in which state all of these directors see a node; "": they do not agree.
func isAt(id director.NodeID, directors ...*rig) string {
	var seen []string
	for _, d := range directors {
		state := "absent"
		if n, ok := d.node(id); ok {
			state = n.State.String()
		}
		seen = append(seen, state)
	}
	if len(slices.Compact(slices.Clone(seen))) != 1 {
		return fmt.Sprint(seen)
	}
	return seen[0]
}

// two directors that share a store.
func two(t *testing.T, c store.SyncerConfig) (a, b *rig) {
	t.Helper()
	shared := memoryAt(t, func() time.Time { return time.Now().Add(10 * time.Minute) }) // its clock is ahead
	c.Config = edges()
	c.Store, c.Director, c.Prober = shared, "a", nil
	a = start(t, c)
	c.Store, c.Director, c.Prober = join(t, shared), "b", nil
	b = start(t, c)
	pass(3 * tick)
	return a, b
}

func TestRegisteredNodeIsSeenByAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := two(t, store.SyncerConfig{})
		if got := isAt("edge-1", a, b); got != "absent" {
			t.Fatalf("before: %s", got)
		}
		register(t, a, edge("edge-1", "i1", 7))
		synctest.Wait() // it does not wait for the tick
		if got := isAt("edge-1", a); got != "unverified" {
			t.Errorf("at once, where it registered, while no director has reached it: %s", got)
		}
		pass(twoTicks)
		if got := isAt("edge-1", a, b); got != "fit" {
			t.Errorf("after two ticks: %s", got)
		}
		n, _ := b.node("edge-1")
		if n.Used != 7 || n.EffectiveTarget != 100 || n.Report.By != "its agent" || n.Report.Taken.Sub(b.View().Built()).Abs() > time.Second {
			t.Errorf("at the other: %+v", n)
		}
		if got := a.prober.probes(); !slices.Contains(got, "edge-1") || !slices.Contains(got, "n1") {
			t.Errorf("probed: %v, want the registered node, too", got)
		}
		var d director.Decision
		a.View().Decide(&d, director.Listener{Mount: "/live.mp3", Scheme: director.HTTP}, nil)
		if d.Outcome != director.Placed {
			t.Errorf("a listener: %v", d.Outcome)
		}
		if other := isAt("edge-2", a, b); other != "absent" {
			t.Errorf("another node of the row: %s", other)
		}

		// Its next report goes to the other director.
		pass(time.Second)
		register(t, b, edge("edge-1", "i1", 9))
		pass(3 * tick)
		for _, d := range []*rig{a, b} {
			if n, _ := d.node("edge-1"); n.Used != 9 {
				t.Errorf("%s: %d listeners, want 9", d.name, n.Used)
			}
		}
		if a.log.Count("has registered")+b.log.Count("has registered") != 1 {
			t.Errorf("a report through another director is no news:\n%s%s", a.log, b.log)
		}
	})
}

// A node is down once it has been silent for its time, back with a word, and
// forgotten after a longer time.
func TestSilentNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := two(t, store.SyncerConfig{DownAfter: 3 * time.Second, ForgetAfter: time.Minute})
		register(t, a, edge("edge-1", "i1", 7))
		pass(2900 * time.Millisecond)
		if got := isAt("edge-1", a, b); got != "fit" {
			t.Errorf("just before: %s", got)
		}
		pass(100*time.Millisecond + twoTicks + tick*11/10)
		if got := isAt("edge-1", a, b); got != "down" {
			t.Errorf("just after: %s", got)
		}
		n, _ := b.node("edge-1")
		if !strings.Contains(n.Report.Detail, "has not reported") || n.Used != 0 || b.View().Built().Sub(n.Report.Since) > time.Second {
			t.Errorf("a silent node: %+v", n.Report)
		}
		pass(10 * time.Second)
		register(t, b, edge("edge-1", "i1", 3))
		pass(3 * tick)
		n, _ = a.node("edge-1")
		if n.State != director.Fit || n.WarmUp >= 1 || n.Used != 3 {
			t.Errorf("back again: %v, warm-up %v, used %d; want a node that warms up", n.State, n.WarmUp, n.Used)
		}
		// It warms up once, whatever it reports.
		for range 80 {
			pass(time.Second)
			register(t, b, edge("edge-1", "i1", 3))
		}
		if n, _ = a.node("edge-1"); n.WarmUp != 1 {
			t.Errorf("80 s later: warm-up %v", n.WarmUp)
		}
		pass(59 * time.Second)
		if got := isAt("edge-1", a, b); got != "down" {
			t.Errorf("before it is forgotten: %s", got)
		}
		pass(2 * time.Second)
		if got := isAt("edge-1", a, b); got != "absent" || len(a.Registrations())+len(b.Registrations()) != 0 {
			t.Errorf("it is not forgotten: %s", got)
		}
		pass(time.Minute) // nor does anybody bring it back
		if got := isAt("edge-1", a, b); got != "absent" {
			t.Errorf("it came back: %s", got)
		}
		if a.log.Count("is down") != 2 || a.log.Count("is up") != 2 || a.log.Count("is forgotten") != 1 || a.log.Count("\n") > 8 {
			t.Errorf("want a line for each change:\n%s", a.log)
		}
	})
}

func TestDrainAndDeregister(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := two(t, store.SyncerConfig{})
		register(t, a, edge("edge-1", "i1", 7))
		pass(3 * tick)
		if _, err := a.Drain("edge-1", store.Speaker{Instance: "i1"}); err != nil {
			t.Fatal(err)
		}
		pass(twoTicks)
		if got := isAt("edge-1", a, b); got != "drained" {
			t.Errorf("drained at a: %s", got)
		}
		// Reports do not take it back, whichever director they come through.
		for range 4 {
			pass(time.Second)
			register(t, b, edge("edge-1", "i1", 5))
		}
		if got := isAt("edge-1", a, b); got != "drained" {
			t.Errorf("drained, and it reports: %s", got)
		}
		if err := b.Deregister("edge-1", store.Speaker{Instance: "i1"}); err != nil {
			t.Fatal(err)
		}
		pass(3 * tick)
		if got := isAt("edge-1", a, b); got != "absent" {
			t.Errorf("deregistered: %s", got)
		}
		for _, d := range []*rig{a, b} {
			if _, err := d.Register(edge("edge-1", "i1", 5), 0); !errors.Is(err, store.ErrNotRegistered) {
				t.Errorf("%s: a late report of an agent that has deregistered: %v", d.name, err)
			}
			if err := d.Deregister("edge-1", store.Speaker{Instance: "i1"}); !errors.Is(err, store.ErrNotRegistered) {
				t.Errorf("%s: deregistered twice: %v", d.name, err)
			}
		}
		got := register(t, a, edge("edge-1", "i2", 0)) // the next run, at once
		if !got.Drained.IsZero() {
			t.Error("the next run begins drained")
		}
		pass(3 * tick)
		if n, _ := b.node("edge-1"); n.State != director.Fit || n.WarmUp != 1 {
			t.Errorf("the next run: %v, warm-up %v", n.State, n.WarmUp)
		}
	})
}

// An operator drains at one director a node whose agent reports to another.
func TestOperatorDrainsARegisteredNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := two(t, store.SyncerConfig{})
		register(t, a, edge("edge-1", "i1", 7))
		pass(3 * tick)
		if _, err := b.Drain("edge-1", store.Speaker{}); err != nil {
			t.Fatal(err)
		}
		for range 8 {
			pass(time.Second)
			register(t, a, edge("edge-1", "i1", 7))
		}
		if got := isAt("edge-1", a, b); got != "drained" {
			t.Errorf("after more reports: %s", got)
		}
		// The word of an operator does not stand for the agent's.
		pass(4 * time.Second)
		if _, err := b.Drain("edge-1", store.Speaker{}); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		if r := b.Registrations(); len(r) != 1 || r[0].Silent < 6*time.Second {
			t.Errorf("registrations: %+v", r)
		}
	})
}

// A node belongs to the agent that knows its secret: whoever knows its instance alone can
// neither report for it nor drain it nor take it out, at any director.
func TestASecretBindsANode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := two(t, store.SyncerConfig{DownAfter: 3 * time.Second})
		hers := edge("edge-1", "i1", 7)
		hers.Secret = store.HashSecret("known to nobody else")
		register(t, a, hers)
		pass(3 * tick)
		for _, d := range []*rig{a, b} {
			for _, secret := range []string{"", store.HashSecret("guessed")} {
				his := edge("edge-1", "i1", 500)
				his.URLs, his.Secret = []string{"http://other.example"}, secret
				var held *store.HeldError
				if _, err := d.Register(his, 0); !errors.As(err, &held) {
					t.Errorf("%s: registered with the secret %.8q: %v", d.name, secret, err)
				}
				by := store.Speaker{Instance: "i1", Secret: secret}
				if _, err := d.Drain("edge-1", by); !errors.As(err, &held) {
					t.Errorf("%s: drained with the secret %.8q: %v", d.name, secret, err)
				}
				if err := d.Deregister("edge-1", by); !errors.As(err, &held) {
					t.Errorf("%s: deregistered with the secret %.8q: %v", d.name, secret, err)
				}
			}
		}
		register(t, b, hers)
		pass(3 * tick)
		if n, _ := a.node("edge-1"); n.Used != 7 || n.Drained || n.URLs[0] != "http://edge-1.example:8000" {
			t.Errorf("another took something: %+v", n)
		}
		if _, err := b.Drain("edge-1", store.Speaker{Instance: "i1", Secret: hers.Secret}); err != nil {
			t.Errorf("its own agent: %v", err)
		}
	})
}

// Of two agents with one instance, at two directors that have not heard of each other,
// the one that registered first has the id.
func TestTwoSecretsForOneInstance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, atA, _ := apart(t)
		hers, his := edge("edge-1", "i1", 7), edge("edge-1", "i1", 500)
		hers.Secret, his.Secret = store.HashSecret("hers"), store.HashSecret("his")
		atA.set(away)
		pass(time.Second)
		register(t, a, hers)
		pass(time.Second)
		register(t, b, his)
		atA.set(well)
		for range 2 {
			_, _ = a.Register(hers, 0)
			_, _ = b.Register(his, 0)
			pass(time.Second)
		}
		x, _ := a.node("edge-1")
		y, _ := b.node("edge-1")
		if _, err := b.Register(his, 0); !errors.As(err, new(*store.HeldError)) || x.Used != 7 || y.Used != 7 {
			t.Errorf("used %d and %d, want the first agent's 7; the second hears %v", x.Used, y.Used, err)
		}
	})
}

// An agent of an older version has no secret; the one after it, of this version, goes on
// with its registration, and is bound from then on.
func TestAnAgentThatGetsASecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := two(t, store.SyncerConfig{})
		old := edge("edge-1", "i1", 7)
		first := register(t, a, old)
		pass(3 * tick)
		next := old
		next.Secret = store.HashSecret("new")
		if got := register(t, b, next); !got.Since.Equal(first.Since) || !got.Returned.IsZero() {
			t.Errorf("it did not go on: %+v", got)
		}
		pass(3 * tick)
		for _, d := range []*rig{a, b} {
			if _, err := d.Register(old, 0); !errors.As(err, new(*store.HeldError)) {
				t.Errorf("%s: without the secret again: %v", d.name, err)
			}
		}
	})
}

// A token registers as many nodes as it may; those that fell silent make room.
func TestNodesOfAToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := two(t, store.SyncerConfig{DownAfter: 3 * time.Second})
		try := func(d *rig, id director.NodeID, token string) error {
			r := edge(id, "of "+string(id), 7)
			r.Token = token
			_, err := d.Register(r, 2)
			pass(3 * tick)
			return err
		}
		if err := errors.Join(try(a, "edge-1", "group"), try(b, "edge-2", "group"), try(a, "edge-1", "group"), try(a, "edge-9", "other")); err != nil {
			t.Fatal(err)
		}
		for _, d := range []*rig{a, b} {
			if err := try(d, "edge-3", "group"); !errors.Is(err, store.ErrNotAdmitted) || !strings.Contains(err.Error(), "2 nodes") {
				t.Errorf("%s: a third: %v", d.name, err)
			}
		}
		pass(4 * time.Second)
		if err := errors.Join(try(a, "edge-3", "group"), try(b, "edge-4", "group")); err != nil {
			t.Errorf("instead of silent ones: %v", err)
		}
	})
}

func TestTwoAgentsClaimOneID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := two(t, store.SyncerConfig{DownAfter: 3 * time.Second})
		first := register(t, a, edge("edge-1", "i1", 7))
		pass(3 * tick)
		other := edge("edge-1", "i2", 500)
		other.URLs = []string{"http://other.example"}
		for _, d := range []*rig{a, b} {
			_, err := d.Register(other, 0)
			var held *store.HeldError
			if !errors.As(err, &held) || !held.Until.Equal(first.Seen.Add(3*time.Second)) || !strings.Contains(err.Error(), "--id") ||
				strings.Contains(err.Error(), "i1") || strings.Contains(err.Error(), "agents") {
				t.Errorf("%s: %v, %+v", d.name, err, held)
			}
			if _, err := d.Drain("edge-1", store.Speaker{Instance: "i2"}); !errors.As(err, &held) {
				t.Errorf("%s: drained by another: %v", d.name, err)
			}
			if err := d.Deregister("edge-1", store.Speaker{Instance: "i2"}); !errors.As(err, &held) {
				t.Errorf("%s: deregistered by another: %v", d.name, err)
			}
		}
		if n, _ := b.node("edge-1"); n.Used != 7 || n.URLs[0] != "http://edge-1.example:8000" {
			t.Errorf("the other took something: %+v", n)
		}
		pass(4 * time.Second) // the first has gone quiet
		if got := register(t, b, other); got.Returned.IsZero() {
			t.Error("a node that was down for its silence comes back warm")
		}
		pass(3 * tick)
		for _, d := range []*rig{a, b} {
			if n, _ := d.node("edge-1"); n.Used != 500 || n.URLs[0] != "http://other.example" {
				t.Errorf("%s: %+v", d.name, n)
			}
			if _, err := d.Register(edge("edge-1", "i1", 7), 0); !errors.As(err, new(*store.HeldError)) {
				t.Errorf("%s: the first comes back: %v", d.name, err)
			}
		}
	})
}

// Two agents that claim one id at two directors which cannot hear of each other:
// then all agree on the first, and the second is told with its next report.
func TestTwoAgentsClaimOneIDAtOnce(t *testing.T) {
	t.Parallel()
	for _, firstAtB := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			shared := memory(t)
			atA, atB := &unwell{Store: shared, changed: make(chan struct{})}, &unwell{Store: join(t, shared), changed: make(chan struct{})}
			first := start(t, store.SyncerConfig{Store: atA, Director: "a", Config: edges()})
			second := start(t, store.SyncerConfig{Store: atB, Director: "b", Config: edges()})
			if firstAtB {
				first, second = second, first
			}
			pass(3 * tick)
			atA.set(away)
			atB.set(away)
			pass(tick)
			register(t, first, edge("edge-1", "early", 1))
			pass(tick)
			register(t, second, edge("edge-1", "late", 2))
			pass(tick)
			atA.set(well)
			atB.set(well)
			pass(4 * tick)
			for _, d := range []*rig{first, second} {
				if n, _ := d.node("edge-1"); n.Used != 1 {
					t.Errorf("%s has %d listeners, want those of the first", d.name, n.Used)
				}
			}
			if _, err := second.Register(edge("edge-1", "late", 2), 0); !errors.As(err, new(*store.HeldError)) {
				t.Errorf("the second, with its next report: %v", err)
			}
			register(t, first, edge("edge-1", "early", 1))
		})
	}
}

func TestRegistrationsThatAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := edges()
		c.Self = []string{"radio.example:8000"}
		shared := memory(t)
		d := start(t, store.SyncerConfig{Store: shared, Config: c})
		pass(3 * tick)
		for _, tc := range []struct {
			name   string
			change func(*store.Registration)
			want   error
			text   string
		}{
			{"a declared node's id", func(r *store.Registration) { r.Node = "n1" }, store.ErrDeclared, "--id"},
			{"an id that is not allowed", func(r *store.Registration) { r.Node = "fra1" }, store.ErrNotAdmitted, "edge-*"},
			{"an id with a slash", func(r *store.Registration) { r.Node = "edge-/" }, store.ErrBadNode, "use letters"},
			{"no URL", func(r *store.Registration) { r.URLs = nil }, store.ErrBadNode, "urls: no URL"},
			{"no scheme", func(r *store.Registration) { r.URLs = []string{"edge.example"} }, store.ErrBadNode, "urls[0]: "},
			{"the director itself", func(r *store.Registration) { r.URLs = []string{"http://radio.example:8000"} }, store.ErrBadNode, "points back at a director"},
			{"limit below target", func(r *store.Registration) { r.Limit = 50 }, store.ErrBadNode, "limit: the limit 50 is below the target 100"},
			{"a negative target", func(r *store.Registration) { r.Target = -1 }, store.ErrBadNode, "target: must be 0 or more"},
		} {
			r := edge("edge-1", "i1", 1)
			tc.change(&r)
			if _, err := d.Register(r, 0); !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%s: %v; want %v and %q", tc.name, err, tc.want, tc.text)
			}
		}
		pass(3 * tick)
		if d.View().Nodes() != 1 || len(d.Registrations()) != 0 {
			t.Errorf("something was taken: %+v", d.Registrations())
		}
		// A good node that turns bad is refused, too, and stays as it was.
		register(t, d, edge("edge-1", "i1", 1))
		bad := edge("edge-1", "i1", 1)
		bad.URLs = []string{"http://radio.example:8000"}
		if _, err := d.Register(bad, 0); !errors.Is(err, store.ErrBadNode) {
			t.Errorf("a good node that turns bad: %v", err)
		}
		many := store.Offer{Director: store.Director{ID: "another"}}
		for i := range store.MaxRegistered + 5 {
			r := edge(director.NodeID(fmt.Sprint("edge-x", i)), "i", 1)
			r.Since, r.Seen = time.Now(), time.Now()
			many.Registrations = append(many.Registrations, r)
		}
		if _, err := shared.Sync(t.Context(), many); err != nil {
			t.Fatal(err)
		}
		pass(twoTicks)
		if n := len(d.Registrations()); n != store.MaxRegistered {
			t.Errorf("%d are known, want no more than %d", n, store.MaxRegistered)
		}
		if _, err := d.Register(edge("edge-more", "i1", 1), 0); !errors.Is(err, store.ErrTooMany) {
			t.Errorf("one more than the most: %v", err)
		}
		register(t, d, edge("edge-1", "i1", 1))
	})
}

// An agent that sees its server, and not the firewall before it, attracts nobody.
func TestRegisteredNodeOutOfReach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := two(t, store.SyncerConfig{})
		reach := func(health director.Health, by ...*rig) {
			for _, d := range by {
				d.prober.tell(director.Report{Node: "edge-1", Health: health, Since: time.Now(), Detail: "GET /live.mp3: no whole answer", Listeners: -1, IPv4: true})
			}
			register(t, a, edge("edge-1", "i1", 7)) // its agent goes on
			pass(3 * tick)
		}
		register(t, a, edge("edge-1", "i1", 7))
		pass(3 * tick)
		for _, c := range []struct {
			what   string
			health director.Health
			by     []*rig
			want   string
		}{
			{"one director does not reach it", director.Failed, []*rig{a}, "fit"},
			{"none does", director.Failed, []*rig{a, b}, "down"},
			{"one does again", director.Up, []*rig{b}, "fit"},
		} {
			reach(c.health, c.by...)
			if got := isAt("edge-1", a, b); got != c.want {
				t.Errorf("%s: %s, want %s", c.what, got, c.want)
			}
			n, _ := a.node("edge-1")
			if down := c.want == "down"; strings.Contains(n.Report.Detail, "(--url)") != down || strings.Contains(n.Report.Detail, "no whole answer") != down {
				t.Errorf("%s: %q", c.what, n.Report.Detail)
			}
			if n.Used != 7 || n.Report.By != "its agent" || !n.Report.IPv4 {
				t.Errorf("%s: %+v", c.what, n)
			}
		}
		if n, _ := a.node("edge-1"); n.WarmUp >= 1 {
			t.Error("back within reach, it does not warm up")
		}
		if a.log.Count("registered node is down") != 1 {
			t.Errorf("want one line:\n%s", a.log)
		}
		// An agent that says "down" is believed at once.
		r := edge("edge-1", "i1", 7)
		r.Report.Health, r.Report.Detail = director.Failed, "by its agent"
		register(t, b, r)
		pass(3 * tick)
		if n, _ := a.node("edge-1"); n.State != director.Down || n.Report.Detail != "by its agent" {
			t.Errorf("down by its agent's word: %+v", n.Report)
		}
	})
}

// The file is the operator's: what it says now holds for nodes that registered before.
func TestReloadDecidesAboutRegisteredNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, store.SyncerConfig{Store: memory(t), Config: edges()})
		pass(3 * tick)
		reload := func(c director.Config) {
			t.Helper()
			if err := d.SetConfig(c); err != nil {
				t.Fatal(err)
			}
			pass(twoTicks)
		}
		register(t, d, edge("edge-1", "i1", 7))
		register(t, d, edge("edge-2", "i2", 8))
		pass(3 * tick)
		declared := edges()
		declared.Nodes = append(declared.Nodes, director.Node{ID: "edge-1", URLs: []string{"http://declared.example"}})
		reload(declared)
		if n, _ := d.node("edge-1"); n.URLs[0] != "http://declared.example" || n.Report.By != d.Status().Director.ID {
			t.Errorf("the declared node does not win: %+v", n)
		}
		if _, err := d.Register(edge("edge-1", "i1", 7), 0); !errors.Is(err, store.ErrDeclared) {
			t.Errorf("its agent is told: %v", err)
		}
		none := config("n1")
		reload(none)
		if got := isAt("edge-2", d); got != "absent" {
			t.Errorf("no more allowed: %s", got)
		}
		self := edges()
		self.Self = []string{"edge-2.example:8000"}
		reload(self)
		if got := isAt("edge-1", d) + " " + isAt("edge-2", d); got != "fit absent" {
			t.Errorf("one of two points back at a director: %s", got)
		}
		reload(edges())
		if got := isAt("edge-1", d) + " " + isAt("edge-2", d); got != "fit fit" {
			t.Errorf("all is well again: %s", got)
		}
		if d.log.Count("stays out of the fleet") != 4 {
			t.Errorf("want a line for each that stays out:\n%s", d.log)
		}
	})
}

// The director that an agent talked to dies with the store's memory of it: the
// others still know, and so does one that starts then.
func TestRegistrationOutlivesItsDirector(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := memory(t)
		a := start(t, store.SyncerConfig{Store: shared, Director: "a", Config: edges(), ForgetAfter: 10 * time.Minute})
		b := start(t, store.SyncerConfig{Store: join(t, shared), Director: "b", Config: edges(), ForgetAfter: 10 * time.Minute})
		pass(3 * tick)
		register(t, a, edge("edge-1", "i1", 7))
		pass(3 * tick)
		a.stop()
		pass(2 * store.ReportLife)
		c := start(t, store.SyncerConfig{Store: join(t, shared), Director: "c", Config: edges(), ForgetAfter: 10 * time.Minute})
		pass(4 * tick)
		if got := isAt("edge-1", b, c); got != "fit" {
			t.Errorf("after the director is past its life: %s, want it known, and as it is reached", got)
		}
		register(t, c, edge("edge-1", "i1", 7))
		pass(3 * tick)
		if got := isAt("edge-1", b, c); got != "fit" {
			t.Errorf("with the next report: %s", got)
		}
	})
}

// While the store is away nodes register all the same, and a store whose clock
// differs from the one before takes nobody down.
func TestRegistrationsAndTheStoresTroubles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newUnwell(t, away)
		d := start(t, store.SyncerConfig{Store: s, Config: edges()})
		pass(5 * time.Second)
		refresh := func(seconds int) {
			for range seconds {
				register(t, d, edge("edge-1", "i1", 7))
				pass(time.Second)
			}
		}
		refresh(3)
		if got := isAt("edge-1", d); got != "fit" {
			t.Errorf("while the store is away: %s", got)
		}
		for _, ahead := range []time.Duration{10 * time.Minute, -10 * time.Minute, 0} {
			s.replace(memoryAt(t, func() time.Time { return time.Now().Add(ahead) }))
			s.set(well)
			for range 8 {
				refresh(1)
				if got := isAt("edge-1", d); got != "fit" {
					t.Errorf("the store's clock is %v ahead: %s", ahead, got)
				}
			}
		}
	})
}

// Operators' rows name registered nodes like declared ones.
func TestOverlayRowsOfRegisteredNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := start(t, store.SyncerConfig{Store: memory(t), Config: edges()})
		pass(3 * tick)
		stamp := store.Stamp{By: "anna", At: time.Now()}
		o := store.Overlay{
			Rows:  map[director.RegionID]store.Row{"world": {Weights: map[director.NodeID]float64{"edge-9": 1}, Stamp: stamp}},
			Nodes: map[director.NodeID]store.NodeSetting{"edge-1": {State: store.NodeDrained, Stamp: stamp}},
		}
		if _, err := d.Edit(t.Context(), 0, o); err != nil {
			t.Fatal(err)
		}
		register(t, d, edge("edge-1", "i1", 7))
		pass(3 * tick)
		if got := isAt("edge-1", d); got != "drained" {
			t.Errorf("drained by the overlay: %s", got)
		}
		register(t, d, edge("edge-9", "i9", 7))
		pass(3 * tick)
		var x director.Decision
		d.View().Decide(&x, director.Listener{Mount: "/live.mp3", Scheme: director.HTTP}, nil)
		if len(x.Ranked) != 1 || d.View().NodeID(x.Ranked[0].Node) != "edge-9" {
			t.Errorf("the operators' row: %+v", x)
		}
	})
}
