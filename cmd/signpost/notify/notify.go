// Package notify tells operators of events by HTTP: it posts one JSON document per event,
// and posts it again until it is accepted. Nothing else in the program waits for it. An
// event that cannot be sent is dropped in the end, counted and logged.
package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// A Kind says what an event is about. The set is closed, and the strings are stable.
type Kind string

// The kinds of events.
const (
	OffAir          Kind = "off_air"          // no node plays a declared mount any more
	OnAir           Kind = "on_air"           // a node plays it again
	MountLost       Kind = "mount_lost"       // a node that is up no longer plays a mount that it had, or a scheme fails
	MountBack       Kind = "mount_back"       // it plays the mount again, or the scheme works again
	NodeDown        Kind = "node_down"        // a node does not serve
	NodeUp          Kind = "node_up"          // it serves again
	NodeFull        Kind = "node_full"        // a node is at its limit, or its server refuses listeners
	NodeHasRoom     Kind = "node_has_room"    // it takes listeners again
	CertificateEnds Kind = "certificate_ends" // a node's certificate ends within two weeks; once a day
	Warning         Kind = "warning"          // something else is wrong: the store, a certificate or a password of this director
	WarningOver     Kind = "warning_over"     // it is mended
)

// over returns the kind of the event when what began with k ends.
func (k Kind) over() Kind {
	return map[Kind]Kind{OffAir: OnAir, MountLost: MountBack, NodeDown: NodeUp, NodeFull: NodeHasRoom, Warning: WarningOver}[k]
}

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{OffAir, OnAir, MountLost, MountBack, NodeDown, NodeUp, NodeFull, NodeHasRoom, CertificateEnds, Warning, WarningOver}
}

// An Event is what is posted.
type Event struct {
	Kind     Kind      `json:"event"`
	At       time.Time `json:"at"`
	Director string    `json:"director"` // the director that posts it: each director posts its own
	Node     string    `json:"node,omitempty"`
	Mount    string    `json:"mount,omitempty"`
	Text     string    `json:"text"`             // the text that operators read elsewhere, too
	Since    time.Time `json:"since,omitzero"`   // when what it tells of began
	Remedy   string    `json:"remedy,omitempty"` // what to do about it; empty: nothing
}

// A Hook is a URL that events are posted to.
type Hook struct {
	URL    string
	Events []Kind // empty: all
}

// Limits of posting. An event that is not accepted within tries is dropped. The pauses
// between tries, 1 + 2 + 4 ... + 256 s and up to a quarter more, add up to 9 to 11 minutes.
const (
	timeout    = 10 * time.Second
	firstPause = time.Second
	tries      = 10
	// maxWaiting is how many events may wait for one hook.
	maxWaiting = 1000
)

// A Notifier posts events. Its methods are safe for concurrent use.
type Notifier struct {
	hooks   []*hook
	log     *slog.Logger
	client  *http.Client
	dropped atomic.Uint64
}

type hook struct {
	Hook
	waiting chan Event
}

// New returns a Notifier that posts once Run is called.
func New(hooks []Hook, log *slog.Logger) *Notifier {
	n := &Notifier{log: log, client: &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	for _, h := range hooks {
		n.hooks = append(n.hooks, &hook{h, make(chan Event, maxWaiting)})
	}
	return n
}

// Tell queues an event for all hooks that want its kind. It does not wait.
func (n *Notifier) Tell(e Event) {
	for _, h := range n.hooks {
		if len(h.Events) > 0 && !slices.Contains(h.Events, e.Kind) {
			continue
		}
		select {
		case h.waiting <- e:
		default:
			n.drop(h, e, fmt.Errorf("%d others wait", maxWaiting))
		}
	}
}

// Dropped returns how many posts have been given up.
func (n *Notifier) Dropped() uint64 { return n.dropped.Load() }

func (n *Notifier) drop(h *hook, e Event, err error) {
	n.dropped.Add(1)
	n.log.Warn("an event was not taken, and is dropped", "url", h.URL, "event", e.Kind, "text", e.Text, "err", err)
}

// Run posts events until ctx is done.
func (n *Notifier) Run(ctx context.Context) error {
	done := make(chan struct{})
	for _, h := range n.hooks {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				select {
				case <-ctx.Done():
					return
				case e := <-h.waiting:
					n.deliver(ctx, h, e)
				}
			}
		}()
	}
	<-ctx.Done() // even if there are no hooks
	for range n.hooks {
		<-done
	}
	return nil
}

// deliver posts one event until it is accepted or dropped. Later events of the hook wait.
func (n *Notifier) deliver(ctx context.Context, h *hook, e Event) {
	pause := firstPause
	for try := 1; ; try++ {
		err := n.post(ctx, h.URL, e)
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case try == tries:
			n.drop(h, e, err)
			return
		case try == 1:
			n.log.Info("an event is not taken; it is posted again", "url", h.URL, "event", e.Kind, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause + rand.N(pause/4)):
		}
		pause *= 2
	}
}

func (n *Notifier) post(ctx context.Context, url string, e Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "signpost")
	resp, err := n.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be reused
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}
