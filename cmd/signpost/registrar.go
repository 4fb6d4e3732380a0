package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/signpost-fm/signpost/cmd/signpost/client"
	"github.com/signpost-fm/signpost/web/admin"
)

// A registrar talks to the directors about one node. It has one user at a time.
type registrar struct {
	client.Directors
	id, instance string
}

// announce registers the node, or reports how it is.
func (r *registrar) announce(ctx context.Context, a admin.Announcement) (seen admin.Node, err error) {
	answer, err := r.Ask(ctx, client.Call{Method: http.MethodPut, Path: r.path(), Body: a})
	if err != nil {
		return seen, err
	}
	if err := json.Unmarshal(answer.Body, &seen); err != nil {
		return seen, fmt.Errorf("%s: the answer is not a director's: %w", r.Current(), err)
	}
	return seen, nil
}

// deregister takes the node out of the fleet.
func (r *registrar) deregister(ctx context.Context) error {
	_, err := r.Ask(ctx, client.Call{Method: http.MethodDelete, Path: r.path() + "?instance=" + url.QueryEscape(r.instance)})
	if refusal := client.RefusalOf(err); refusal != nil && refusal.Status == http.StatusNotFound {
		return nil // it is gone already
	}
	return err
}

func (r *registrar) path() string { return "/api/v1/nodes/" + url.PathEscape(r.id) }
