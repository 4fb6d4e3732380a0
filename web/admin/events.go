package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/signpost-fm/signpost/web/admin/api"
)

const (
	eventInterval = time.Second      // between two events of what changes all the time
	pingInterval  = 15 * time.Second // proxies close connections that are silent for longer
	eventTimeout  = 10 * time.Second // for writing one event
)

// Run sends events, measures rates and samples plots until ctx is done. It returns nil.
func (a *API) Run(ctx context.Context) error {
	defer a.hub.close()
	defer a.stage.close()
	tick := time.NewTicker(a.eventInterval)
	defer tick.Stop()
	a.meter.measure(a.cfg.Traffic(), a.cfg.Now())
	for {
		var changes <-chan struct{}
		if a.cfg.Syncer != nil {
			changes = a.cfg.Syncer.Changes()
			a.sendOverlay()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changes:
		case <-tick.C:
			a.meter.measure(a.cfg.Traffic(), a.cfg.Now())
			a.sample()
			if a.cfg.Syncer != nil {
				a.sendChanges()
			}
		}
	}
}

// sendOverlay sends a change of the overlay at once.
func (a *API) sendOverlay() {
	h := &a.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.all) > 0 && h.refreshOverlay(a) {
		h.send(event("overlay", h.lastChange(a)))
	}
}

// sendChanges sends everything else that has changed.
func (a *API) sendChanges() {
	h := &a.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.all) == 0 {
		return
	}
	if changed, some := h.refreshNodes(a); some {
		h.send(event("nodes", changed))
	}
	if r := a.meter.rates.Load(); r != nil {
		h.send(event("traffic", r))
	}
	if h.refreshStatus(a) {
		h.send(event("status", h.status))
	}
	if now := a.cfg.Now(); now.Sub(h.mountsSent) >= mountsInterval && h.refreshMounts(a) {
		h.mountsSent = now
		h.send(event("mounts", h.mounts))
	}
}

// hello is the first event of each connection.
type hello struct {
	Director string       `json:"director"`
	Version  string       `json:"version"`
	Now      time.Time    `json:"now"` // by the store's clock, as all times
	Identity api.Identity `json:"identity"`
}

// events sends the caller events, until it leaves, does not keep up, or its token is
// no longer good.
func (a *API) events(ctx echo.Context) error {
	s, first, err := a.hub.join(a)
	if err != nil {
		return err
	}
	defer a.hub.leave(s)
	w := ctx.Response()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // or nginx would hold them back
	control := http.NewResponseController(w.Writer)
	write := func(b []byte) error {
		// The server's time limits are for whole answers.
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
	greeting := event("hello", hello{st.Director.ID, a.cfg.Version, a.cfg.Syncer.Now(), caller(ctx)})
	for _, e := range append([][]byte{append([]byte("retry: 2000\n"), greeting...)}, first...) {
		if write(e) != nil {
			return nil
		}
	}
	a.follow(ctx, s, write)
	return nil
}

func (a *API) follow(ctx echo.Context, s *subscriber, write func([]byte) error) {
	ping := time.NewTicker(pingInterval)
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
