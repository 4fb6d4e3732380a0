package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// A stream is one connection to the events.
type stream struct {
	t      *testing.T
	lines  *bufio.Scanner
	status int
	close  func()
}

// serve answers at a real address.
func (r *running) serve() string {
	s := httptest.NewServer(r.h)
	r.t.Cleanup(s.Close)
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.h.Run(ctx) }()
	r.t.Cleanup(func() { cancel(); <-done })
	return s.URL
}

func follow(t *testing.T, url, token string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{t, bufio.NewScanner(resp.Body), resp.StatusCode, func() { cancel(); resp.Body.Close() }}
	s.lines.Buffer(nil, 10<<20)
	t.Cleanup(s.close)
	return s
}

// next waits for an event of this name that holds, and passes over others.
func next[T any](s *stream, name string, holds func(T) bool) T {
	s.t.Helper()
	at := ""
	for s.lines.Scan() {
		if e, ok := strings.CutPrefix(s.lines.Text(), "event: "); ok {
			at = e
		}
		data, ok := strings.CutPrefix(s.lines.Text(), "data: ")
		if !ok || at != name {
			continue
		}
		var v T
		if err := json.Unmarshal([]byte(data), &v); err != nil {
			s.t.Fatalf("%s: %v: %s", name, err, data)
		}
		if holds(v) {
			return v
		}
	}
	s.t.Fatalf("the events ended before %s: %v", name, s.lines.Err())
	panic("not reached")
}

func is[T any](T) bool { return true }

func TestEvents(t *testing.T) {
	t.Parallel()
	var sent atomic.Uint64
	r := fleetOf(t, director.Config{
		Nodes:       []director.Node{{ID: "fra1", URLs: []string{"http://fra1.example"}}},
		Regions:     []director.Region{{ID: "de", Match: director.Match{Default: true}, Row: []director.Weight{{Node: "fra1"}}}},
		MayRegister: []string{"edge-*"},
	}, Config{Version: "v1", Traffic: func() Traffic {
		n := sent.Add(10)
		return Traffic{Answers: map[string]uint64{"redirect": n, "deny": 5}, Regions: map[director.RegionID]uint64{"de": n}, Nodes: map[director.NodeID]uint64{"fra1": n}}
	}})
	r.h.eventInterval = 200 * time.Millisecond
	url := r.serve()
	s := follow(t, url, "v")
	if h := next(s, "hello", is[hello]); h.Identity.Name != "anna" || h.Identity.Role != api.RoleView || h.Version != "v1" || h.Director == "" || time.Since(h.Now).Abs() > time.Minute {
		t.Errorf("hello: %+v", h)
	}
	type nodes struct {
		Nodes []api.Node
		Gone  []director.NodeID
	}
	if n := next(s, "nodes", is[nodes]); len(n.Nodes) != 1 || n.Nodes[0].ID != "fra1" {
		t.Errorf("nodes: %+v", n)
	}
	next(s, "status", is[api.StatusAnswer])
	next(s, "mounts", is[api.MountsAnswer])
	if o := next(s, "overlay", is[overlayEvent]); o.Revision != 0 || o.Last != nil {
		t.Errorf("overlay: %+v", o)
	}
	traffic := next(s, "traffic", is[api.Rates])
	if per := traffic.Answers["redirect"]; per <= 0 || len(traffic.Answers) != 1 || traffic.Nodes["fra1"] != per || traffic.Regions["de"] != per {
		t.Errorf("traffic: %+v", traffic)
	}
	if per := r.region("de").SentPerS; per <= 0 {
		t.Errorf("a region's rate: %g", per)
	}

	decode[api.Node](t, r.with("o", "POST", "/api/v1/nodes/fra1/drain", "", `{"why":"<script>"}`), 200)
	o := next(s, "overlay", func(o overlayEvent) bool { return o.Revision == 1 })
	if o.Last.By != "ops" || o.Last.Why != "<script>" || o.Last.Entries[0].Entry != "nodes/fra1" {
		t.Errorf("overlay: %+v", o)
	}
	next(s, "nodes", func(n nodes) bool { return len(n.Nodes) == 1 && n.Nodes[0].Drained })

	do(r.h, "PUT", "/api/v1/nodes/edge-1", "Bearer a", agent("i1", nil))
	next(s, "nodes", func(n nodes) bool {
		return slices.ContainsFunc(n.Nodes, func(n api.Node) bool { return n.ID == "edge-1" })
	})
	do(r.h, "PUT", "/api/v1/nodes/edge-1", "Bearer a", agent("i1", func(a *api.Announcement) { a.Report.Mounts[0].Title = "</script><b>" }))
	next(s, "mounts", func(m api.MountsAnswer) bool { return len(m.Mounts) == 1 && m.Mounts[0].Playing == "</script><b>" })
	r.with("o", "DELETE", "/api/v1/nodes/edge-1", "", "")
	next(s, "nodes", func(n nodes) bool { return len(n.Gone) == 1 && n.Gone[0] == "edge-1" })

	// Who comes later is told everything.
	late := follow(t, url, "o")
	if n := next(late, "nodes", is[nodes]); len(n.Nodes) != 1 || !n.Nodes[0].Drained {
		t.Errorf("the second: %+v", n)
	}
	if o := next(late, "overlay", is[overlayEvent]); o.Revision != 1 {
		t.Errorf("the second: %+v", o)
	}
}

// An edit is told at once, and not with what is told each second.
func TestEditsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	r := fleetOf(t, director.Config{Nodes: []director.Node{{ID: "fra1", URLs: []string{"http://fra1.example"}}}}, Config{})
	r.h.eventInterval = time.Hour
	s := follow(t, r.serve(), "v")
	next(s, "overlay", is[overlayEvent])
	decode[api.Node](t, r.with("o", "POST", "/api/v1/nodes/fra1/drain", "", ""), 200)
	next(s, "overlay", func(o overlayEvent) bool { return o.Revision == 1 })
}

// Whose token is taken away is cut.
func TestEventsEndWithTheToken(t *testing.T) {
	t.Parallel()
	var tokens atomic.Pointer[[]Token]
	tokens.Store(&fleetTokens)
	r := fleetOf(t, director.Config{Nodes: []director.Node{{ID: "fra1", URLs: []string{"http://fra1.example"}}}}, Config{Tokens: func() []Token { return *tokens.Load() }})
	r.h.eventInterval = 200 * time.Millisecond
	url := r.serve()
	s := follow(t, url, "v")
	next(s, "overlay", is[overlayEvent])
	rest := fleetTokens[3:]
	tokens.Store(&rest)
	for s.lines.Scan() { // until they end, or patience does: then there is an error
	}
	if err := s.lines.Err(); err != nil {
		t.Errorf("the events did not end: %v", err)
	}
	if s := follow(t, url, "a"); s.status != 401 {
		t.Errorf("an agent: %d", s.status)
	}
}

// A subscriber who does not read is cut, and nobody waits for it.
func TestEventsCutWhoIsSlow(t *testing.T) {
	t.Parallel()
	r := edited(t)
	slow, _, err := r.h.hub.join(r.h)
	if err != nil {
		t.Fatal(err)
	}
	quick, _, err := r.h.hub.join(r.h)
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxBehind + 1 {
		r.h.hub.mu.Lock()
		r.h.hub.send([]byte{byte(i)})
		r.h.hub.mu.Unlock()
		if got := <-quick.events; got[0] != byte(i) {
			t.Errorf("event %d: %v", i, got)
		}
	}
	<-slow.cut
	select {
	case <-quick.cut:
		t.Error("who reads was cut too")
	default:
	}
	r.h.hub.leave(slow) // again, as its connection ends
	for range maxSubscribers - 1 {
		if _, _, err := r.h.hub.join(r.h); err != nil {
			t.Fatal(err)
		}
	}
	if p := problemIn(t, r.with("v", "GET", "/api/v1/events", "", "")); p.Status != 503 {
		t.Errorf("one more than there is room for: %+v", p)
	}
	r.h.hub.close()
	<-quick.cut
	if _, _, err := r.h.hub.join(r.h); err == nil {
		t.Error("somebody was let in after the end")
	}
}

// A connection that takes nothing holds up neither edits nor other subscribers.
func TestEventsWithABlockedConnection(t *testing.T) {
	t.Parallel()
	var nodes []director.Node
	for i := range 300 {
		nodes = append(nodes, director.Node{ID: director.NodeID(fmt.Sprintf("n%d", i)), URLs: []string{fmt.Sprintf("http://n%d.example/%s", i, strings.Repeat("x", 500))}})
	}
	r := fleetOf(t, director.Config{Nodes: nodes}, Config{})
	url := r.serve()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(1024)
	fmt.Fprintf(conn, "GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer v\r\n\r\n")
	r.eventually("it is in", func() bool { r.h.hub.mu.Lock(); defer r.h.hub.mu.Unlock(); return len(r.h.hub.all) == 1 })
	s := follow(t, url, "v")
	next(s, "overlay", is[overlayEvent])
	for i := range 3 {
		decode[api.Node](t, r.with("o", "POST", fmt.Sprintf("/api/v1/nodes/n%d/drain", i), "", ""), 200)
		next(s, "overlay", func(o overlayEvent) bool { return int(o.Revision) == i+1 })
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m meter
		count := func(n uint64) Traffic { return Traffic{Answers: map[string]uint64{"redirect": n, "old": 3}} }
		m.measure(count(5), time.Now())
		if m.rates.Load() != nil {
			t.Error("a rate of one measurement")
		}
		time.Sleep(2 * time.Second)
		m.measure(count(25), time.Now())
		if r := m.rates.Load(); r.Seconds != 2 || r.Answers["redirect"] != 10 || len(r.Answers) != 1 {
			t.Errorf("%+v", r)
		}
		m.measure(count(30), time.Now()) // no time has passed
		if r := m.rates.Load(); r.Answers["redirect"] != 10 {
			t.Errorf("%+v", r)
		}
	})
}
