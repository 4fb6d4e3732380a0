package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// Icecast announces changes to a client that sends the method STATS: first all that
// there is, and then a line for each change:
//
//	EVENT /live.mp3 listeners 7
//	EVENT /live.mp3 null null        the source is gone (2.4, 2.5)
//	DELETE /live.mp3                 the same (KH)
//	EVENT global sources 2
//
// With a line break in a song's title, a source can put lines of its own into the feed.
// So a line is not a measurement. It only causes a probe at once, whose answer counts.
const (
	// pushPause is the least time between the starts of two probes, whatever the feed says.
	pushPause = 250 * time.Millisecond
	// feedAgain is how soon a feed that ended is opened again, and feedRefused how soon
	// one that could not be opened is tried again.
	feedAgain   = 2 * time.Second
	feedRefused = time.Minute
	// feedSilence is how long a feed may be silent: with a source, there are lines
	// every few seconds.
	feedSilence = time.Minute
	// feedLine is how many bytes of a line are examined.
	feedLine = 1 << 10
)

// feeds returns a context for a node's feed, if it is time to open one; else nil.
// p.mu is held.
func (p *Prober) feeds(ctx context.Context, s *state) context.Context {
	if !p.cfg.Push || s.removed || s.endFeed != nil || s.report.Health != director.Up || time.Now().Before(s.feedDue) {
		return nil
	}
	ctx, s.endFeed = context.WithCancel(ctx)
	return ctx
}

// feed follows a node's feed until it ends or the node is removed.
func (p *Prober) feed(ctx context.Context, s *state) {
	opened, err := false, error(nil)
	if t := p.target(s, p.cfg.Timeout); t.admin && (t.kind == "" || t.kind == "icecast") {
		err = t.follow(ctx, func() {
			opened = true
			p.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "node tells of changes by itself", slog.String("node", string(s.report.Node)))
		}, func() { p.hint(s) })
	}
	wanted := ctx.Err() == nil
	p.mu.Lock()
	s.endFeed()
	s.endFeed = nil
	s.feedDue = time.Now().Add(feedAgain)
	if !opened {
		s.feedDue = time.Now().Add(feedRefused)
	}
	p.mu.Unlock()
	if wanted && err != nil {
		p.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "node does not tell of changes by itself; it is asked as often as any",
			slog.String("node", string(s.report.Node)), slog.String("err", err.Error()))
	}
	if opened {
		p.hint(s) // a server that hangs up may be dead
	}
}

// hint has a node probed soon.
func (p *Prober) hint(s *state) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nudge(s, time.Now())
	p.signal()
}

// follow reads a feed until it ends. It calls opened when the feed is open, and changed
// for each line that is worth a probe.
func (t target) follow(ctx context.Context, opened, changed func()) error {
	req, err := http.NewRequestWithContext(ctx, "STATS", strings.TrimSuffix(t.base, "/")+"/", nil)
	if err != nil {
		return err
	}
	begin, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	conn, err := t.client.connect(begin, req.URL)
	if err != nil {
		return t.failed(begin, "the feed of STATS", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(t.timeout)) // if this fails, so does the write below
	req.SetBasicAuth(t.user, t.password)
	if _, err := fmt.Fprintf(conn, "STATS / HTTP/1.0\r\nAuthorization: %s\r\nUser-Agent: signpost-probe\r\n\r\n", req.Header.Get("Authorization")); err != nil {
		return t.failed(begin, "the feed of STATS", err)
	}
	head := &io.LimitedReader{R: conn, N: maxHeader}
	in := bufio.NewReaderSize(head, feedLine)
	resp, err := http.ReadResponse(in, req)
	if err != nil {
		return t.failed(begin, "the feed of STATS", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("STATS: %s", clip(resp.Status))
	}
	opened()
	for {
		_ = conn.SetDeadline(time.Now().Add(feedSilence))
		head.N = maxHeader
		line, rest, err := in.ReadLine()
		if err != nil {
			return fmt.Errorf("the feed of STATS ended: %w", err)
		}
		worth := isChange(string(line))
		for rest && err == nil {
			head.N = maxHeader
			_, rest, err = in.ReadLine()
		}
		if worth {
			changed()
		}
	}
}

// isChange says whether a line is about something that a report contains. The server's
// counts of connections are not: a probe itself changes them.
func isChange(line string) bool {
	what, rest, _ := strings.Cut(line, " ")
	subject, rest, _ := strings.Cut(rest, " ")
	field, _, _ := strings.Cut(rest, " ")
	mount := strings.HasPrefix(subject, "/")
	switch what {
	case "DELETE", "FLUSH":
		return mount
	case "EVENT":
		switch field {
		case "listeners", "null", "server_type", "content-type":
			return mount
		case "sources":
			return subject == "global"
		}
	}
	return false
}
