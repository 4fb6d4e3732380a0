package proxy

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
)

func nodeName(i int) director.NodeID { return director.NodeID(fmt.Sprintf("node%d", i)) }

// TestShapes plays from nodes that answer in every form that servers use.
func TestShapes(t *testing.T) {
	t.Parallel()
	audio := sound
	chunked := "5\r\n" + audio[:5] + "\r\n" + fmt.Sprintf("%x;ext=1\r\n", len(audio)-5) + audio[5:] + "\r\n0\r\n\r\n"
	for name, reply := range map[string]string{
		"Icecast 2.4":           okHead + audio,
		"SHOUTcast 1":           "ICY 200 OK\r\nicy-notice1:<BR>This stream requires Winamp<BR>\r\ncontent-type:audio/mpeg\r\nicy-br:128\r\n\r\n" + audio,
		"HTTP/1.1 to the close": "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nConnection: close\r\n\r\n" + audio,
		"HTTP/1.1 chunked":      "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
		"HTTP/1.0 chunked":      "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\ntransfer-encoding: Chunked\r\n\r\n" + chunked,
		"identity":              "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: identity\r\n\r\n" + audio,
		"a file":                "HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: " + fmt.Sprint(len(audio)) + "\r\n\r\n" + audio + "of the next answer",
		"bare line feeds":       "HTTP/1.0 200 OK\nContent-Type: audio/mpeg\n\n" + audio,
		"no phrase":             "HTTP/1.1 200\r\nContent-Type: audio/mpeg\r\n\r\n" + audio,
		"206 unasked":           "HTTP/1.1 206 Partial Content\r\nContent-Type: audio/mpeg\r\nContent-Range: bytes 0-/*\r\n\r\n" + audio,
		"lines that are none":   "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nno colon\r\n folded\r\nicy-name:a\x01b\r\n: empty\r\n\r\n" + audio,
	} {
		for how, play := range map[string]func(net.Conn){
			"at once": says(reply),
			"in bytes": func(conn net.Conn) {
				for i := range len(reply) {
					_, _ = io.WriteString(conn, reply[i:i+1])
				}
			},
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				f := startFront(t, quick(), Request{Upstreams: upstreams(startNode(t, play))})
				head, body := f.play(t, getRequest)
				if body != audio {
					t.Errorf("the listener got %q, the node sent %q", body, audio)
				}
				want := "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n"
				if !strings.HasPrefix(head, want) {
					t.Errorf("the head is %q, want it to begin with %q", head, want)
				}
				for _, bad := range []string{"chunked", "Content-Length", "Content-Range", "a\x01b"} {
					if strings.Contains(head, bad) {
						t.Errorf("%q in the head: %q", bad, head)
					}
				}
				res := f.result(t)
				if res.err != nil || res.Node != "node0" || res.End != EndUpstreamEnded || res.Bytes != int64(len(audio)) || res.Duration <= 0 {
					t.Errorf("result %+v", res)
				}
			})
		}
	}
}

func TestAnswerHead(t *testing.T) {
	t.Parallel()
	const common = "Cache-Control: no-cache, no-store\r\nPragma: no-cache\r\nAccess-Control-Allow-Origin: *\r\n" +
		"Access-Control-Expose-Headers: Icy-Br, Icy-Description, Icy-Genre, Icy-MetaInt, Icy-Name, Icy-Pub, Icy-Url\r\nConnection: close\r\n"
	for name, c := range map[string]struct {
		node    string // fields of the node's head
		req     Request
		request string // fields of the listener's
		want    string
	}{
		"as the node gave it": {
			node: "Server: Icecast 2.4.4\r\nContent-Type: audio/aacp\r\nice-audio-info: bitrate=64\r\nicy-name:Caf\xe9  \r\nIcy-Br: 64\r\nSet-Cookie: a=b\r\nicy-metaint:0\r\n",
			want: "HTTP/1.0 200 OK\r\nContent-Type: audio/aacp\r\nServer: Icecast 2.4.4\r\n" + common + "ice-audio-info:bitrate=64\r\nicy-name:Caf\xe9\r\nIcy-Br:64\r\n\r\n",
		},
		"metadata":          {node: "Content-Type: audio/mpeg\r\nicy-metaint:16000\r\n", request: "icy-metadata: 1\r\n", want: "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n" + common + "icy-metaint:16000\r\n\r\n"},
		"a range":           {node: "Content-Type: audio/mpeg\r\n", request: "Range: bytes=0-1\r\n", want: "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n" + common + "\r\n"},
		"ICY":               {req: Request{ICYLine: true}, want: "ICY 200 OK\r\nContent-Type: audio/mpeg\r\n" + common + "\r\n"},
		"type from request": {node: "Content-Type: application/octet-stream\r\n", req: Request{Type: "audio/aac"}, want: "HTTP/1.0 200 OK\r\nContent-Type: audio/aac\r\n" + common + "\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.req.Upstreams = upstreams(startNode(t, says("HTTP/1.0 200 OK\r\n"+c.node+"\r\n"+sound)))
			f := startFront(t, quick(), c.req)
			head, _ := f.play(t, "GET /live.mp3 HTTP/1.1\r\nHost: radio.example\r\n"+c.request+"\r\n")
			if diff := cmp.Diff(c.want, head); diff != "" {
				t.Errorf("head (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestToNode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		alone                 bool
		request, client, want string
	}{
		"shared": {
			request: "User-Agent: VLC/3.0.24\r\nX-Forwarded-For: 6.6.6.6\r\nRange: bytes=0-\r\nCookie: a=b\r\n", client: "192.0.2.7",
			want: "User-Agent: Signpost\r\nConnection: close\r\nAccept: */*\r\nIcy-MetaData: 1\r\n\r\n",
		},
		"overwritten, not appended": {
			alone:   true,
			request: "User-Agent: VLC/3.0.24\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nRange: bytes=0-\r\nCookie: a=b\r\nAccept-Encoding: gzip\r\nIcy-MetaData: 0\r\n",
			client:  "192.0.2.7",
			want:    "User-Agent: VLC/3.0.24\r\nConnection: close\r\nAccept: */*\r\nIcy-MetaData: 1\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n",
		},
		"mapped":       {alone: true, client: "::ffff:192.0.2.7", want: "Connection: close\r\nAccept: */*\r\nIcy-MetaData: 1\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"},
		"nobody known": {alone: true, request: "X-Forwarded-For: 6.6.6.6\r\n", want: "Connection: close\r\nAccept: */*\r\nIcy-MetaData: 1\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := startNode(t, says(okHead+sound))
			req := Request{Upstreams: upstreams(n)}
			if c.client != "" {
				req.Client = netip.MustParseAddr(c.client)
			}
			cfg := quick()
			cfg.PerListener = c.alone
			f := startFront(t, cfg, req)
			f.play(t, "GET /live.mp3 HTTP/1.1\r\nHost: radio.example\r\n"+c.request+"\r\n")
			want := "GET /live.mp3?token=a%20b HTTP/1.1\r\nHost: " + n.Addr().String() + "\r\n" + c.want
			if diff := cmp.Diff(want, <-n.requests); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTLS carries an https node over HTTP/1 and HTTP/2 to https listeners, and
// refuses a node whose certificate nobody vouches for.
func TestTLS(t *testing.T) {
	t.Parallel()
	audio := sound
	n := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "audio/mpeg")
		w.Header().Set("icy-name", "Radio")
		_, _ = io.WriteString(w, audio)
		_ = http.NewResponseController(w).Flush() // makes the answer chunked
		_, _ = io.WriteString(w, audio)
	}))
	n.Config.ErrorLog = newFront(t, quick(), Request{}).Config.ErrorLog
	t.Cleanup(n.Close)
	roots := x509.NewCertPool()
	roots.AddCert(n.Certificate())
	req := Request{Upstreams: []Upstream{{Node: "a", URL: n.URL + "/live.mp3"}}}

	for _, proto := range []string{"HTTP/1.0", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			cfg := quick()
			cfg.TLS = &tls.Config{RootCAs: roots}
			f := newFront(t, cfg, req)
			f.EnableHTTP2 = proto == "HTTP/2.0"
			f.StartTLS()
			resp, err := f.Client().Get(f.URL + "/live.mp3")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if string(body) != audio+audio || err != nil || resp.Proto != proto || resp.Header.Get("icy-name") != "Radio" || len(resp.TransferEncoding) > 0 {
				t.Errorf("%s, %q, %v, %v", resp.Proto, body, err, resp.Header)
			}
			if res := f.result(t); res.End != EndUpstreamEnded {
				t.Errorf("result %+v", res)
			}
		})
	}
	t.Run("unknown authority", func(t *testing.T) {
		t.Parallel()
		f := startFront(t, quick(), req)
		f.play(t, getRequest)
		res := f.result(t)
		if len(res.Failed) != 1 || res.Failed[0].Why != WhyConnect || !strings.Contains(res.Failed[0].Detail, "certificate") {
			t.Errorf("result %+v", res)
		}
	})
}

// TestWithoutHijacking answers by flushed writes: closed at the end, not chunked.
func TestWithoutHijacking(t *testing.T) {
	t.Parallel()
	leave := make(chan struct{})
	n := startNode(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, okHead+sound)
		<-leave
		_, _ = io.Copy(io.Discard, conn)
	})
	f := newFront(t, quick(), Request{})
	f.withoutHijacking(Request{Upstreams: upstreams(n)})
	f.Start()
	conn := f.listen(t, getRequest)
	br := bufio.NewReader(conn)
	head := readAnswer(t, br)
	body := make([]byte, len(sound))
	if _, err := io.ReadFull(br, body); err != nil || string(body) != sound {
		t.Errorf("body %q: %v", body, err)
	}
	if strings.Contains(head, "Transfer-Encoding") || strings.Contains(head, "Content-Length") || !strings.Contains(head, "Connection: close\r\n") {
		t.Errorf("head %q", head)
	}
	_ = conn.Close()
	close(leave)
	if res := f.result(t); res.End != EndListenerLeft || res.Bytes != int64(len(sound)) {
		t.Errorf("result %+v", res)
	}
}

// TestServerTimeouts has a server whose own timeouts are shorter than the stream.
func TestServerTimeouts(t *testing.T) {
	t.Parallel()
	const limit, pieces = 50 * time.Millisecond, 15
	n := startNode(t, func(conn net.Conn) {
		tick := time.NewTicker(limit / 5)
		defer tick.Stop()
		for range pieces { // longer than the server's patience, before it answers
			<-tick.C
		}
		_, _ = io.WriteString(conn, okHead)
		for i := range pieces {
			_, _ = io.WriteString(conn, numbered(3*i, 3))
			<-tick.C
		}
	})
	f := newFront(t, quick(), Request{Upstreams: upstreams(n)})
	f.Config.ReadTimeout, f.Config.WriteTimeout = limit, limit
	f.Start()
	if _, body := f.play(t, getRequest); body != numbered(0, 3*pieces) {
		t.Errorf("the listener got %q", body)
	}
	if res := f.result(t); res.End != EndUpstreamEnded {
		t.Errorf("result %+v", res)
	}
}
