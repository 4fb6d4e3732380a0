package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/signpost-fm/signpost/director"
)

// icecast probes Icecast 2.4, 2.5 and Icecast-KH. With credentials it reads
// /admin/stats, which is cheapest for the server, is always well formed except for
// titles in a broken encoding, and lists hidden mounts too. Without credentials it
// reads the public /status-json.xsl, which Icecast-KH does not have.
//
// A server that answers without statistics may still play. Its mounts are then
// requested instead, once a minute each.
type icecast struct{}

const (
	statsPath  = "/admin/stats"
	statusPath = "/status-json.xsl"
)

func (k icecast) ask(ctx context.Context, t target) (answer, error) {
	a, err := k.statistics(ctx, t)
	var strange *strangeAnswer
	if err == nil || !errors.As(err, &strange) || len(t.mounts) == 0 {
		return a, err
	}
	a = answer{detail: err.Error(), server: "unnamed server", listeners: -1, anyMount: true, blind: true, warning: refused(err)}
	switch {
	case t.plays:
		return a, nil
	case !t.mayTry:
		return answer{}, err
	}
	t.turn, t.expect = t.mounts[:min(len(t.mounts), maxTurns)], nil
	got, mountsErr := t.askMounts(ctx)
	a.tried = got.tried
	for _, g := range got.tried {
		if mountsErr == nil && g.state != director.MountSilent {
			return a, nil
		}
	}
	return a, err
}

func (icecast) statistics(ctx context.Context, t target) (answer, error) {
	if !t.admin {
		return t.statistics(ctx, statusPath, parseStatus)
	}
	a, err := t.statistics(ctx, statsPath, parseStats)
	var refused *unexpected
	if !errors.As(err, &refused) || refused.code < 400 || refused.code > 499 {
		return a, err
	}
	// A password that was changed at the node must not take the node down.
	a, publicErr := t.statistics(ctx, statusPath, parseStatus)
	if publicErr != nil {
		return answer{}, err
	}
	a.warning = complaint{
		fmt.Sprintf("%s is read in place of all statistics, and lacks hidden mounts: %v", statusPath, err), "see that credentials_file has the server's user and password",
	}
	return a, nil
}

func (t target) statistics(ctx context.Context, path string, parse func([]byte) (statistics, error)) (answer, error) {
	resp, err := t.get(ctx, path)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		if refusesAtLimit(resp) {
			return answer{full: true, detail: fmt.Sprintf("GET %s: %s: the server is at its own limit of clients", path, clip(resp.Status))}, nil
		}
		return answer{}, &strangeAnswer{statusError(path, resp)}
	}
	body, err := t.read(ctx, path, resp)
	if err != nil {
		return answer{}, err
	}
	s, err := parse(body)
	if err != nil {
		return answer{}, &strangeAnswer{fmt.Errorf("GET %s: %w", path, err)}
	}
	if s.server == "" {
		s.server = cmp.Or(clip(resp.Header.Get("Server")), "unnamed server")
	}
	s.below(t)
	return s.answer(path), nil
}

// strangeAnswer is the error for a server that answers, but not with statistics.
type strangeAnswer struct{ error }

func (e *strangeAnswer) Unwrap() error { return e.error }

// below strips the path of the node's URL from the mounts' paths. Behind a proxy that
// serves it below a path, a server may name its mounts as listeners see them.
func (s *statistics) below(t target) {
	u, err := url.Parse(t.base)
	if err != nil || strings.Trim(u.Path, "/") == "" {
		return
	}
	base := strings.TrimSuffix(u.Path, "/")
	for i := range s.sources {
		src := &s.sources[i]
		if rest, ok := strings.CutPrefix(src.Path, base); ok && isMount(rest) && !slices.Contains(t.mounts, src.Path) {
			src.Path = rest
		}
	}
}

// refusesAtLimit says whether an error response means that the server has no room for
// one more client, the probe included. Icecast 2.4.4 answers 403 with this text
// before it reads the request, and then resets the connection. Icecast 2.5.0 answers
// 503 with a page. Icecast-KH puts the text into the status line.
func refusesAtLimit(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusForbidden:
		return strings.Contains(resp.Status, "Too many clients connected") ||
			bodyHas(resp, "connection limit reached")
	case http.StatusServiceUnavailable:
		// A proxy in front of a dead Icecast answers 503 as well.
		return strings.HasPrefix(resp.Header.Get("Server"), "Icecast") ||
			bodyHas(resp, "connection limit reached")
	}
	return false
}

// statistics are the contents of a statistics page, set field by field from text.
type statistics struct {
	server    string
	listeners int // -1: not reported, or not plausible
	kbit      float64
	sources   []source
}

// source is one mount on a statistics page.
type source struct {
	director.MountReport
	artist string
	read   int64   // bytes from the source; 0: not reported, or none yet
	told   float64 // kbit/s that the source reports; 0: it reports none
	// sourced is false for the entry of a configured mount whose source is gone while
	// its fallback plays, and for that of a relay that connects for its first listener:
	// such an entry has no type and no start.
	sourced  bool
	relay    bool // its entry has a listener peak, as a relay's has even before it has a source
	onDemand bool // bytes come in only while somebody listens
}

// maxMounts is the largest number of mounts accepted from one server.
const maxMounts = 10_000

func newStatistics() statistics { return statistics{listeners: -1} }

func newSource() source {
	return source{MountReport: director.MountReport{Listeners: -1}}
}

func (s *statistics) set(field, text string) {
	switch field {
	case "server_id":
		s.server = clip(text)
	case "listeners":
		s.listeners = count(text)
	case "outgoing_kbitrate":
		// A rate above 10 Tbit/s is a wrapped counter, as with listeners.
		if f, err := strconv.ParseFloat(text, 64); err == nil && f >= 0 && f <= 1e10 {
			s.kbit = f
		}
	}
}

func (s *source) set(field, text string) {
	switch field {
	case "listenurl":
		if s.Path == "" {
			s.Path = pathOf(text)
		}
	case "listeners":
		s.Listeners = count(text)
	case "listener_peak":
		s.Peak = max(0, count(text))
		s.relay = true
	case "max_listeners":
		s.Limit = max(0, count(text)) // "unlimited" and -1: none
	case "server_type", "content-type":
		s.sourced = s.sourced || text != ""
		if s.Type == "" {
			s.Type = clip(text)
		}
	case "stream_start":
		s.sourced = s.sourced || text != ""
	case "stream_start_iso8601":
		if at, err := time.Parse("2006-01-02T15:04:05-0700", text); err == nil {
			s.Started = at.UTC()
		}
	case "on_demand": // a relay that connects when the first listener comes
		s.onDemand = text == "1"
	case "server_name":
		s.Name = clip(text)
	case "bitrate", "ice-bitrate":
		if n := count(text); n > 0 && n <= maxKbit {
			s.told = float64(n)
		}
	case "total_bytes_read":
		s.read = bytesRead(text)
	case "title":
		s.Title = clip(unreference(text))
	case "artist":
		s.artist = clip(unreference(text))
	}
}

// add adds a source whose entry was read to its end.
func (s *statistics) add(src source) error {
	if !isMount(src.Path) {
		return nil
	}
	if len(s.sources) == maxMounts {
		return fmt.Errorf("more than %d mounts: not believed", maxMounts)
	}
	if src.artist != "" && src.Title != "" {
		src.Title = src.artist + " - " + src.Title
	}
	s.sources = append(s.sources, src)
	return nil
}

func (s *statistics) answer(path string) answer {
	mounts := make([]director.MountReport, len(s.sources))
	read, told := map[string]int64{}, map[string]float64{}
	var untold, sourceless, onDemand []string
	sourced := make([]director.MountReport, 0, len(s.sources))
	for i, src := range s.sources {
		mounts[i] = src.MountReport
		if !src.sourced {
			sourceless = append(sourceless, src.Path)
			if src.relay || src.onDemand {
				onDemand = append(onDemand, src.Path)
			}
			continue
		}
		sourced = append(sourced, src.MountReport)
		if src.read > 0 && !src.onDemand {
			read[src.Path] = src.read
		}
		if src.told > 0 {
			told[src.Path] = src.told
		}
		if path == statusPath && !src.onDemand {
			untold = append(untold, src.Path)
		}
	}
	slices.SortFunc(mounts, func(a, b director.MountReport) int { return strings.Compare(a.Path, b.Path) })
	return answer{
		detail:     fmt.Sprintf("GET %s: %s", path, describe(s.server, len(mounts)-len(sourceless))),
		server:     s.server,
		mounts:     mounts,
		kbit:       s.kbit,
		read:       read,
		told:       told,
		untold:     untold,
		sourceless: sourceless,
		onDemand:   onDemand,
		listeners:  listenersOf(mounts, s.listeners),
		limit:      limitOf(sourced),
	}
}

var decimalRef = regexp.MustCompile(`&#[0-9]{1,7};`)

// unreference decodes the numeric references in a title. Icecast 2.4 keeps titles of MP3
// streams in Latin-1 and writes other characters as "&#8211;", whose ampersand the page
// escapes once more.
func unreference(title string) string {
	return decimalRef.ReplaceAllStringFunc(title, func(ref string) string {
		n, err := strconv.ParseInt(ref[2:len(ref)-1], 10, 32)
		if err != nil || !utf8.ValidRune(rune(n)) {
			return ref
		}
		return string(rune(n))
	})
}

// count parses a number of listeners, or another count; -1: it is not plausible.
func count(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > maxCount {
		return -1
	}
	return n
}

// maxKbit is above any MP3 bitrate: some sources report theirs in bit/s.
const maxKbit = 1000

// maxBytes is more than a source sends in a year at 1 Gbit/s: 4 PB.
const maxBytes = 1 << 52

// bytesRead parses a number of bytes; 0: it is not plausible.
func bytesRead(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > maxBytes {
		return 0
	}
	return n
}

// isMount says whether a listener can ask for a path.
func isMount(path string) bool {
	return strings.HasPrefix(path, "/") && len(path) <= 1024 && !strings.ContainsFunc(path, unicode.IsControl)
}

// pathOf returns the path of a listenurl. Icecast writes the mount into it unescaped,
// "http://host:8000/sp ace%.mp3", so it cannot be parsed as a URL.
func pathOf(listenURL string) string {
	_, rest, ok := strings.Cut(listenURL, "://")
	if !ok {
		return ""
	}
	i := strings.IndexByte(rest, '/')
	if i < 0 {
		return ""
	}
	return rest[i:]
}
