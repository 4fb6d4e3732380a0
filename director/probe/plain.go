package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/signpost-fm/signpost/director"
)

// plain probes any web server. It requests the path that the operator configured, else
// each mount that listeners are sent to, in turn, as a listener would. A body need only
// begin, because it may be a stream.
type plain struct{}

func (plain) ask(ctx context.Context, t target) (answer, error) {
	if t.path == "" && len(t.mounts) > 0 {
		return t.askMounts(ctx)
	}
	path := t.path
	if path == "" {
		path = "/"
	}
	resp, err := t.get(ctx, path)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	if !t.expect.includes(resp.StatusCode) {
		return answer{}, statusError(path, resp)
	}
	if _, err := resp.Body.Read(make([]byte, 512)); err != nil && !errors.Is(err, io.EOF) {
		return answer{}, t.failed(ctx, path, err)
	}
	return answer{
		detail:    fmt.Sprintf("GET %s: %s", path, clip(resp.Status)),
		server:    clip(resp.Header.Get("Server")),
		listeners: -1,
		anyMount:  true,
	}, nil
}

// askMounts requests the mounts whose turn it is, concurrently. The node fails only if
// none of them is answered; a mount that is refused or hangs affects only itself.
func (t target) askMounts(ctx context.Context) (answer, error) {
	a := answer{listeners: -1, anyMount: true, turn: t.turn[0], tried: make(map[string]tried, len(t.turn))}
	type outcome struct {
		got    tried
		server string
		err    error
	}
	all := make([]outcome, len(t.turn))
	var asking sync.WaitGroup
	for i, path := range t.turn[1:] {
		asking.Go(func() { all[i+1].got, all[i+1].server, all[i+1].err = t.asked(ctx, path) })
	}
	all[0].got, all[0].server, all[0].err = t.asked(ctx, t.turn[0])
	asking.Wait()
	for i, o := range all {
		a.tried[t.turn[i]] = o.got
		if o.err == nil && a.detail == "" {
			a.detail, a.server = o.got.detail, o.server
		}
	}
	if a.detail == "" {
		return a, all[0].err
	}
	return a, nil
}

// asked requests a mount once. err is why there was no response at all.
func (t target) asked(ctx context.Context, path string) (got tried, server string, err error) {
	if t.expect != nil {
		resp, err := t.get(ctx, escaped(path))
		if err != nil {
			return notReached(ctx, err), "", err
		}
		defer resp.Body.Close()
		if t.expect.includes(resp.StatusCode) {
			return tried{detail: fmt.Sprintf("GET %s: %s", path, clip(resp.Status)), state: director.MountPlays}, clip(resp.Header.Get("Server")), nil
		}
		got, plays := refusal(path, resp)
		if plays {
			got.state, got.cause = director.MountSilent, director.Refused
			got.detail += ", which is not what is expected"
		}
		return got, clip(resp.Header.Get("Server")), nil
	}
	return t.tryOnce(ctx, request{path: path})
}

// Statuses are the HTTP status codes that an operator expects: "200", or "2xx" for all
// from 200 to 299. Nil: 2xx and 3xx are good answers.
type Statuses []string

// ParseStatuses parses codes separated by commas or spaces: "200, 401", "2xx".
func ParseStatuses(text string) (Statuses, error) {
	var out Statuses
	for _, f := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		f = strings.ToLower(f)
		n, err := strconv.Atoi(strings.TrimSuffix(f, "xx"))
		whole := strings.HasSuffix(f, "xx")
		if err != nil || whole && (n < 1 || n > 5) || !whole && (n < 100 || n > 599) {
			return nil, fmt.Errorf("%q is not an HTTP status; write one such as 200, or 2xx for 200 to 299, several with commas between them", f)
		}
		out = append(out, f)
	}
	if len(out) == 0 {
		return nil, errors.New("is empty; write a status such as 200, or 2xx for 200 to 299")
	}
	return out, nil
}

func (s Statuses) includes(code int) bool {
	if s == nil {
		return code >= http.StatusOK && code < http.StatusBadRequest
	}
	text := strconv.Itoa(code)
	return slices.Contains(s, text) || slices.Contains(s, text[:1]+"xx")
}
