package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// plain asks any web server for one path. 2xx and 3xx are good answers; a body
// need only begin, for it may be a stream.
type plain struct{}

func (plain) ask(ctx context.Context, t target) (answer, error) {
	path := t.path
	if path == "" {
		path = "/"
	}
	resp, err := t.get(ctx, path)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
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
