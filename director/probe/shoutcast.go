package probe

import (
	"context"
	"errors"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/signpost-fm/signpost/director"
)

// shoutcast requests SHOUTcast 2's statistics of all streams. Where that page is closed
// or unknown, as with SHOUTcast 1, it requests each stream's own page, and if that fails
// the oldest one, /7.html. None of them needs a password.
//
// A stream has a number, its SID, and several paths: its own, /stream/SID/, and for the
// first stream also /stream and /;. It is reported under the paths that listeners are
// sent to.
type shoutcast struct{}

const (
	allStreamsPath = "/statistics?json=1"
	streamPath     = "/stats?json=1&sid="
	oldestPath     = "/7.html?sid="
	// maxSIDs is how many streams are requested one by one.
	maxSIDs = 16
)

func (shoutcast) ask(ctx context.Context, t target) (answer, error) {
	t.agent = "Mozilla/5.0 (compatible; signpost-probe)" // others get audio in place of /7.html
	s, err := t.dnas(ctx, allStreamsPath, parseDNAS)
	if err == nil || gone(ctx, err) {
		return s.answer(t.mounts, allStreamsPath), err
	}
	first := err
	var all dnas
	path := ""
	for _, sid := range t.sids() {
		path = fmt.Sprint(streamPath, sid)
		one, err := t.dnas(ctx, path, parseDNAS)
		if err != nil && !gone(ctx, err) {
			path = fmt.Sprint(oldestPath, sid)
			one, err = t.dnas(ctx, path, parseSeven)
		}
		if err != nil {
			return answer{}, fmt.Errorf("%w; and before that, %w", err, first)
		}
		for i := range one.streams {
			one.streams[i].sid = sid
		}
		all.version = one.version
		all.streams = append(all.streams, one.streams...)
	}
	return all.answer(t.mounts, path), nil
}

// gone says whether another page cannot help, because the connection failed or the time
// is up.
func gone(ctx context.Context, err error) bool {
	var call syscall.Errno
	return ctx.Err() != nil || errors.As(err, &call)
}

// sids returns the SIDs of the streams that listeners are sent to, or 1 if no path names one.
func (t target) sids() (sids []int) {
	for _, p := range t.mounts {
		if sid := sidOf(p); sid > 0 && !slices.Contains(sids, sid) && len(sids) < maxSIDs {
			sids = append(sids, sid)
		}
	}
	if len(sids) == 0 {
		sids = []int{1}
	}
	return sids
}

var streamOf = regexp.MustCompile(`^/stream/([0-9]{1,9})(/.*)?$`)

// sidOf returns the SID that SHOUTcast takes a path for; 0: none.
func sidOf(path string) int {
	if m := streamOf.FindStringSubmatch(path); m != nil {
		sid, _ := strconv.Atoi(m[1]) // at most nine digits
		return sid
	}
	if path == "/" || path == "/stream" || path == "/stream/" || strings.HasPrefix(path, "/;") {
		return 1
	}
	return 0
}

func (t target) dnas(ctx context.Context, path string, parse func([]byte) (dnas, error)) (dnas, error) {
	resp, err := t.get(ctx, path)
	if err != nil {
		return dnas{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return dnas{}, statusError(path, resp)
	}
	page, err := t.read(ctx, path, resp)
	if err != nil {
		return dnas{}, err
	}
	s, err := parse(page)
	if err != nil {
		return dnas{}, fmt.Errorf("GET %s: %w; it begins with %.60q", path, err, clip(string(page[:min(len(page), 60)])))
	}
	return s, nil
}

// dnas is what a server reported. SHOUTcast calls itself a Distributed Network Audio Server.
type dnas struct {
	version string
	limit   int // of the server; 0: not reported
	streams []stream
}

// stream is one stream of a SHOUTcast server.
type stream struct {
	director.MountReport // its Path is the stream's own
	sid                  int
	kbit                 int
	told, plays          bool // whether it has a source is reported; it has one
}

func newStream() stream { return stream{MountReport: director.MountReport{Listeners: -1}, sid: 1} }

func (s *stream) set(field, text string) {
	switch field {
	case "id":
		s.sid = max(0, count(text))
	case "streamstatus":
		s.told, s.plays = true, text == "1"
	case "streampath":
		s.Path = text
	case "currentlisteners":
		s.Listeners = count(text)
	case "maxlisteners":
		s.Limit = max(0, count(text))
	case "bitrate":
		s.kbit = max(0, count(text))
	case "content":
		s.Type = clip(text)
	case "servertitle":
		s.Name = clip(text)
	case "songtitle":
		s.Title = clip(text)
	}
}

// parseDNAS parses the JSON of /statistics, which lists streams, and that of /stats,
// which is about one stream.
func parseDNAS(page []byte) (dnas, error) {
	s := statusScanner{rest: string(page)}
	out, top, list := dnas{}, newStream(), false
	s.object(func(key string) {
		switch key {
		case "streams":
			list = true
			s.each(func() {
				one := newStream()
				s.object(func(key string) { one.set(key, s.text()) })
				if one.told {
					out.streams = append(out.streams, one)
				}
				if len(out.streams) > maxMounts {
					s.fail(fmt.Sprintf("more than %d streams: not believed", maxMounts))
				}
			})
		case "version":
			out.version = clip(s.text())
		default:
			top.set(key, s.text())
		}
	})
	if s.err == nil && s.space() != 0 {
		s.fail("text behind the end")
	}
	switch {
	case s.err != nil:
		return dnas{}, fmt.Errorf("not SHOUTcast's statistics: %w", s.err)
	case list:
		out.limit = top.Limit
	case top.told:
		out.streams = []stream{top}
	default:
		return dnas{}, errors.New("not SHOUTcast's statistics: no streams in it")
	}
	return out, nil
}

// parseSeven parses /7.html, which has seven fields: listeners, whether there is a
// source, peak listeners, the limit, listeners by unique address, bitrate, title.
func parseSeven(page []byte) (dnas, error) {
	text := string(page)
	if _, body, ok := strings.Cut(text, "<body>"); ok {
		text = body
	}
	text, _, _ = strings.Cut(text, "</body>")
	fields := strings.SplitN(strings.TrimSpace(text), ",", 7)
	if len(fields) < 7 || count(fields[0]) < 0 || fields[1] != "0" && fields[1] != "1" {
		return dnas{}, errors.New("not SHOUTcast's numbers")
	}
	s := newStream()
	for i, name := range []string{"currentlisteners", "streamstatus", "", "maxlisteners", "", "bitrate", "songtitle"} {
		s.set(name, html.UnescapeString(fields[i]))
	}
	return dnas{streams: []stream{s}}, nil
}

// answer reports each stream that plays under those of paths that lead to it, or under
// its own path if none does.
func (d dnas) answer(paths []string, asked string) answer {
	a := answer{server: strings.TrimSpace("SHOUTcast " + d.version), limit: d.limit}
	for _, s := range d.streams {
		a.listeners += max(0, s.Listeners)
		a.kbit += float64(max(0, s.Listeners) * s.kbit)
		if !s.plays {
			continue
		}
		own := s.MountReport
		if sidOf(own.Path) == 1 || !isMount(own.Path) {
			own.Path = fmt.Sprintf("/stream/%d/", s.sid)
		}
		known := false
		for _, p := range paths {
			if sidOf(p) == s.sid || p == own.Path {
				m := own
				m.Path = p
				a.mounts = append(a.mounts, m)
				known = true
			}
		}
		if !known {
			a.mounts = append(a.mounts, own)
		}
	}
	slices.SortFunc(a.mounts, func(a, b director.MountReport) int { return strings.Compare(a.Path, b.Path) })
	for _, m := range a.mounts {
		a.untold = append(a.untold, m.Path)
	}
	a.detail = fmt.Sprintf("GET %s: %s", asked, describe(a.server, len(a.mounts)))
	return a
}
