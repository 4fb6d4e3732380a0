package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/signpost-fm/signpost/director/wording"
	"github.com/signpost-fm/signpost/web/admin/api"
)

// Reason is a change's, for the history.
type Reason struct {
	Why string `placeholder:"TEXT" help:"Why, for the history and for colleagues."`
}

// Term is how long a change holds.
type Term struct {
	For time.Duration `placeholder:"DURATION" help:"Take it back by itself after so long, such as 2h."`
}

func editOf(r Reason, t Term) (api.Edit, error) {
	e := api.Edit{Why: r.Why}
	switch {
	case t.For < 0:
		return e, fmt.Errorf("--for %v: give a time above 0, such as 2h", t.For)
	case t.For > 0:
		e.For = t.For.String()
	}
	return e, nil
}

// DrainCmd drains a node.
type DrainCmd struct {
	Node      string        `arg:"" completion:"nodes" help:"The node that is to get no new listeners."`
	Wait      bool          `help:"Wait until it is safe to terminate."`
	Timeout   time.Duration `default:"10m" help:"With --wait: for how long. The node stays drained after it."`
	Threshold int           `default:"-1" placeholder:"N" help:"With --wait: how many listeners may be left, instead of the directors' admin.safe_below."`
	Reason
	Term
	Query
}

// Run drains it.
func (c *DrainCmd) Run(ctx context.Context, t *Terminal) error {
	s, err := c.Open(t)
	if err != nil {
		return err
	}
	n, answer, err := setNode(ctx, s, c.Node, "drain", c.Reason, c.Term)
	if err != nil {
		return err
	}
	if c.Wait {
		var last Answer
		if n, last, err = c.wait(ctx, t, s); err != nil {
			return err
		}
		answer.Body = last.Body
	}
	return showNode(t, c.Query, n, answer)
}

// DisableCmd takes a node out altogether.
type DisableCmd struct {
	Node string `arg:"" completion:"nodes" help:"The node that is to get no new listeners, and not to be probed."`
	Reason
	Term
	Query
}

// Run disables it.
func (c *DisableCmd) Run(ctx context.Context, t *Terminal) error {
	return change(ctx, t, c.Query, c.Node, "disable", c.Reason, c.Term)
}

// ResumeCmd takes a node back into use.
type ResumeCmd struct {
	Node string `arg:"" completion:"nodes" help:"The node that is to get listeners again."`
	Reason
	Query
}

// Run resumes it.
func (c *ResumeCmd) Run(ctx context.Context, t *Terminal) error {
	return change(ctx, t, c.Query, c.Node, "resume", c.Reason, Term{})
}

// change changes a node, and shows it.
func change(ctx context.Context, t *Terminal, q Query, node, verb string, r Reason, term Term) error {
	s, err := q.Open(t)
	if err != nil {
		return err
	}
	n, answer, err := setNode(ctx, s, node, verb, r, term)
	if err != nil {
		return err
	}
	return showNode(t, q, n, answer)
}

func setNode(ctx context.Context, s *Session, node, verb string, r Reason, term Term) (n api.Node, a Answer, err error) {
	e, err := editOf(r, term)
	if err != nil {
		return n, a, err
	}
	a, err = s.Do(ctx, Call{Method: http.MethodPost, Path: nodePath(node) + "/" + verb, Body: api.NodeEdit{Edit: e}}, &n)
	return n, a, s.whichNode(ctx, err, node)
}

func showNode(t *Terminal, q Query, n api.Node, a Answer) error {
	if q.JSON {
		return t.JSON(a.Body)
	}
	printNodes(t, []api.Node{n})
	t.changed(a)
	return nil
}

const (
	waitInterval = time.Second
	// waitEmpty is how many answers in a row must say that a node is safe to terminate.
	waitEmpty = 3
)

// wait asks until the node is safe to terminate. It goes on while a director is away.
func (c *DrainCmd) wait(ctx context.Context, t *Terminal, s *Session) (api.Node, Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	path := nodePath(c.Node)
	if c.Threshold >= 0 {
		path += "?" + url.Values{"threshold": {fmt.Sprint(c.Threshold)}}.Encode()
	}
	tick := time.NewTicker(waitInterval)
	defer tick.Stop()
	trouble, told, waiting, left, safe := "", "", "", (*int)(nil), 0
	for {
		var n api.Node
		answer, err := s.Get(ctx, path, &n)
		switch {
		case RefusalOf(err) != nil:
			return n, answer, err
		case ctx.Err() != nil:
		case err != nil:
			text := wording.Text(err)
			if text != trouble {
				fmt.Fprintln(t.Err, Clean(text))
			}
			trouble, safe = text, 0
		case !n.Drained:
			return n, answer, fmt.Errorf("%s is no longer drained: somebody has resumed it; `signpost history` says who", c.Node)
		default:
			left = nil
			if n.Drain != nil { // else this director has just learned of it
				left = n.Drain.Left
			}
			waiting = waitingText(n.Drain)
			if now := leftText(left) + wrapped(", ", waiting); now != told {
				fmt.Fprintf(t.Err, "%s: %s\n", clean(c.Node), clean(now))
				told = now
			}
			trouble, safe = "", safe+1
			if !n.SafeToTerminate {
				safe = 0
			}
		}
		if safe >= waitEmpty {
			if len(n.Sessions) > 0 {
				fmt.Fprintf(t.Err, "%s: players of HLS and DASH that cannot be moved are not counted, and may still play from it\n", clean(c.Node))
			}
			return n, answer, nil
		}
		select {
		case <-ctx.Done():
			return n, answer, c.late(told != "", left, waiting)
		case <-tick.C:
		}
	}
}

// late returns the error when the time is up. left is how many still listen; nil: not
// known.
func (c *DrainCmd) late(answered bool, left *int, waiting string) error {
	switch {
	case !answered:
		return fmt.Errorf("no director said within %v how many listen at %s; it is drained all the same", c.Timeout, c.Node)
	case waiting != "" && left != nil && *left <= max(0, c.Threshold):
		return fmt.Errorf("%s is empty after %v, but still %s, which may send listeners there: `signpost status` says since when; it stays drained", c.Node, c.Timeout, waiting)
	case left == nil || *left == 0:
		return fmt.Errorf("%s is not known to be empty after %v, perhaps because its server does not tell who listens; it stays drained", c.Node, c.Timeout)
	}
	return fmt.Errorf("%s still has %s after %v; it stays drained: wait on with --wait, or take it back with `signpost resume %s`", c.Node, wording.Count(*left, "listener"), c.Timeout, c.Node)
}
