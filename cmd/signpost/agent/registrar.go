package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/signpost-fm/signpost/cmd/signpost/client"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// A registrar tells all directors about one node: they may not hear it from each
// other. It has one user at a time.
type registrar struct {
	directors    []client.Directors // each by itself
	id, instance string
}

// announce registers the node, or reports how it is. It returns how those directors
// see the node that took it in, and what went wrong at the others.
func (r *registrar) announce(ctx context.Context, a api.Announcement) (seen []api.Node, errs []error) {
	for i, t := range r.tell(ctx, client.Call{Method: http.MethodPut, Path: r.path(), Body: a}) {
		var n api.Node
		err := t.err
		if err == nil {
			if err = json.Unmarshal(t.Body, &n); err != nil {
				err = fmt.Errorf("%s: the answer is not a director's: %w", r.directors[i].Current(), err)
			}
		}
		if err != nil {
			errs = append(errs, err)
		} else {
			seen = append(seen, n)
		}
	}
	return seen, errs
}

// deregister takes the node out of the fleet. It fails if no director could be told.
func (r *registrar) deregister(ctx context.Context) error {
	var errs []error
	for _, t := range r.tell(ctx, client.Call{Method: http.MethodDelete, Path: r.path() + "?instance=" + url.QueryEscape(r.instance)}) {
		if refusal := client.RefusalOf(t.err); t.err != nil && (refusal == nil || refusal.Status != http.StatusNotFound) {
			errs = append(errs, t.err)
		}
	}
	if len(errs) < len(r.directors) {
		return nil
	}
	return errors.Join(errs...)
}

// told is how a call went at one director.
type told struct {
	client.Answer
	err error
}

// tell makes a call at all directors at once.
func (r *registrar) tell(ctx context.Context, c client.Call) []told {
	all := make([]told, len(r.directors))
	var calls sync.WaitGroup
	for i := range all {
		calls.Go(func() { all[i].Answer, all[i].err = r.directors[i].Ask(ctx, c) })
	}
	calls.Wait()
	return all
}

func (r *registrar) path() string { return "/api/v1/nodes/" + url.PathEscape(r.id) }
