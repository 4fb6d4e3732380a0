package web

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/signpost-fm/signpost/director"
)

var update = flag.Bool("update", false, "write golden files anew")

var epoch = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// world is a server with a fleet behind it and a clock that stands still.
type world struct {
	*Server
	t      *testing.T
	fleet  director.Config
	down   map[director.NodeID]bool
	full   map[director.NodeID]bool
	clock  atomic.Int64 // since epoch
	view   atomic.Pointer[director.View]
	live   *liveCounts
	mu     sync.Mutex
	record []Record
}

// liveCounts remembers what was counted, by node number.
type liveCounts struct {
	mu    sync.Mutex
	count map[int]int
}

func (l *liveCounts) Used(int) int    { return 0 }
func (l *liveCounts) Recent(int) int  { return 0 }
func (l *liveCounts) Expect(int, int) {}
func (l *liveCounts) Count(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count[n]++
}

func (l *liveCounts) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := 0
	for _, n := range l.count {
		sum += n
	}
	return sum
}

var (
	german  = netip.MustParseAddr("203.0.113.7")
	denied  = netip.MustParseAddr("198.51.100.9")
	balance = netip.MustParseAddr("10.0.0.5") // a trusted proxy
)

// fleet is two nodes for everybody, of which one speaks https as well, and a
// third for who overflows.
func fleet() director.Config {
	return director.Config{
		Nodes: []director.Node{
			{ID: "fra1", URLs: []string{"http://fra1.example:8000", "https://fra1.example"}},
			{ID: "ber1", URLs: []string{"http://ber1.example:8000", "https://ber1.example"}, Paths: map[string]string{"/live.mp3": "/radio/live"}},
			{ID: "ams1", URLs: []string{"http://ams1.example:8000"}},
		},
		Mounts: []director.Mount{
			{Name: "/live.mp3", Aliases: []string{"/live"}, Title: `Tom & Jerry's <"Radio">`, Type: "audio/mpeg"},
			{Name: "/plain.mp3"}, // carried by ams1 only, which has no https
			{Name: "/off.mp3"},   // carried by nobody
			{Name: "/studio/größe.ogg", Title: "Größe"},
			{Name: "/list.m3u"}, // a mount that looks like a playlist
		},
		Regions: []director.Region{
			{ID: "home", Match: director.Match{Default: true}, Row: weights("fra1", "ber1"), Overflow: []director.RegionID{"far"}},
			{ID: "far", Row: weights("ams1")},
			{ID: "shut", Match: director.Match{CIDRs: []netip.Prefix{netip.PrefixFrom(denied, 24)}}, Row: weights("fra1"), Deny: []string{"*"}},
		},
	}
}

func weights(ids ...director.NodeID) []director.Weight {
	var row []director.Weight
	for _, id := range ids {
		row = append(row, director.Weight{Node: id, Weight: 1, Given: true})
	}
	return row
}

// newWorld makes a server; change may alter its configuration.
func newWorld(t *testing.T, change func(*Config)) *world {
	t.Helper()
	w := &world{
		t: t, fleet: fleet(), down: map[director.NodeID]bool{}, full: map[director.NodeID]bool{},
		live: &liveCounts{count: map[int]int{}},
	}
	w.build()
	c := Config{
		View:       func() director.View { return *w.view.Load() },
		Locate:     func(netip.Addr) director.Place { return director.Place{Country: director.Code{'D', 'E'}} },
		Now:        func() time.Time { return epoch.Add(time.Duration(w.clock.Load())) },
		Log:        slog.New(slog.DiscardHandler),
		HashSecret: []byte("test"),
		Record: func(r *Record) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.record = append(w.record, *r)
		},
		Policy: Policy{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
	}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	w.Server = s
	return w
}

// build makes the snapshot that follows from what the world looks like.
func (w *world) build() {
	w.t.Helper()
	f, err := director.Compile(w.fleet)
	if err != nil {
		w.t.Fatal(err)
	}
	reports, now := map[director.NodeID]director.Report{}, epoch.Add(time.Duration(w.clock.Load()))
	for _, n := range w.fleet.Nodes {
		r := director.Report{Node: n.ID, Taken: now, Health: director.Up, Since: epoch, Full: w.full[n.ID]}
		if w.down[n.ID] {
			r.Health = director.Failed
		}
		for _, m := range w.fleet.Mounts {
			if m.Name == "/off.mp3" || m.Name == "/plain.mp3" && n.ID != "ams1" {
				continue
			}
			path := m.Name
			if p := n.Paths[m.Name]; p != "" {
				path = p
			}
			r.Mounts = append(r.Mounts, director.MountReport{Path: path, Type: "audio/aac"})
		}
		reports[n.ID] = r
	}
	w.view.Store(&director.View{Snapshot: f.Build(nil, director.Input{Now: now, Reports: reports}), Live: w.live})
}

func (w *world) tick(d time.Duration) { w.clock.Add(int64(d)) }

// lastRecord returns the newest record.
func (w *world) lastRecord() Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.record[len(w.record)-1]
}

// ask is a request to the world.
type ask struct {
	method string // empty: GET
	url    string
	from   netip.Addr // zero: german
	header map[string]string
	host   string // empty: radio.example; " ": none
	http10 bool
}

func (w *world) do(a ask) *httptest.ResponseRecorder {
	w.t.Helper()
	if a.method == "" {
		a.method = http.MethodGet
	}
	if !a.from.IsValid() {
		a.from = german
	}
	r := httptest.NewRequest(a.method, a.url, nil)
	r.RemoteAddr = netip.AddrPortFrom(a.from, 4711).String()
	r.Host = "radio.example"
	if a.host != "" {
		r.Host = strings.TrimSpace(a.host)
	}
	for k, v := range a.header {
		r.Header.Set(k, v)
	}
	if a.http10 {
		r.Proto, r.ProtoMinor = "HTTP/1.0", 0
	}
	rec := httptest.NewRecorder()
	w.Handler().ServeHTTP(rec, r)
	return rec
}

func (w *world) get(url string) *httptest.ResponseRecorder { w.t.Helper(); return w.do(ask{url: url}) }

// overHTTPS is the header of a trusted proxy that speaks TLS with the listener.
func overHTTPS(more ...string) ask {
	a := ask{from: balance, header: map[string]string{"X-Forwarded-For": german.String(), "X-Forwarded-Proto": "https"}}
	for i := 0; i+1 < len(more); i += 2 {
		a.header[more[i]] = more[i+1]
	}
	return a
}

func (a ask) at(url string) ask { a.url = url; return a }

// golden compares a whole response with a file.
func golden(t *testing.T, name string, rec *httptest.ResponseRecorder) {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d %s\n", rec.Code, http.StatusText(rec.Code))
	keys := make([]string, 0, len(rec.Header()))
	for k := range rec.Header() {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		for _, v := range rec.Header()[k] {
			if k == "Retry-After" {
				v = "5 to 20"
			}
			fmt.Fprintf(&b, "%s: %s\n", k, v)
		}
	}
	fmt.Fprintf(&b, "\n%s", rec.Body)
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", file, diff)
	}
}
