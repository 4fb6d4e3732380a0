package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// errNotOwn says that the agent does not measure its own node. Reports of another server
// would make a node look empty that has listeners.
var errNotOwn = errors.New("the agent does not measure its own node")

const (
	identifyTimeout = 5 * time.Second
	maxIdentity     = 16 << 20 // bytes of a status page with some 10,000 mounts
	identifyTries   = 3        // it may restart between two questions
	identifyPause   = 2 * time.Second
)

// A serverIdentity is what tells one run of a server from all others. Zero: not known.
type serverIdentity struct {
	ID    string `json:"server_id"` // "Icecast 2.4.4"
	Host  string `json:"host"`
	Start string `json:"server_start_iso8601"` // of this run
}

// checkOwn says whether the server that is asked for statistics is the one that
// listeners and directors reach at the node's URLs. The error wraps errNotOwn and has
// the remedy. What cannot be compared is taken for the same: the node's URLs may not be
// reachable from the node itself.
func (a *Agent) checkOwn(ctx context.Context) error {
	var err error
	for range identifyTries {
		if err = a.compareOwn(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil // not known
		case <-time.After(a.pause):
		}
	}
	return err
}

func (a *Agent) compareOwn(ctx context.Context) error {
	measured := identify(ctx, a.status)
	if measured.ID == "Signpost" || strings.HasPrefix(measured.ID, "Signpost/") {
		return fmt.Errorf("%w: %s is a Signpost director, and not a streaming server; give the server's own address with --status", errNotOwn, a.status)
	}
	if measured.Start == "" {
		return nil
	}
	for _, url := range append([]string{a.spec.InternalURL}, a.spec.URLs...) {
		seen := identify(ctx, url)
		if seen.Start != "" && seen != measured {
			return fmt.Errorf("%w: %s is a server that started at %s, and %s one that started at %s; give the address of the same server with --status and --url",
				errNotOwn, a.status, measured.Start, url, seen.Start)
		}
	}
	return nil
}

// identify asks a server who it is. The zero value: it does not say, or is not reached.
func identify(ctx context.Context, url string) (id serverIdentity) {
	if url == "" {
		return id
	}
	ctx, cancel := context.WithTimeout(ctx, identifyTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/status-json.xsl", nil)
	if err != nil {
		return id
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return id
	}
	defer resp.Body.Close()
	var page struct{ Icestats serverIdentity }
	if resp.StatusCode != http.StatusOK || json.NewDecoder(io.LimitReader(resp.Body, maxIdentity)).Decode(&page) != nil {
		return id
	}
	return page.Icestats
}
