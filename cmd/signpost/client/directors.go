package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/web/admin/api"
)

// Directors are the operators' sides of directors that share a store. The one that
// answered last is asked, and the next while it is away. They are not safe for
// concurrent use.
type Directors struct {
	URLs    []string      // see ParseServer; at least one
	Token   string        // empty: none is sent
	Timeout time.Duration // of one try

	at   int // the one to ask
	most int // bytes of an answer; 0: maxAnswerBytes
}

// A Call is one request.
type Call struct {
	Method  string
	Path    string // with its query: "/api/v1/nodes?threshold=5"
	Body    any    // becomes JSON; nil: no body
	Secret  string // an agent's, by which directors know it; empty: none
	IfMatch string // the version to change; empty: any
	// Once says that it must not be done twice: if it may have arrived, no other director
	// is asked.
	Once bool
}

// An Answer is what a director says.
type Answer struct {
	Body json.RawMessage
	// Revision is the overlay's with the change; empty: nothing changed.
	Revision string
	Forgets  bool // the change is forgotten when the director stops
}

// maxAnswerBytes bounds an answer: the explanation with 1,000 nodes is some 500 KB,
// and the list of nodes names each one's mounts.
const maxAnswerBytes = 64 << 20

// httpClient follows no redirect, so that a token goes to its director only.
var httpClient = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// ParseServer checks the URL of a director's operators' side, and returns it without a
// slash at its end.
func ParseServer(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
		return "", fmt.Errorf("%q: write the address of a director's operators' side with its scheme, as in http://director1.example:8001", s)
	}
	return strings.TrimSuffix(s, "/"), nil
}

// Current returns the director to ask.
func (d *Directors) Current() string { return d.URLs[d.at] }

// Ask asks the directors in turn, each once, until one answers. A refusal is an
// answer: the error is then a *Refusal, and the next call begins with another director,
// which may know better.
func (d *Directors) Ask(ctx context.Context, c Call) (Answer, error) {
	var errs []error
	for range d.URLs {
		answer, err := d.try(ctx, c)
		if err == nil {
			return answer, nil
		}
		if r := RefusalOf(err); r != nil {
			r.Director = d.Current()
		}
		err = fmt.Errorf("%s: %w", d.Current(), err)
		d.at = (d.at + 1) % len(d.URLs)
		if RefusalOf(err) != nil || ctx.Err() != nil || c.Once && !neverArrived(err) {
			return Answer{}, c.unsure(errs, err)
		}
		errs = append(errs, err)
	}
	return Answer{}, c.unsure(nil, errors.Join(errs...))
}

// unsure returns the error that a call ends with. Where a director failed, the change
// may have been made all the same, as when only the store's answer was lost.
func (c *Call) unsure(before []error, err error) error {
	all := errors.Join(append(before, err)...)
	if !c.Once || !errors.As(all, new(*awayError)) {
		return err
	}
	return fmt.Errorf("%w\nthe change may have been made all the same: `signpost history` tells", all)
}

func (d *Directors) try(ctx context.Context, c Call) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	r, err := d.request(ctx, c)
	if err != nil {
		return Answer{}, err
	}
	resp, err := httpClient.Do(r)
	if err != nil {
		var call *url.Error
		if errors.As(err, &call) {
			err = call.Err // without the URL, which the caller names
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %v", d.Timeout)
		}
		return Answer{}, err
	}
	defer resp.Body.Close()
	most := cmp.Or(d.most, maxAnswerBytes)
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	switch {
	case err != nil:
		return Answer{}, err
	case len(body) > most:
		return Answer{}, fmt.Errorf("the answer is larger than the %d MB that are read of one", most>>20)
	case resp.StatusCode < http.StatusMultipleChoices:
		return Answer{body, resp.Header.Get("Signpost-Revision"), resp.Header.Get("Signpost-Forgets") != ""}, nil
	}
	refusal := newRefusal(resp, body)
	if refusal.Status < http.StatusBadRequest || refusal.Status >= http.StatusInternalServerError {
		return Answer{}, &awayError{refusal} // another director may do it
	}
	return Answer{}, refusal
}

// Follow makes a call that is answered line by line, and gives each line to take, until it
// fails or the answer ends. The current director is asked and no other. ctx bounds it; the
// time-out is for each line.
func (d *Directors) Follow(ctx context.Context, c Call, take func(line []byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(d.Timeout, func() { cancel(fmt.Errorf("no answer within %v", d.Timeout)) })
	defer silent.Stop()
	said := func(err error) error {
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
		var call *url.Error
		if errors.As(err, &call) {
			err = call.Err // without the URL
		}
		return fmt.Errorf("%s: %w", d.Current(), err)
	}
	r, err := d.request(ctx, c)
	if err != nil {
		return err
	}
	resp, err := httpClient.Do(r)
	if err != nil {
		return said(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusMultipleChoices {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes)) // what there is says enough
		refusal := newRefusal(resp, body)
		refusal.Director = d.Current()
		return fmt.Errorf("%s: %w", d.Current(), refusal)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxAnswerBytes)
	for lines.Scan() {
		silent.Reset(d.Timeout)
		if err := take(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return said(err)
	}
	return nil
}

func (d *Directors) request(ctx context.Context, c Call) (*http.Request, error) {
	var body io.Reader
	if c.Body != nil {
		b, err := json.Marshal(c.Body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, c.Method, d.Current()+c.Path, body)
	if err != nil {
		return nil, err
	}
	if c.Body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.IfMatch != "" {
		r.Header.Set("If-Match", `"`+c.IfMatch+`"`)
	}
	if c.Secret != "" {
		r.Header.Set("Signpost-Agent-Secret", c.Secret)
	}
	if d.Token != "" {
		r.Header.Set("Authorization", "Bearer "+d.Token)
	}
	return r, nil
}

// A Refusal is a director's answer that refuses a call.
type Refusal struct {
	api.Problem
	Director string          `json:"-"`   // that refused
	Now      json.RawMessage `json:"now"` // with 412 and 409: the current entry
}

func newRefusal(resp *http.Response, body []byte) *Refusal {
	p := &Refusal{}
	if err := json.Unmarshal(body, p); err != nil || p.Detail == "" {
		p.Detail = resp.Status + "; is this the operators' side of a director?"
	}
	p.Status = resp.StatusCode
	return p
}

// RefusalOf returns the refusal in err; nil: it is another error.
func RefusalOf(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}

// An awayError is the answer of a director that cannot do it now, or of a proxy in
// front of it. It does not unwrap to a Refusal.
type awayError struct{ answer *Refusal }

// Error returns the answer's detail.
func (e *awayError) Error() string { return e.answer.Detail }

// neverArrived says that a call failed before a director did anything, or with a 503,
// after which the same call can be made again.
func neverArrived(err error) bool {
	var dial *net.OpError
	var away *awayError
	return errors.As(err, &dial) && dial.Op == "dial" ||
		errors.As(err, &away) && away.answer.Status == http.StatusServiceUnavailable
}
