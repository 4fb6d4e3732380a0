// Package notify tells operators of events by HTTP: one JSON document is posted for each,
// and again until it is taken. It is at the side: what cannot be sent is dropped in the end,
// counted and logged, and nothing ever waits for it.
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

// A Kind says what an event is about. The set is closed, and each is its stable string.
type Kind string

// The kinds of events.
const (
	OffAir          Kind = "off_air"          // no node plays a declared mount any more
	OnAir           Kind = "on_air"           // one does again
	MountLost       Kind = "mount_lost"       // a node that is up no longer plays a mount that it had, or a scheme fails
	MountBack       Kind = "mount_back"       // it does again
	NodeDown        Kind = "node_down"        // it does not serve
	NodeUp          Kind = "node_up"          // it does again
	CertificateEnds Kind = "certificate_ends" // a node's certificate ends within two weeks; once a day
)

// Kinds lists all of them.
func Kinds() []Kind {
	return []Kind{OffAir, OnAir, MountLost, MountBack, NodeDown, NodeUp, CertificateEnds}
}

// An Event is what is posted.
type Event struct {
	Kind     Kind      `json:"event"`
	At       time.Time `json:"at"`
	Director string    `json:"director"` // who tells: every director does
	Node     string    `json:"node,omitempty"`
	Mount    string    `json:"mount,omitempty"`
	Text     string    `json:"text"` // as operators read it everywhere
}

// A Hook is where events are posted.
type Hook struct {
	URL    string
	Events []Kind // empty: all
}

// Times of a post. What is not taken within tries is dropped: 1 + 2 + 4 ... s, a quarter
// of an hour in all.
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

// Tell has an event posted to all who want it. It does not wait.
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

// Dropped returns how many posts were given up.
func (n *Notifier) Dropped() uint64 { return n.dropped.Load() }

func (n *Notifier) drop(h *hook, e Event, err error) {
	n.dropped.Add(1)
	n.log.Warn("an event was not taken, and is dropped", "url", h.URL, "event", e.Kind, "text", e.Text, "err", err)
}

// Run posts until ctx is done.
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
	<-ctx.Done() // though there be no hooks
	for range n.hooks {
		<-done
	}
	return nil
}

// deliver posts one event until it is taken, in the order of events.
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
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}
