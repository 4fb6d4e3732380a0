package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// readyCmd asks a director what a load balancer asks it. An image without a shell
// has nothing else for its health check.
type readyCmd struct {
	URL     string        `arg:"" optional:"" default:"http://127.0.0.1:8000" help:"A public address of the director."`
	Timeout time.Duration `default:"2s" help:"How long it may take to answer."`
}

// maxReadyAnswer bounds what is printed of an answer, in bytes.
const maxReadyAnswer = 4 << 10

// Run prints the director's answer. It fails unless listeners should be sent there.
func (c *readyCmd) Run(out *console) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	url := strings.TrimSuffix(c.URL, "/") + "/readyz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("%q: %w; write a director's public address, as in http://127.0.0.1:8000", c.URL, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ready: %w; does the director run, and listen there?", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReadyAnswer))
	if err != nil {
		return fmt.Errorf("ready: %s: %w", url, err)
	}
	answer := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s: %s", resp.Status, cmp.Or(answer, "no reason is given"))
	}
	_, err = fmt.Fprintln(out.out, answer)
	return err
}
