package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Reach is the kind of a node that speaks for itself through an agent, and of which
// only that is asked which the agent cannot know: whether it can be reached from
// here. Operators do not choose it.
const Reach = "reach"

// reachMount is how often such a node's mount is opened: that takes a listener's
// seat for a moment, and 0.3 s of Icecast until the first byte.
const reachMount = 30 * time.Second

// reach asks for a page of whatever kind. That a server answers at all shows that
// there is a way to it. At first, seldom after that, and while in doubt, it asks for
// a mount instead, which must begin: another server may answer at the URL.
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
		return a, nil // it is there, and asks listeners who they are
	case code >= http.StatusInternalServerError, mount && code >= http.StatusBadRequest:
		return answer{}, statusError(path, resp)
	}
	n, err := resp.Body.Read(make([]byte, 512))
	if ended := errors.Is(err, io.EOF); n == 0 && err != nil && (mount || !ended) {
		return answer{}, t.failed(ctx, path, err)
	}
	return a, nil
}
