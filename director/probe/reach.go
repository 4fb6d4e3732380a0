package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Reach is the kind of a node that is reported by its agent. It is probed only for what
// the agent cannot know: whether it can be reached from here. Operators do not choose it.
const Reach = "reach"

// reachMount is how often such a node's mount is opened. That takes a listener's seat
// for a moment, and with Icecast 0.3 s until the first byte.
const reachMount = 30 * time.Second

// reach requests "/". Any page shows that the server can be reached. At first, every
// reachMount after that, and while in doubt, it requests a mount instead, whose body must
// begin: another server may answer at the URL.
type reach struct{}

func (reach) ask(ctx context.Context, t target) (answer, error) {
	path, mount := "/", t.path != "" && t.mountDue
	if mount {
		path = escaped(t.path)
	}
	resp, err := t.get(ctx, path)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{detail: fmt.Sprintf("GET %s: %s", path, clip(resp.Status)), server: clip(resp.Header.Get("Server")), listeners: -1, anyMount: true}
	switch code := resp.StatusCode; {
	case code >= http.StatusInternalServerError && refusesAtLimit(resp):
		a.full = true
		return a, nil
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return a, nil // it is reachable, and asks listeners to authenticate
	case code >= http.StatusInternalServerError, mount && code >= http.StatusBadRequest:
		return answer{}, statusError(path, resp)
	}
	n, err := resp.Body.Read(make([]byte, 512))
	if ended := errors.Is(err, io.EOF); n == 0 && err != nil && (mount || !ended) {
		return answer{}, t.failed(ctx, path, err)
	}
	return a, nil
}
