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

// A registrar registers one node at every director, since they may not tell each other.
// It is not safe for concurrent use.
type registrar struct {
	directors []client.Directors // one each
	id        string
	identity
}

// announce registers the node, or reports its state. It returns the node as each director
// that accepted sees it, and the errors of the others.
func (r *registrar) announce(ctx context.Context, a api.Announcement) (seen []api.Node, errs []error) {
	for i, t := range r.callAll(ctx, client.Call{Method: http.MethodPut, Path: r.path(), Body: a, Secret: r.secret}) {
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

// deregister removes the node from the fleet. It fails if every director fails.
func (r *registrar) deregister(ctx context.Context) error {
	var errs []error
	for _, t := range r.callAll(ctx, client.Call{Method: http.MethodDelete, Path: r.path() + "?instance=" + url.QueryEscape(r.instance), Secret: r.secret}) {
		if refusal := client.RefusalOf(t.err); t.err != nil && (refusal == nil || refusal.Status != http.StatusNotFound) {
			errs = append(errs, t.err)
		}
	}
	if len(errs) < len(r.directors) {
		return nil
	}
	return errors.Join(errs...)
}

// A reply is what one director answered.
type reply struct {
	client.Answer
	err error
}

// callAll makes a call to all directors at once.
func (r *registrar) callAll(ctx context.Context, c client.Call) []reply {
	all := make([]reply, len(r.directors))
	var calls sync.WaitGroup
	for i := range all {
		calls.Go(func() { all[i].Answer, all[i].err = r.directors[i].Ask(ctx, c) })
	}
	calls.Wait()
	return all
}

func (r *registrar) path() string { return "/api/v1/nodes/" + url.PathEscape(r.id) }
