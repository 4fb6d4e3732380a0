package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/signpost-fm/signpost/web/admin"
)

// A registrar talks to the directors about one node: to the one that answered
// last, and to the next while it is away. It has one user at a time.
type registrar struct {
	directors    []string // base URLs
	at           int      // whom to ask
	token        string
	id, instance string
	timeout      time.Duration // of one call
}

// current returns the director that is asked.
func (r *registrar) current() string { return r.directors[r.at] }

// announce registers the node, or reports how it is.
func (r *registrar) announce(ctx context.Context, a admin.Announcement) (seen admin.Node, err error) {
	body, err := json.Marshal(a)
	if err != nil {
		return seen, err
	}
	answer, err := r.ask(ctx, http.MethodPut, "", body)
	if err != nil {
		return seen, err
	}
	if err := json.Unmarshal(answer, &seen); err != nil {
		return seen, fmt.Errorf("%s: the answer is not a director's: %w", r.current(), err)
	}
	return seen, nil
}

// deregister takes the node out of the fleet.
func (r *registrar) deregister(ctx context.Context) error {
	_, err := r.ask(ctx, http.MethodDelete, "?instance="+url.QueryEscape(r.instance), nil)
	if p := refusalOf(err); p != nil && p.Status == http.StatusNotFound {
		return nil // it is gone already
	}
	return err
}

// ask asks the directors in turn, each once, until one answers. One that refuses
// has answered; the next call then begins with another, which may know better.
func (r *registrar) ask(ctx context.Context, method, suffix string, body []byte) ([]byte, error) {
	var errs []error
	for range r.directors {
		answer, err := r.askOne(ctx, method, suffix, body)
		if err == nil {
			return answer, nil
		}
		err = fmt.Errorf("%s: %w", r.current(), err)
		r.at = (r.at + 1) % len(r.directors)
		if refusalOf(err) != nil || ctx.Err() != nil {
			return nil, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (r *registrar) askOne(ctx context.Context, method, suffix string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.current()+"/api/v1/nodes/"+url.PathEscape(r.id)+suffix, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	resp, err := directorClient.Do(req)
	if err != nil {
		var call *url.Error
		if errors.As(err, &call) {
			err = call.Err // without the URL, which the caller names
		}
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode < http.StatusMultipleChoices:
		return answer, nil
	}
	p := &admin.Problem{}
	if err := json.Unmarshal(answer, p); err != nil || p.Detail == "" {
		p.Detail = resp.Status + "; is this the operators' side of a director?"
	}
	p.Status = resp.StatusCode
	if p.Status < http.StatusBadRequest || p.Status >= http.StatusInternalServerError {
		return nil, errors.New(p.Detail) // it has not refused: another may do it
	}
	return nil, p
}

// directorClient follows no redirect: a token goes to nobody but who it was meant for.
var directorClient = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// refusalOf returns a director's refusal; nil: err is something else.
func refusalOf(err error) *admin.Problem {
	var p *admin.Problem
	if errors.As(err, &p) {
		return p
	}
	return nil
}
