package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/web/admin/api"
)

const (
	eventsEach   = time.Second      // how often is told what changes all the time
	pingEach     = 15 * time.Second // proxies close what is silent for longer
	eventTimeout = 10 * time.Second // for writing one
)

// Run keeps those who follow the events up to date, and reckons rates, until ctx
// is done. It returns nil.
func (a *API) Run(ctx context.Context) error {
	defer a.hub.close()
	tick := time.NewTicker(eventsEach)
	defer tick.Stop()
	a.meter.measure(a.cfg.Traffic(), a.cfg.Now())
	for {
		var changes <-chan struct{}
		if a.cfg.Syncer != nil {
			changes = a.cfg.Syncer.Changes()
			a.tellOverlay()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changes:
		case <-tick.C:
			a.meter.measure(a.cfg.Traffic(), a.cfg.Now())
			if a.cfg.Syncer != nil {
				a.tellAll()
			}
		}
	}
}

// tellOverlay tells at once what operators changed.
func (a *API) tellOverlay() {
	h := &a.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.all) > 0 && h.lookAtOverlay(a) {
		h.tell(event("overlay", h.lastChange(a)))
	}
}

// tellAll tells everything else that has changed.
func (a *API) tellAll() {
	h := &a.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.all) == 0 {
		return
	}
	if changed, some := h.lookAtNodes(a); some {
		h.tell(event("nodes", changed))
	}
	if r := a.meter.rates.Load(); r != nil {
		h.tell(event("traffic", r))
	}
	if h.lookAtStatus(a) {
		h.tell(event("status", h.status))
	}
	if now := a.cfg.Now(); now.Sub(h.toldAt) >= mountsEach && h.lookAtMounts(a) {
		h.toldAt = now
		h.tell(event("mounts", h.mounts))
	}
}

// hello is the first event of each connection.
type hello struct {
	Director string       `json:"director"`
	Version  string       `json:"version"`
	Now      time.Time    `json:"now"` // by the store's clock, as all times
	Identity api.Identity `json:"identity"`
}

// events tells who asks what happens, until they leave, do not keep up, or are
// let in no longer.
func (a *API) events(ctx echo.Context) error {
	s, first, err := a.hub.join(a)
	if err != nil {
		return err
	}
	defer a.hub.leave(s)
	w := ctx.Response()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep them back
	control := http.NewResponseController(w.Writer)
	write := func(b []byte) error {
		// A server's time limits are for whole answers.
		if err := control.SetWriteDeadline(time.Now().Add(eventTimeout)); err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		return control.Flush()
	}
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	st := a.cfg.Syncer.Status()
	greeting := event("hello", hello{st.Director.ID, a.cfg.Version, a.cfg.Syncer.Now(), asking(ctx)})
	for _, e := range append([][]byte{append([]byte("retry: 2000\n"), greeting...)}, first...) {
		if write(e) != nil {
			return nil
		}
	}
	a.follow(ctx, s, write)
	return nil
}

func (a *API) follow(ctx echo.Context, s *subscriber, write func([]byte) error) {
	ping := time.NewTicker(pingEach)
	defer ping.Stop()
	for {
		var next []byte
		select {
		case <-ctx.Request().Context().Done():
			return
		case <-s.cut:
			return
		case next = <-s.events:
		case <-ping.C:
			next = []byte(": still here\n\n")
		}
		if id, err := a.identify(ctx.Request()); err != nil || !id.Role.May(api.RoleView) {
			return
		}
		if write(next) != nil {
			return
		}
	}
}
