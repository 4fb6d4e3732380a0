package proxy

import (
	"bufio"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// TestRefusals gives each listener a node that does not play, and then one that does.
func TestRefusals(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	const mpeg = "Content-Type: audio/mpeg\r\n"
	for name, c := range map[string]struct {
		play   func(net.Conn)
		why    Why
		detail string
	}{
		"mount full":         {says("HTTP/1.0 403 Forbidden\r\nContent-Type: text/plain\r\n\r\nmax listeners reached"), WhyFull, `"403 Forbidden"`},
		"server full":        {says("HTTP/1.1 503 Service Unavailable\r\n\r\n<html>"), WhyFull, "503"},
		"missing":            {says("HTTP/1.0 404 File Not Found\r\nContent-Type: text/html\r\n\r\n<html>"), WhyStatus, "404 File Not Found"},
		"bad password":       {says("ICY 401 Service Unavailable\r\n\r\n"), WhyStatus, "401"},
		"no content":         {says("HTTP/1.1 204 No Content\r\n\r\n"), WhyEnded, "EOF"},
		"a page":             {says(ok + "Content-Type: text/html; charset=utf-8\r\n\r\n<html>"), WhyNotAudio, "text/html"},
		"a page as audio":    {says(ok + mpeg + "\r\n<!DOCTYPE html><html>blocked</html>"), WhyNotAudio, "a page"},
		"a playlist":         {says(ok + "Content-Type: audio/x-mpegurl\r\n\r\nhttp://example/"), WhyNotAudio, "audio/x-mpegurl"},
		"gzip":               {says(ok + mpeg + "Content-Encoding: gzip\r\n\r\n\x1f\x8b"), WhyNotAudio, "gzip"},
		"gzip in transfer":   {says(ok + mpeg + "Transfer-Encoding: gzip, chunked\r\n\r\n\x1f\x8b"), WhyNotAudio, "gzip"},
		"length of nonsense": {says(ok + mpeg + "Content-Length: -5\r\n\r\naudio"), WhyHeader, "-5"},
		"metaint of lies":    {says(ok + mpeg + "icy-metaint: 100\r\n\r\n" + numbered(10, 20)), WhyMetadata, "no metadata where"},
		"metaint of a TB":    {says(ok + mpeg + "icy-metaint: 1000000000000\r\n\r\n"), WhyMetadata, "more than any"},
		"random bytes":       {says(ok + mpeg + "\r\n" + noise(100<<10)), WhyNotAudio, "64 KB without a frame"},
		"metaint of words":   {says(ok + mpeg + "icy-metaint: often\r\n\r\naudio"), WhyMetadata, "often"},
		"not HTTP":           {says("SSH-2.0-OpenSSH_9.2\r\n\r\n"), WhyHeader, "neither HTTP/1 nor ICY"},
		"HTTP/2":             {says("HTTP/2 200\r\n\r\n"), WhyHeader, "neither HTTP/1 nor ICY"},
		"endless line":       {says(ok + "X: " + strings.Repeat("x", 1<<16)), WhyHeader, "longer than"},
		"endless head":       {endless(ok), WhyHeader, "longer than"},
		"nothing":            {says(""), WhyHeader, "EOF"},
		"half a head":        {says("HTTP/1.1 200 OK\r\nContent-"), WhyHeader, "EOF"},
		"no audio":           {says(okHead), WhyEnded, "EOF"},
		"bad chunk":          {says(ok + mpeg + "Transfer-Encoding: chunked\r\n\r\nzz\r\naudio"), WhyEnded, "chunk"},
		"silent":             {saysAndWaits(""), WhyTimeout, "no audio came in time"},
		"silent source":      {saysAndWaits(okHead), WhyTimeout, "no audio came in time"},
		"redirect elsewhere": {says("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/live.mp3\r\n\r\n"), WhyRedirect, "no node of the fleet"},
		"redirect nowhere":   {says("HTTP/1.1 302 Found\r\n\r\n"), WhyRedirect, "no URL"},
		"redirect to a file": {says("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n"), WhyRedirect, "no node of the fleet"},
		"redirect to itself": {says("HTTP/1.1 302 Found\r\nLocation: /live.mp3?token=a%20b\r\n\r\n"), WhyRedirect, "itself"},
		"redirect in a ring": {says("HTTP/1.1 302 Found\r\nLocation: /again.mp3\r\n\r\n"), WhyRedirect, "redirects again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := quick()
			if c.why == WhyTimeout {
				cfg.HeaderTimeout = 20 * time.Millisecond
			}
			bad := startNode(t, c.play)
			good := startNode(t, says(okHead+sound))
			f := startFront(t, cfg, Request{Upstreams: upstreams(bad, good)})
			if _, body := f.play(t, getRequest); body != sound && c.why != WhyTimeout { // a busy machine may be late itself
				t.Errorf("the listener got %q", body)
			}
			res := f.result(t)
			if len(res.Failed) == 0 {
				t.Fatalf("no failure in %+v", res)
			}
			got := res.Failed[0]
			if got.Node != "node0" || got.Why != c.why || !strings.Contains(got.Detail, c.detail) || !strings.HasPrefix(got.Detail, "GET "+bad.url()+": ") {
				t.Errorf("failure %+v, want %s with %q", got, c.why, c.detail)
			}
		})
	}
}

// TestAFailedNodeIsTriedLast: a second listener does not wait for a node that has just
// failed, and one of another mount does.
func TestAFailedNodeIsTriedLast(t *testing.T) {
	t.Parallel()
	bad := startNode(t, says(okHead+"<!DOCTYPE html><html>blocked</html>"))
	good := startNode(t, saysAndWaits(okHead+sound))
	f := newFront(t, quick(), Request{})
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.serve(w, r, Request{Upstreams: upstreams(bad, good), Mount: r.URL.Path})
	})
	f.Start()
	for i, mount := range []string{"/a", "/a", "/b"} {
		h := f.hear(t, "GET "+mount+" HTTP/1.0\r\n\r\n")
		h.frames(t, 4)
		_ = h.conn.Close()
		if res := f.result(t); res.Node != "node1" || (len(res.Failed) > 0) != (i != 1) {
			t.Errorf("listener %d: %+v", i, res)
		}
		trouble := f.proxy.Failing(mount)
		if len(trouble) != 1 || trouble[0].Node != "node0" || trouble[0].Why != WhyNotAudio || trouble[0].At.IsZero() {
			t.Errorf("trouble %+v", trouble)
		}
	}
}

// TestRedirectToAnyNode follows a node to another that was not at hand, and to
// nowhere else.
func TestRedirectToAnyNode(t *testing.T) {
	t.Parallel()
	relay := startNode(t, saysAndWaits(okHead+sound))
	master := startNode(t, says("HTTP/1.1 302 Found\r\nLocation: "+relay.url()+"\r\n\r\n"))
	for name, node := range map[string]director.NodeID{relay.Addr().String(): "relay", "127.0.0.1:1": ""} {
		cfg := quick()
		cfg.Nodes = func() iter.Seq2[director.NodeID, string] {
			return func(yield func(director.NodeID, string) bool) {
				_ = yield("other", "http://127.0.0.1:2") && yield("relay", "http://"+name)
			}
		}
		f := startFront(t, cfg, Request{Upstreams: upstreams(master)})
		conn := f.listen(t, getRequest)
		head := readAnswer(t, bufio.NewReader(conn))
		_ = conn.Close()
		if res := f.result(t); res.Node != node || strings.Contains(head, " 200 ") != (node != "") {
			t.Errorf("relay at %s: %q, %+v", name, head, res)
		}
	}
}

// TestFollow: a Location leads to the same node in whatever letters it has the host.
func TestFollow(t *testing.T) {
	t.Parallel()
	const node = "http://xn--mnchen-3ya.test:8000"
	from, err := url.Parse("http://xn--mnchen-3ya.test:8000/live.mp3")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{}
	p.cfg.Nodes = func() iter.Seq2[director.NodeID, string] {
		return func(yield func(director.NodeID, string) bool) { _ = yield("n", node) }
	}
	for location, want := range map[string]string{
		"http://münchen.test:8000/x":      node + "/x",
		"http://M%C3%9Cnchen.test:8000/x": node + "/x",
		"http://XN--MNCHEN-3YA.test:8000": node,
		"//münchen.test:8000/x#now":       node + "/x",
		"/x?y":                            node + "/x?y",
	} {
		to, err := follow(from, location)
		if err != nil || to.String() != want {
			t.Errorf("%s leads to %v, %v; want %s", location, to, err, want)
			continue
		}
		if id, ok := p.nodeAt(ask{}, to); !ok || id != "n" {
			t.Errorf("%s leads to no node", location)
		}
	}
}

// TestWhatAListenerAdds: a query that nodes refuse is no evidence against them, and is
// told to nobody else.
func TestWhatAListenerAdds(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(net.Conn){
		"forbidden":  says("HTTP/1.1 403 Forbidden\r\n\r\n"),
		"redirected": says("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/login?token=secret\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad, good := startNode(t, play), startNode(t, saysAndWaits(okHead+sound))
			for query, blamed := range map[string]bool{"token=secret#%zz": false, "": true} {
				cfg := quick()
				cfg.PerListener = true
				evidence := make(chan Failure, 10)
				cfg.Evidence = func(f Failure) { evidence <- f }
				f := startFront(t, cfg, Request{Upstreams: upstreams(bad, good), Mount: "/m", Query: query})
				h := f.hear(t, getRequest)
				h.frames(t, 4)
				_ = h.conn.Close()
				res := f.result(t)
				if res.Node != "node1" || len(res.Failed) != 1 || query != "" && strings.Contains(res.Failed[0].Detail, query) {
					t.Errorf("query %q: %+v", query, res)
				}
				if asked := <-bad.requests; !strings.Contains(asked, "?token=a%20b") || !strings.Contains(asked, query+" ") {
					t.Errorf("query %q: asked %q", query, asked)
				}
				if failing := f.proxy.Failing("/m"); len(failing) > 0 != blamed || len(evidence) > 0 != blamed {
					t.Errorf("query %q: failing %+v, and %d pieces of evidence", query, failing, len(evidence))
				}
			}
		})
	}
}

// TestTroubleIsForgotten: a node that is gone for good is not remembered for ever.
func TestTroubleIsForgotten(t *testing.T) {
	t.Parallel()
	p := New(quick())
	p.failing[place{"/m", "old"}] = Trouble{At: time.Now().Add(-remembered - time.Minute)}
	p.failing[place{"/m", "new"}] = Trouble{Failure: Failure{Node: "new"}, At: time.Now().Add(-remembered / 2)}
	if got := p.Failing("/m"); len(got) != 1 || got[0].Node != "new" || len(p.failing) != 1 {
		t.Errorf("remembered: %+v", got)
	}
}

func noise(n int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return string(b)
}

func endless(head string) func(net.Conn) {
	return func(conn net.Conn) {
		_, err := io.WriteString(conn, head)
		for err == nil {
			_, err = io.WriteString(conn, "X-More: of the same\r\n")
		}
	}
}

func TestNoUpstream(t *testing.T) {
	t.Parallel()
	closed := startNode(t, says(""))
	_ = closed.Close()
	for name, req := range map[string]Request{
		"none given": {},
		"refused":    {Upstreams: upstreams(closed)},
		"unusable":   {Upstreams: []Upstream{{Node: "node0", URL: "/live.mp3"}, {Node: "node1", URL: "ftp://a/"}, {Node: "node2", URL: "http://[::1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFront(t, quick(), req)
			head, body := f.play(t, getRequest)
			if !strings.HasPrefix(head, "HTTP/1.1 503 ") || !strings.Contains(body, ErrNoUpstream.Error()) {
				t.Errorf("the caller's own answer did not come through: %q %q", head, body)
			}
			res := f.result(t)
			if !errors.Is(res.err, ErrNoUpstream) || res.End != "" || len(res.Failed) != len(req.Upstreams) {
				t.Errorf("result %+v", res)
			}
			for _, failed := range res.Failed {
				if want := map[string]Why{"refused": WhyConnect, "unusable": WhyURL}[name]; failed.Why != want {
					t.Errorf("failure %+v, want %s", failed, want)
				}
			}
		})
	}
}

// TestRedirectWithinTheFleet follows one node to another that is at hand.
func TestRedirectWithinTheFleet(t *testing.T) {
	t.Parallel()
	target := startNode(t, says(okHead+sound))
	for _, code := range []string{"301", "302", "303", "307", "308"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, says("HTTP/1.1 "+code+" Elsewhere\r\nLocation: HTTP://"+target.Addr().String()+"/other.mp3\r\n\r\n"))
			f := startFront(t, quick(), Request{Upstreams: upstreams(n, target)})
			if _, body := f.play(t, getRequest); body != sound {
				t.Errorf("the listener got %q", body)
			}
			if got := <-target.requests; !strings.HasPrefix(got, "GET /other.mp3 HTTP/1.1\r\n") {
				t.Errorf("asked for %q", got)
			}
			if res := f.result(t); res.Node != director.NodeID("node1") || len(res.Failed) > 0 {
				t.Errorf("result %+v, want node1 without a failure", res)
			}
		})
	}
}

func FuzzReadHead(f *testing.F) {
	f.Add([]byte("HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nicy-name:Radio\r\n\r\naudio"))
	f.Add([]byte("ICY 200 OK\nicy-metaint:8192\n\n"))
	f.Add([]byte("HTTP/1.1 302\r\nLocation: http://a/\r\n folded\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nicy-name: a\rb\x00\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := readHead(bufio.NewReader(strings.NewReader(string(in))))
		if err != nil {
			return
		}
		a := newAnswer(h, "", false, true)
		head, rest, ok := strings.Cut(string(a.wire()), "\r\n\r\n")
		if !ok || rest != "" {
			t.Fatalf("%q makes the head %q", in, a)
		}
		for line := range strings.SplitSeq(head, "\r\n") {
			if strings.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("%q makes the line %q", in, line)
			}
		}
	})
}

// TestNodesOfOneHost: nodes whose URLs share a host are told apart by their paths.
func TestNodesOfOneHost(t *testing.T) {
	t.Parallel()
	cfg := quick()
	cfg.Nodes = func() iter.Seq2[director.NodeID, string] {
		return func(yield func(director.NodeID, string) bool) {
			_ = yield("whole", "http://h:8000") && yield("one", "http://h:8000/one") && yield("two", "http://h:8000/two/")
		}
	}
	p := New(cfg)
	for at, want := range map[string]director.NodeID{
		"http://h:8000/one/live.mp3": "one", "http://h:8000/two/live.mp3": "two", "http://h:8000/onemore/live.mp3": "whole",
		"http://H:8000/live.mp3": "whole", "http://h/one/live.mp3": "", "https://h:8000/one": "",
	} {
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := p.nodeAt(ask{}, u); got != want || ok != (want != "") {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
}
