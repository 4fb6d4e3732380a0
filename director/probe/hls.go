package probe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/web/hls"
)

// inParts is the kind of a node that serves HLS or DASH. It is asked as one of kind http is,
// but a mount that is a playlist or an MPD plays only if what it names does: its newest segment
// has to be there, and new ones have to come.
//
// A playlist is read as a player reads it that begins: without the delivery directives of low
// latency (_HLS_msn, _HLS_part), for which a server would hold its answer, and without the part
// that EXT-X-PRELOAD-HINT names, which is not there yet.
const inParts = "hls"

// lateBy is how many target durations may pass without a new segment. Players stall after
// about three: that is where they begin to play before a playlist's end (rfc8216bis, 6.3.3).
const lateBy = 3

// An edge is how far a playlist or an MPD had come when it was read.
type edge struct {
	of     string        // the URL of the media playlist or MPD
	at     string        // what changes when a new segment comes; empty: it is on demand, or does not tell
	target time.Duration // how long a segment is at most; 0: it does not tell of new ones
	ended  bool          // no segment will come any more
	slid   bool          // segments are gone that were there, so it was live
	newest string        // the URL of the newest segment
}

// edges returns what is known of the mounts that play.
func (s *state) edges() map[string]edge {
	out := make(map[string]edge, len(s.known))
	for path, m := range s.known {
		if m.verdict.State == director.MountPlays && m.edge.at != "" {
			out[path] = m.edge
		}
	}
	return out
}

// advance judges by what was known of a playlist whether it is live, late or over.
func (m *mount) advance(t *tried, now time.Time) {
	e := t.edge
	if e.at == "" {
		return
	}
	if e.of != m.edge.of || e.at != m.edge.at {
		m.edge, m.moved = e, now
	}
	m.edge.ended = e.ended
	m.live = m.live || !e.ended || e.slid
	since := now.Sub(m.moved)
	switch {
	case t.state != director.MountPlays:
	case e.ended && m.live:
		t.state, t.cause = director.MountSilent, director.SourceGone
		t.detail += ": it has ended"
	case !e.ended && e.target > 0 && since > lateBy*e.target:
		t.state, t.cause = director.MountSilent, director.SourceHangs
		t.detail += fmt.Sprintf(": no new segment for %v, where one is due every %v", since.Round(time.Second), e.target.Round(10*time.Millisecond))
	}
}

// readPlaylist judges a response that may be a playlist or an MPD by what that names.
func (t target) readPlaylist(ctx context.Context, r request, resp *http.Response, begun time.Time) tried {
	in := bufio.NewReader(resp.Body)
	start, _ := in.Peek(16) // an error comes again when the rest is read
	start = bytes.TrimLeft(bytes.TrimPrefix(start, []byte("\uFEFF")), "\r\n\t ")
	isMPD := bytes.HasPrefix(start, []byte("<"))
	lower := strings.ToLower(r.path)
	named := strings.HasSuffix(lower, ".m3u8") || strings.HasSuffix(lower, ".mpd")
	if !named && !isMPD && !bytes.HasPrefix(start, []byte("#EXTM3U")) {
		resp.Body = &body{io.NopCloser(in), resp.Body.Close}
		return t.listen(ctx, r.path, resp, r, begun)
	}
	p := player{target: t, known: t.edges[r.path], out: tried{state: director.MountPlays, detail: fmt.Sprintf("GET %s: %s", r.path, clip(resp.Status))}}
	text, err := t.text(ctx, r.path, in)
	switch {
	case err != nil:
		p.silent(director.SourceHangs, "%v", err)
	case isMPD:
		p.mpd(ctx, text, resp)
	default:
		p.playlist(ctx, text, resp.Request.URL)
	}
	return p.out
}

// text reads a whole playlist or MPD.
func (t target) text(ctx context.Context, path string, in io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, hls.MaxText+1))
	switch {
	case err != nil:
		return nil, t.failed(ctx, path, err)
	case len(text) == 0:
		return nil, errors.New("closed before the first byte")
	}
	return text, nil
}

// A player reads what players read of one mount, and judges it.
type player struct {
	target
	known edge // what was there before
	out   tried
}

// silent turns the verdict to silent, and says why.
func (p *player) silent(c director.Cause, format string, args ...any) {
	p.out.state, p.out.cause = director.MountSilent, c
	p.out.detail += ", " + clip(fmt.Sprintf(format, args...))
}

// refuses is silent for a text that is no playlist or MPD.
func (p *player) refuses(err error) {
	var e *hls.Error
	if errors.As(err, &e) && e.Line > 0 {
		err = fmt.Errorf("line %d: %s", e.Line, e.Reason)
	} else if e != nil {
		err = errors.New(e.Reason)
	}
	p.silent(director.NotAudio, "%v", err)
}

func (p *player) playlist(ctx context.Context, text []byte, at *url.URL) {
	if hls.IsMultivariant(text) {
		m, err := hls.ParseMultivariant(text, at)
		if err != nil {
			p.refuses(err)
			return
		}
		resp, ok := p.get(ctx, m.First(), "")
		if !ok {
			return
		}
		defer resp.Body.Close()
		at = resp.Request.URL
		if text, err = p.text(ctx, at.RequestURI(), resp.Body); err != nil {
			p.silent(director.SourceHangs, "%v", err)
			return
		}
	}
	m, err := hls.ParseMedia(text, at)
	if err != nil {
		p.refuses(err)
		return
	}
	if !m.End || m.Type != "VOD" {
		p.out.edge = edge{of: at.Path, at: fmt.Sprintf("%d.%d", m.Next(), len(m.Parts)), target: m.Target, ended: m.End, slid: m.Sequence > 0}
	}
	uri, part := "", hls.Range{}
	if last := m.Last(); last != nil {
		uri, part = last.URI, last.Range
		p.out.detail += fmt.Sprintf(", segment %d", last.Sequence)
	}
	if n := len(m.Parts); n > 0 && !m.Parts[n-1].Gap {
		uri, part = m.Parts[n-1].URI, m.Parts[n-1].Range
		p.out.detail += fmt.Sprintf(", part %d of segment %d", n-1, m.Next())
	}
	switch {
	case uri == "" && len(m.Segments) > 0:
		p.silent(director.SourceHangs, "all of its segments are gaps")
	case uri == "":
		p.silent(director.SourceHangs, "it has no segment yet")
	default:
		p.segment(ctx, uri, part)
	}
}

// mpd judges an MPD. Where it does not list its segments, which one is there follows from the
// time: from that of the response, since another clock than the node's would not do.
func (p *player) mpd(ctx context.Context, text []byte, resp *http.Response) {
	at := resp.Request.URL
	m, err := hls.ParseMPD(text, at)
	if err != nil {
		p.refuses(err)
		return
	}
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	s, ok := m.Newest(now)
	if ok && !s.Listed && m.Dynamic { // one that was complete for as long as it lasts
		s, ok = m.Newest(now.Add(-s.Length))
	}
	if !ok {
		p.out.detail += ", an MPD that does not tell its segments"
		return
	}
	switch e := &p.out.edge; {
	case !m.Dynamic:
		*e = edge{of: at.Path, at: "over", ended: true}
	case s.Listed:
		*e = edge{of: at.Path, at: s.Ends.Format(time.RFC3339Nano), target: s.Length}
	default:
		*e = edge{of: at.Path, at: "by time"}
	}
	p.out.detail += fmt.Sprintf(", segment %s", clip(s.URI[strings.LastIndexByte(s.URI, '/')+1:]))
	p.segment(ctx, s.URI, hls.Range{})
}

// segment looks whether a segment is there, unless it was there before.
func (p *player) segment(ctx context.Context, uri string, part hls.Range) {
	e := &p.out.edge
	if e.newest = uri; uri == p.known.newest && e.at == p.known.at {
		return
	}
	resp, ok := p.get(ctx, uri, strconv.FormatInt(part.Offset, 10)+"-"+strconv.FormatInt(part.Offset+1023, 10))
	if !ok {
		return
	}
	defer resp.Body.Close()
	switch n, err := resp.Body.Read(make([]byte, 512)); {
	case n > 0:
	case err == nil, errors.Is(err, io.EOF):
		p.silent(director.SourceHangs, "GET %s: an empty segment", clip(resp.Request.URL.RequestURI()))
	default:
		p.silent(director.SourceHangs, "%v", p.failed(ctx, clip(resp.Request.URL.RequestURI()), err))
	}
}

// here returns where a URL that a node names is at the server that is probed; nil: it is at
// another one. What a node says makes a director ask no other server. A URL of the node for
// listeners leads to the one that is probed, too.
func (t target) here(u *url.URL) *url.URL {
	base, err := url.Parse(strings.TrimSuffix(t.base, "/"))
	if err != nil {
		return nil
	}
	if u.Scheme == base.Scheme && server(u) == server(base) {
		return u
	}
	for _, public := range t.public {
		p, err := url.Parse(public)
		if err != nil || u.Scheme != p.Scheme || server(u) != server(p) {
			continue
		}
		if rest, below := strings.CutPrefix(u.RequestURI(), strings.TrimSuffix(p.EscapedPath(), "/")); below && strings.HasPrefix(rest, "/") {
			at, _ := url.Parse(base.String() + rest)
			return at
		}
	}
	return nil
}

// get requests what a playlist names, and follows redirects within the server. ok is false if
// the mount is judged: what is at another server is not asked for, and plays.
func (p *player) get(ctx context.Context, uri, bytes string) (resp *http.Response, ok bool) {
	u, err := url.Parse(uri)
	if err == nil {
		u = p.here(u)
	}
	if err != nil || u == nil {
		p.out.detail += ", whose segments are at another server"
		return nil, false
	}
	for hop := 0; ; hop++ {
		path := u.RequestURI()
		resp, err := p.getPart(ctx, u.String(), clip(path), bytes)
		if err != nil {
			if got := notReached(ctx, err); got.own {
				p.out = got
			} else {
				p.silent(got.cause, "%s", got.detail)
			}
			return nil, false
		}
		switch code := resp.StatusCode; {
		case code == http.StatusOK, code == http.StatusPartialContent:
			return resp, true
		case code >= 300 && code <= 399:
			next, err := resp.Location()
			_ = resp.Body.Close() // the next hop's response counts
			if err == nil {
				next = p.here(next)
			}
			if err != nil || next == nil || hop == maxHops {
				p.out.detail += fmt.Sprintf(", GET %s: %s to %s, which players follow", clip(path), clip(resp.Status), clip(resp.Header.Get("Location")))
				return nil, false
			}
			u = next
			continue
		case code == http.StatusUnauthorized:
			p.out.cause = director.AsksListeners
			p.out.detail += fmt.Sprintf(", GET %s: %s", clip(path), clip(resp.Status))
		default:
			p.silent(director.SourceHangs, "GET %s: %s", clip(path), clip(resp.Status))
		}
		_ = resp.Body.Close()
		return nil, false
	}
}
