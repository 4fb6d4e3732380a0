// Package origin keeps every node's HLS playlist or DASH MPD fresh, so that a director has
// them at hand when a listener asks.
package origin

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/web/hls"
)

const (
	// keep is how long a multivariant playlist is used before it is asked for again, with
	// a conditional request. Packagers write it once, at their start.
	keep = 10 * time.Second
	// keepMedia is the same for a node that has a media playlist in its place.
	keepMedia = 30 * time.Second
	// keepMPD is the same for an MPD whose segments it lists, at least: twice as often as
	// players read it again (@minimumUpdatePeriod).
	keepMPD = time.Second
	// retry is after how long a node that failed or was refused is asked again.
	retry = 2 * time.Second
	// look is how often nodes and mounts are compared with those that are read.
	look = 500 * time.Millisecond
	// firstLook is the same until First, and firstTime how long First waits for nodes. A player
	// that comes before is sent to one node, and cannot be moved for as long as it plays.
	firstLook = 20 * time.Millisecond
	firstTime = 3 * time.Second
	// goodFor is how long the last good playlist is used while the node gives no other:
	// whether the node plays at all is for probes to find out.
	goodFor = 10 * time.Minute
	// goodForMPD is the same for a live MPD, whose segments are soon gone; or four times
	// @minimumUpdatePeriod, if that is more.
	goodForMPD = 10 * time.Second

	timeout = 5 * time.Second
	atOnce  = 16 // requests
)

// A Kind is what a node has under a mount's path.
type Kind uint8

// The kinds.
const (
	Unknown      Kind = iota // nothing was read yet, or nothing that could be used
	Media                    // a media playlist of HLS
	Multivariant             // a multivariant playlist of HLS
	MPD                      // an MPD of DASH
)

// Steers says whether players can be moved between nodes that have something of this kind.
func (k Kind) Steers() bool { return k == Multivariant || k == MPD }

// A Playlist is what a node has under a mount's path, with URLs for listeners of one
// scheme. It is immutable.
type Playlist struct {
	Kind         Kind
	Multivariant *hls.Multivariant // of that kind; nil: else
	MPD          *hls.MPD          // of that kind; nil: else
}

// Least is at how many bit/s a player gets the least that there is to play; 0: it is not told,
// or p is nil.
func (p *Playlist) Least() int64 {
	switch {
	case p == nil:
	case p.Multivariant != nil:
		return p.Multivariant.Least()
	case p.MPD != nil:
		return p.MPD.Least()
	}
	return 0
}

// A Mount is what all nodes have of a mount, for listeners of one scheme. It is immutable.
type Mount struct {
	// Kind is Multivariant or MPD if players can be steered; else Media, or Unknown.
	Kind Kind
	// Playlists are those between which players can be moved.
	Playlists map[director.NodeID]*Playlist
	// Others are the nodes without one, in order. Odd are those of them that have another
	// one: a player can be there, but must not be moved there. Of the rest nothing is known
	// at present.
	Others, Odd []director.NodeID
}

// A Refusal is a playlist that cannot be used, could not be read, or is unlike the others.
type Refusal struct {
	Node  director.NodeID
	Mount string
	Text  string // why, for an operator
	Since time.Time
}

// Config is what a [Reader] needs.
type Config struct {
	View   func() director.View
	Wants  func(*director.Mount) bool // whether a mount is HLS or DASH
	Client *http.Client               // nil: one of the Reader's own
	Agent  string                     // User-Agent
	Now    func() time.Time           // nil: time.Now
	Log    *slog.Logger               // nil: slog.Default
}

// A Reader reads the playlists of all nodes in the background. Its methods are safe for
// concurrent use and wait for nothing.
type Reader struct {
	cfg Config
	// How long each is waited for until the next question.
	keep, keepMedia, retry time.Duration
	// firstTime is how long First waits.
	firstTime time.Duration

	told  atomic.Pointer[told]
	done  chan reading
	first chan struct{}

	// What follows belongs to the goroutine of Run.
	places  map[string]map[director.NodeID]*place // by mount
	reading int
	dirty   bool      // what is told is not what is known any more
	begun   time.Time // when there was a first snapshot; zero: there is none
	noted   bool      // first is closed
}

// told is what is told of all mounts. It is replaced as a whole.
type told struct {
	mounts   map[string]*[2]Mount // by schemeIndex
	refusals []Refusal
}

// A place is a mount's path at a node. What is below at belongs to the goroutine of Run.
type place struct {
	mount string
	node  director.NodeID
	from  string    // the URL that is read
	at    [2]string // those of listeners, by schemeIndex; empty: none

	busy bool
	due  time.Time
	state
}

// state is what is known of a place.
type state struct {
	etag    string
	since   string       // Last-Modified
	text    []byte       // as it was last used
	good    time.Time    // when it was last confirmed
	lists   [2]*Playlist // by schemeIndex; nil: the node has no such URL, or nothing was read
	refusal *Refusal     // nil: none
	remarks []string     // what is odd in it, and does no harm to its use
}

// A reading is what has become of a place by reading it, and after how long it is to be read
// again.
type reading struct {
	*place
	state
	after time.Duration
}

// New returns a Reader. [Reader.Run] must follow.
func New(c Config) *Reader {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Client == nil {
		c.Client = newClient()
	}
	r := &Reader{
		keep: keep, keepMedia: keepMedia, retry: retry, firstTime: firstTime,
		cfg: c, done: make(chan reading, atOnce), first: make(chan struct{}), places: map[string]map[director.NodeID]*place{},
	}
	r.told.Store(&told{})
	return r
}

func schemeIndex(s director.Scheme) int {
	if s&director.HTTP != 0 {
		return 0
	}
	return 1
}

// Mount returns what the nodes have of a mount, for listeners who are sent to URLs of a
// scheme; nil: nothing is known. If both schemes will do, it is HTTP, as in
// [director.Snapshot.URL].
func (r *Reader) Mount(name string, scheme director.Scheme) *Mount {
	if m := r.told.Load().mounts[name]; m != nil {
		return &m[schemeIndex(scheme)]
	}
	return nil
}

// Refusals returns what cannot be used now, in order of mounts and nodes. The caller must
// not change it.
func (r *Reader) Refusals() []Refusal { return r.told.Load().refusals }

// First is closed when there is a snapshot, and each playlist of a node that is not down was
// read or refused, or that takes more than 3 s.
func (r *Reader) First() <-chan struct{} { return r.first }

// noteFirst closes first once it is time, and says whether it is.
func (r *Reader) noteFirst() bool {
	view, now := r.cfg.View(), r.cfg.Now()
	if view.Snapshot == nil {
		return false
	}
	if r.begun.IsZero() {
		r.begun = now
	}
	if now.Sub(r.begun) < r.firstTime {
		for _, nodes := range r.places {
			for id, p := range nodes {
				if n, ok := view.FindNode(id); p.good.IsZero() && p.refusal == nil && (!ok || view.State(n) != director.Down) {
					return false
				}
			}
		}
	}
	r.noted = true
	close(r.first)
	return true
}

// Run reads until ctx is done.
func (r *Reader) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	tick := time.NewTicker(firstLook)
	defer tick.Stop()
	for {
		r.survey()
		r.start(ctx, &all)
		if r.dirty {
			r.tell()
		}
		if !r.noted && r.noteFirst() {
			tick.Reset(look)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case d := <-r.done:
			r.dirty = r.dirty || d.state.lists != d.place.lists || d.state.refusal != d.place.refusal
			d.place.state, d.busy = d.state, false
			// So that directors do not ask all at once.
			d.due = r.cfg.Now().Add(d.after - d.after/10 + rand.N(d.after/5))
			r.reading--
		}
	}
}

// survey updates which places are read.
func (r *Reader) survey() {
	view := r.cfg.View()
	if view.Snapshot == nil {
		return
	}
	next := map[string]map[director.NodeID]*place{}
	for m := range view.Mounts() {
		mount := view.Mount(m)
		if !r.cfg.Wants(mount) {
			continue
		}
		was := r.places[mount.Name]
		nodes := map[director.NodeID]*place{}
		for n := range view.Nodes() {
			base, path := view.Upstream(n, m)
			if base == "" {
				continue
			}
			p := &place{mount: mount.Name, node: view.NodeID(n), from: base + path}
			for i, scheme := range [...]director.Scheme{director.HTTP, director.HTTPS} {
				if public, path := view.URL(n, m, scheme); public != "" {
					p.at[i] = public + path
				}
			}
			if same := was[p.node]; same != nil && same.from == p.from && same.at == p.at {
				p = same
			} else {
				r.dirty = true
			}
			nodes[p.node] = p
		}
		r.dirty = r.dirty || len(nodes) != len(was)
		next[mount.Name] = nodes
	}
	r.dirty = r.dirty || len(next) != len(r.places)
	r.places = next
}

// start begins to read the places that are due.
func (r *Reader) start(ctx context.Context, all *sync.WaitGroup) {
	view, now := r.cfg.View(), r.cfg.Now()
	for _, nodes := range r.places {
		for id, p := range nodes {
			if p.busy || now.Before(p.due) {
				continue
			}
			if p.lists != ([2]*Playlist{}) && now.Sub(p.good) > p.goodFor() {
				p.lists, r.dirty = [2]*Playlist{}, true
			}
			if n, ok := view.FindNode(id); ok && view.State(n) == director.Down {
				continue // probes ask it often enough
			}
			if r.reading >= atOnce {
				return // the next that ends makes room
			}
			p.busy = true
			r.reading++
			d := reading{place: p, state: p.state}
			all.Go(func() {
				d.after = r.read(ctx, &d)
				r.done <- d // it has room for all
			})
		}
	}
}

// use takes a text over, unless it cannot be used: then what was used before goes on. It
// returns when to ask again.
func (r *Reader) use(d *reading, text []byte, final string) (after time.Duration) {
	lists, err := d.parse(text, final)
	if err != nil {
		return r.refuse(d, err)
	}
	d.state.lists, d.state.text = lists, text
	r.remark(d)
	return r.confirm(d)
}

// remark logs what operators should know of a playlist that is used, once.
func (r *Reader) remark(d *reading) {
	var all []string
	for _, l := range d.lists {
		if l == nil {
			continue
		}
		for _, text := range l.warnings() {
			if slices.Contains(all, text) {
				continue // that of the other scheme has it, too
			}
			all = append(all, text)
			if !slices.Contains(d.remarks, text) {
				r.cfg.Log.Warn("a playlist is used, and has something odd", "node", d.node, "mount", d.mount, "what", text)
			}
		}
	}
	d.remarks = all
}

func (l *Playlist) warnings() []string {
	switch l.Kind {
	case Multivariant:
		return l.Multivariant.Warnings
	case MPD:
		return l.MPD.Warnings
	}
	return nil
}

// confirm notes that the node has what was read.
func (r *Reader) confirm(d *reading) (after time.Duration) {
	s := &d.state
	if s.refusal != nil {
		r.cfg.Log.Info("a playlist can be used again", "node", d.node, "mount", d.mount)
		s.refusal = nil
	}
	s.good = r.cfg.Now()
	for _, l := range s.lists {
		switch {
		case l == nil:
		case l.Kind == Media:
			return r.keepMedia
		case l.Kind == MPD && l.MPD.Dynamic && l.MPD.Update > 0:
			return max(keepMPD, min(l.MPD.Update/2, r.keep))
		}
	}
	return r.keep
}

// goodFor is how long what was read last is used without being confirmed.
func (p *place) goodFor() time.Duration {
	for _, l := range p.lists {
		if l != nil && l.Kind == MPD && l.MPD.Dynamic {
			return min(goodFor, max(goodForMPD, 4*l.MPD.Update))
		}
	}
	return goodFor
}

func (r *Reader) refuse(d *reading, err error) (after time.Duration) {
	s, text, since := &d.state, wording.Text(err), r.cfg.Now()
	s.etag, s.since = "", ""
	if s.refusal != nil {
		if since = s.refusal.Since; s.refusal.Text == text {
			return r.retry
		}
	}
	r.cfg.Log.Warn("a playlist cannot be used", "node", d.node, "mount", d.mount, "why", text)
	s.refusal = &Refusal{Node: d.node, Mount: d.mount, Text: text, Since: since}
	return r.retry
}

// errKind is a text that is no playlist at all.
func errKind(text []byte) error {
	start := strings.ToValidUTF8(string(text[:min(len(text), 40)]), "?")
	return fmt.Errorf("neither a playlist of HLS nor an MPD of DASH: it begins with %q", start)
}
