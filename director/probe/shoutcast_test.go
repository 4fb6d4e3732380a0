package probe

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
)

// What SHOUTcast 2 answers, by its documentation ("Shoutcast DNAS Server JSON
// Responses", 2018), with two streams of which the second has no source, and a
// third that has a path of its own.
const (
	dnasAll = `{"totalstreams":3,"activestreams":2,"currentlisteners":15,"peaklisteners":40,"maxlisteners":512,"uniquelisteners":14,"averagetime":24,"version":"2.6.1.777 (posix(linux x64))","streams":[` +
		`{"id":1,"currentlisteners":10,"peaklisteners":30,"maxlisteners":500,"uniquelisteners":9,"averagetime":24,"servergenre":"Misc","serverurl":"http:\/\/radio.example","servertitle":"Radio","songtitle":"A \"B\" - C","streamhits":30,"streamstatus":1,"backupstatus":0,"streamlisted":0,"streamlistederror":847993365,"streampath":"\/","streamuptime":1964,"bitrate":"96","samplerate":"44100","content":"audio\/mpeg"},` +
		`{"id":2,"currentlisteners":0,"peaklisteners":0,"maxlisteners":500,"streamstatus":0,"streampath":"\/stream\/2\/","bitrate":"0"},` +
		`{"id":3,"currentlisteners":5,"peaklisteners":10,"maxlisteners":100,"servertitle":"Jazz","songtitle":"","streamstatus":1,"streampath":"\/jazz","bitrate":"128","content":"audio\/aacp"}]}`
	dnasOne = `{"currentlisteners":1220,"peaklisteners":1342,"maxlisteners":10000,"uniquelisteners":1191,"averagetime":4658,"servergenre":"Rock","servertitle":"Red","songtitle":"D - E","streamhits":222042,"streamstatus":1,"backupstatus":0,"streamlisted":0,"streamlistederror":200,"streampath":"\/stream","streamuptime":9536,"bitrate":"128","content":"audio\/mpeg","version":"2.4.7.256 (posix(linux x64))"}`
	seven   = `<HTML><meta http-equiv="Pragma" content="no-cache"></head><body>7,1,80,320,6,64,F &amp; G, live</body></html>`
)

// dnasServer answers each path that it has a page for; the others get 404, as
// SHOUTcast 1 writes it if it is old.
func dnasServer(t *testing.T, old bool, pages map[string]string) string {
	return rawServer(t, func(c net.Conn) {
		request := readRequest(c)
		path := strings.Fields(request + " - -")[1]
		page, ok := pages[path]
		switch {
		case ok && strings.Contains(request, "User-Agent: Mozilla/"):
			fmt.Fprintf(c, "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n%s", page)
		case ok || old:
			fmt.Fprint(c, "ICY 404 Resource Not Found\r\nicy-notice1: x\r\n\r\n")
		default:
			fmt.Fprint(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		}
	})
}

func TestShoutcast(t *testing.T) {
	t.Parallel()
	radio := director.MountReport{Listeners: 10, Limit: 500, Type: "audio/mpeg", Name: "Radio", Title: `A "B" - C`}
	jazz := director.MountReport{Path: "/jazz", Listeners: 5, Limit: 100, Type: "audio/aacp", Name: "Jazz"}
	red := director.MountReport{Listeners: 1220, Limit: 10000, Type: "audio/mpeg", Name: "Red", Title: "D - E"}
	fg := director.MountReport{Listeners: 7, Limit: 320, Title: "F & G, live"}
	at := func(path string, m director.MountReport) director.MountReport { m.Path = path; return m }
	for name, c := range map[string]struct {
		old   bool
		pages map[string]string
		nodes []string // paths that listeners are sent to
		want  answer
	}{
		"all streams": {
			pages: map[string]string{"/statistics?json=1": dnasAll},
			want: answer{
				detail: "GET /statistics?json=1: SHOUTcast 2.6.1.777 (posix(linux x64)), 2 mounts", server: "SHOUTcast 2.6.1.777 (posix(linux x64))",
				mounts: []director.MountReport{jazz, at("/stream/1/", radio)}, listeners: 15, limit: 512, kbit: 10*96 + 5*128,
			},
		},
		"under the paths that listeners are sent to": {
			pages: map[string]string{"/statistics?json=1": dnasAll},
			nodes: []string{"/;", "/stream/1/", "/stream/2/", "/stream/3/x.aac", "/stream/30/", "/live.mp3"},
			want: answer{
				detail: "GET /statistics?json=1: SHOUTcast 2.6.1.777 (posix(linux x64)), 3 mounts", server: "SHOUTcast 2.6.1.777 (posix(linux x64))",
				mounts: []director.MountReport{at("/;", radio), at("/stream/1/", radio), at("/stream/3/x.aac", jazz)}, listeners: 15, limit: 512, kbit: 10*96 + 5*128,
			},
		},
		"by its own path": {
			pages: map[string]string{"/statistics?json=1": dnasAll},
			nodes: []string{"/jazz", "/stream", "/stream/3/"},
			want: answer{
				detail: "GET /statistics?json=1: SHOUTcast 2.6.1.777 (posix(linux x64)), 3 mounts", server: "SHOUTcast 2.6.1.777 (posix(linux x64))",
				mounts: []director.MountReport{jazz, at("/stream", radio), at("/stream/3/", jazz)}, listeners: 15, limit: 512, kbit: 10*96 + 5*128,
			},
		},
		"one stream": {
			pages: map[string]string{"/stats?json=1&sid=1": dnasOne},
			want: answer{
				detail: "GET /stats?json=1&sid=1: SHOUTcast 2.4.7.256 (posix(linux x64)), 1 mount", server: "SHOUTcast 2.4.7.256 (posix(linux x64))",
				mounts: []director.MountReport{at("/stream/1/", red)}, listeners: 1220, kbit: 1220 * 128,
			},
		},
		"two streams, one by one": {
			pages: map[string]string{"/stats?json=1&sid=1": dnasOne, "/stats?json=1&sid=7": strings.Replace(dnasOne, `"streampath":"\/stream"`, `"streampath":"\/seven"`, 1)},
			nodes: []string{"/stream/1/", "/stream/7/"},
			want: answer{
				detail: "GET /stats?json=1&sid=7: SHOUTcast 2.4.7.256 (posix(linux x64)), 2 mounts", server: "SHOUTcast 2.4.7.256 (posix(linux x64))",
				mounts: []director.MountReport{at("/stream/1/", red), at("/stream/7/", red)}, listeners: 2440, kbit: 2440 * 128,
			},
		},
		"the oldest page": {
			old: true, pages: map[string]string{"/7.html?sid=1": seven}, nodes: []string{"/;"},
			want: answer{
				detail: "GET /7.html?sid=1: SHOUTcast, 1 mount", server: "SHOUTcast",
				mounts: []director.MountReport{at("/;", fg)}, listeners: 7, kbit: 7 * 64,
			},
		},
		"no source": {
			old: true, pages: map[string]string{"/7.html?sid=1": "<html><body>0,0,80,320,0,64,</body></html>"},
			want: answer{detail: "GET /7.html?sid=1: SHOUTcast, 0 mounts", server: "SHOUTcast"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := dnasServer(t, c.old, c.pages)
			p := New(Config{Kind: func(director.NodeID) string { return "shoutcast" }})
			n := director.Node{ID: "n", URLs: []string{url}, Paths: map[string]string{}}
			for i, path := range c.nodes {
				n.Paths[fmt.Sprint("/", i)] = path
			}
			s := newState(n)
			s.mounts = pathsAt(n, nil)
			h := p.ask(t.Context(), s, 10*time.Second)
			if h.err != nil {
				t.Fatal(h.err)
			}
			for _, m := range c.want.mounts {
				c.want.untold = append(c.want.untold, m.Path)
			}
			if diff := cmp.Diff(c.want, h.answer, cmp.AllowUnexported(answer{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNotShoutcast(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(net.Conn)
		want   string
	}{
		"silence":  {func(c net.Conn) { readRequest(c); _, _ = c.Read(make([]byte, 1)) }, "GET /statistics?json=1: no whole answer within 300ms"},
		"html":     {says("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"), "GET /7.html?sid=1: not SHOUTcast's numbers; it begins with \"<html>\"; and before that, GET /statistics?json=1: not SHOUTcast's statistics"},
		"icecast":  {says("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"icestats\":{}}"), "not SHOUTcast's statistics: no streams in it"},
		"not here": {says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), "404 Not Found"},
		"stream":   {endless("HTTP/1.0 200 OK\r\n\r\n", "audio"), "more than 4 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := 10 * time.Second
			if name == "silence" {
				timeout = 300 * time.Millisecond
			}
			_, err := askOnce(t, Config{Kind: func(director.NodeID) string { return "shoutcast" }}, timeout, rawServer(t, c.answer))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
	_, err := askOnce(t, Config{Kind: func(director.NodeID) string { return "shoutcast" }}, time.Second, "http://127.0.0.1:1")
	if err == nil || err.Error() != "GET /statistics?json=1: connection refused" {
		t.Errorf("error %v", err)
	}
}

func FuzzDNAS(f *testing.F) {
	for _, page := range []string{dnasAll, dnasOne, seven, `{"streams":[{"id":-1,"streamstatus":1,"currentlisteners":1.8e18}]}`, "<body>1,1,1,1,1,1,</body>", "1,1,1,1,1,1,1"} {
		f.Add(page)
	}
	f.Fuzz(func(t *testing.T, page string) {
		for _, parse := range []func([]byte) (dnas, error){parseDNAS, parseSeven} {
			d, err := parse([]byte(page))
			if err != nil {
				continue
			}
			a := d.answer([]string{"/;", "/stream/2/"}, "/x")
			if a.listeners < 0 || a.listeners > len(d.streams)*maxCount || a.limit < 0 || a.limit > maxCount {
				t.Fatalf("listeners %d, limit %d", a.listeners, a.limit)
			}
			for _, m := range a.mounts {
				if !isMount(m.Path) {
					t.Fatalf("mount %q", m.Path)
				}
			}
		}
	})
}
