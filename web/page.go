package web

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/signpost-fm/signpost/director"
)

// listedMounts bounds the page for listeners: nodes that misbehave can report thousands.
const listedMounts = 100

//go:embed page
var pageFiles embed.FS

// pages are the templates for people. Style and script stand in the page itself, which is
// then one request; the policy for the browser names both by their hashes, and allows
// nothing else but streams from anywhere.
var pages = func() (p struct {
	*template.Template
	policy []string // Content-Security-Policy
	style  template.CSS
	script template.JS
}) {
	read := func(name string) string {
		b, err := pageFiles.ReadFile("page/" + name)
		if err != nil {
			panic(err) // it is compiled in
		}
		return string(b)
	}
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	style, script := read("page.css"), read("page.js")
	//nolint:gosec // our own files
	p.style, p.script = template.CSS(style), template.JS(script)
	p.policy = []string{fmt.Sprintf("default-src 'none'; style-src %s; script-src %s; img-src data:; media-src *; connect-src 'self'; base-uri 'none'; form-action 'none'",
		hash(style), hash(script))}
	p.Template = template.Must(template.ParseFS(pageFiles, "page/*.html"))
	return p
}()

var (
	typeHTML = []string{"text/html; charset=utf-8"}
	noSniff  = []string{"nosniff"}
)

// pageHeaders sets the headers of a page for people.
func (x *exchange) pageHeaders(body []byte) {
	h := x.header()
	h["Content-Type"] = typeHTML
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["Content-Security-Policy"] = pages.policy
	h["X-Content-Type-Options"] = noSniff
}

// browser says whether somebody looks at the answer: the client wants a page, and no stream.
// Java's URLConnection, by which some players are made, asks for HTML and GIF by default.
func (q *request) browser() bool {
	accept := firstHeader(q.r, "Accept")
	return strings.Contains(accept, "text/html") && !strings.HasPrefix(accept, "text/html, image/gif, image/jpeg") &&
		q.r.Header["Icy-Metadata"] == nil
}

// player says whether the client is known to play streams, or asks as those do.
func (q *request) player() bool {
	return q.rule != nil || q.r.Header["Icy-Metadata"] != nil || q.r.Header["Range"] != nil ||
		strings.Contains(firstHeader(q.r, "Accept"), "audio/")
}

// listenersPage answers with the page for listeners if that is asked for, and says whether it
// did. Where "/" is a stream too, browsers alone get the page; else all but players do, such
// as those who make a preview of a link.
func (s *Server) listenersPage(x *exchange) (answered bool) {
	if !x.policy.Page || x.r.URL.Path != "/" || sidIn(x.r.URL.RawQuery) != "" {
		return false
	}
	if !x.browser() && (x.target.mount >= 0 || x.player()) {
		return false
	}
	if x.httpsAt != "" && x.rule.Answer == HTTPS {
		x.rule.hits.Add(1)
		_ = s.toHTTPS(x) // it has no error
		return true
	}
	body := s.listenersBody(x)
	x.pageHeaders(body)
	h := x.header()
	h["Cache-Control"] = noStore
	x.policy.connection(h)
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(body) // the client may be gone
	}
	return true
}

// cachedPage is the page for listeners, which is made once for a snapshot.
type cachedPage struct {
	snapshot *director.Snapshot
	policy   *policy
	body     []byte
}

func (s *Server) listenersBody(x *exchange) []byte {
	if p := s.page.Load(); p != nil && p.snapshot == x.view.Snapshot && p.policy == x.policy {
		return p.body
	}
	body := render("listeners.html", map[string]any{
		"Title": pageTitle(x.policy), "Mounts": listMounts(x.view.Snapshot), "Style": pages.style, "Script": pages.script,
	})
	s.page.Store(&cachedPage{x.view.Snapshot, x.policy, body})
	return body
}

func render(name string, data any) []byte {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		panic(err) // a mistake in the template, which is answered as a fault
	}
	return b.Bytes()
}

// pageTitle is the station's name on the page.
func pageTitle(p *policy) string {
	host := ""
	if u, err := url.Parse(p.PublicURL); err == nil {
		host = u.Hostname()
	}
	return cmp.Or(p.PageTitle, host, "Live radio")
}

// A listedMount is one mount on the page for listeners.
type listedMount struct {
	Name, Title string
	Path        string // of the stream, for links on the page
	Format      string // such as "MP3, 128 kbit/s"
	Type        string // media type
	Now         string // what plays; empty: unknown
	Off         bool   // off the air
}

// listMounts returns the mounts in their order: of those that are declared, all, else those
// that play.
func listMounts(s *director.Snapshot) []listedMount {
	told := map[string]fleetSource{}
	for _, src := range fleetSources(s) {
		told[src.mount] = src
	}
	off := map[string]bool{}
	for _, o := range s.OffAir() {
		off[o.Mount] = true
	}
	var all []listedMount
	for i := range s.Mounts() {
		m := s.Mount(i)
		src, reported := told[m.Name]
		if !s.MountsDeclared() && !reported {
			continue
		}
		if len(all) == listedMounts {
			break
		}
		kind := cmp.Or(m.Type, src.Type)
		all = append(all, listedMount{
			Name: m.Name, Title: tidy(cmp.Or(m.Title, src.Name, m.Name)), Path: pathOnPage(m.Name),
			Format: formatName(kind, m.Kbit), Type: kind, Now: tidy(src.Title), Off: off[m.Name],
		})
	}
	return all
}

func tidy(s string) string { return strings.TrimSpace(cleanText(s)) }

// pathOnPage is a mount's path as a link. A mount such as "//evil.example/x" must not lead
// to another host.
func pathOnPage(name string) string {
	path := (&url.URL{Path: name}).EscapedPath()
	if strings.HasPrefix(path, "//") {
		path = "/." + path
	}
	return path
}

// formatNames are what people call media types.
var formatNames = map[string]string{
	"audio/mpeg": "MP3", "audio/aac": "AAC", "audio/aacp": "AAC", "audio/ogg": "Ogg", "application/ogg": "Ogg", "audio/opus": "Opus",
	"audio/flac": "FLAC", "audio/webm": "WebM", "video/webm": "WebM", "application/vnd.apple.mpegurl": "HLS", "application/x-mpegurl": "HLS",
	"application/dash+xml": "DASH",
}

func formatName(mediaType string, kbit int) string {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	name := formatNames[strings.TrimSpace(strings.ToLower(mediaType))]
	switch {
	case kbit == 0:
		return name
	case name == "":
		return fmt.Sprintf("%d kbit/s", kbit)
	}
	return fmt.Sprintf("%s, %d kbit/s", name, kbit)
}

// faultPage is a fault for people: what is the matter, and what to do.
func faultPage(f *fault) []byte {
	advice := ""
	switch {
	case f.retry:
		advice = "Please try again in a few seconds."
	case f.status == http.StatusNotFound:
		advice = "The address may have a mistake in it, or the stream may have moved."
	case f.status == http.StatusUnauthorized:
		advice = "Open it with the address that you were given."
	}
	return render("fault.html", map[string]any{"Said": f.said, "Advice": advice, "Retry": f.retry, "Style": pages.style})
}
