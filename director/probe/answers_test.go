package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// rawServer answers every connection with answer, and closes it then.
func rawServer(t *testing.T, answer func(net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				stop := context.AfterFunc(ctx, func() { c.Close() })
				defer stop()
				defer c.Close()
				answer(c)
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// bubbleClient asks a server that is in memory, and so may be in a bubble with it.
func bubbleClient(t *testing.T, answer func(net.Conn)) *client {
	var answering sync.WaitGroup
	t.Cleanup(answering.Wait)
	return &client{dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		answering.Go(func() {
			defer there.Close()
			answer(there)
		})
		return here, nil
	}}
}

func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		readRequest(c)
		_, _ = io.WriteString(c, text)
	}
}

// readRequest reads up to the empty line behind the header.
func readRequest(c net.Conn) string {
	var got strings.Builder
	b := make([]byte, 4096)
	for !strings.Contains(got.String(), "\r\n\r\n") {
		n, err := c.Read(b)
		got.Write(b[:n])
		if err != nil {
			break
		}
	}
	return got.String()
}

func endless(head, more string) func(net.Conn) {
	return func(c net.Conn) {
		readRequest(c)
		_, err := io.WriteString(c, head)
		for more := strings.Repeat(more, 1000); err == nil; {
			_, err = io.WriteString(c, more)
		}
	}
}

// askOnce puts one question to the node at url.
func askOnce(t *testing.T, c Config, timeout time.Duration, url string) (answer, error) {
	t.Helper()
	p := New(c)
	h := p.ask(t.Context(), newState(director.Node{ID: "n", URLs: []string{url}}), timeout)
	return h.answer, h.err
}

const page244 = "HTTP/1.0 200 OK\r\nServer: Icecast 2.4.4\r\nContent-Type: application/json\r\n"

func TestNoGoodAnswer(t *testing.T) {
	t.Parallel()
	hang := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	big := strings.Repeat("x", 1000)
	cases := []struct {
		name   string
		answer func(net.Conn)
		want   string // in the error
	}{
		{"silence", hang, "GET /status-json.xsl: no whole answer within 300ms"},
		{"half a page", func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, page244+"\r\n{")
			hang(c)
		}, "no whole answer within 300ms"},
		{"hangs up", func(net.Conn) {}, "GET /status-json.xsl: "},
		{"hangs up when asked", says(""), "closed before the answer was whole"},
		{"garbage", says("SSH-2.0-OpenSSH_9.2\r\n"), "malformed HTTP"},
		{"long garbage", says(strings.Repeat(big, 100) + "\r\n"), "GET /status-json.xsl: "},
		{"html", says("HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n<!DOCTYPE html><html>"), "not Icecast's status page: no { where one is due; it begins with \"<!DOCTYPE html>"},
		{"empty", says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "not Icecast's status page"},
		{"no content", says("HTTP/1.1 204 No Content\r\n\r\n"), "204 No Content"},
		{"redirect", says("HTTP/1.1 302 Found\r\nLocation: https://other.example/x\r\nContent-Length: 0\r\n\r\n"), "302 Found to https://other.example/x: not followed"},
		{"missing page", says("HTTP/1.1 404 File Not Found\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n"), "404 File Not Found: Icecast-KH has no such page"},
		{"forbidden", says("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope"), "403 Forbidden"},
		{"mount full is not server full", says("HTTP/1.0 403 Forbidden\r\nServer: Icecast 2.4.4\r\n\r\nmax listeners reached"), "403 Forbidden"},
		{"proxy without a server", says("HTTP/1.1 503 Service Unavailable\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n"), "503 Service Unavailable"},
		{"endless body", endless(page244+"\r\n", big), "more than 4 MiB"},
		{"endless page", endless(page244+"\r\n{\"icestats\":{\"a\":[", `"a",`), "more than 4 MiB"},
		{"endless header", endless("HTTP/1.0 200 OK\r\n", "X-A: "+big+"\r\n"), "a header of more than 64 KiB"},
		{"endless line", endless("HTTP/1.0 200 ", big), "a header of more than 64 KiB"},
		{"cut off", says(page244 + "Content-Length: 500\r\n\r\n{\"icestats\":{}}"), "closed before the answer was whole"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			timeout := 20 * time.Second
			if strings.Contains(c.want, "within") {
				timeout = 300 * time.Millisecond
			}
			a, err := askOnce(t, Config{}, timeout, rawServer(t, c.answer))
			if err == nil {
				t.Fatalf("taken for a good answer: %+v", a)
			}
			if got := err.Error(); !strings.Contains(got, c.want) || len(got) > 400 || strings.ContainsAny(got, "\r\n") {
				t.Errorf("error %q, want %q in it", got, c.want)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		_, err := askOnce(t, Config{}, time.Second, "http://127.0.0.1:1")
		if want := "GET /status-json.xsl: connection refused"; err == nil || err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
	})
	t.Run("unknown kind", func(t *testing.T) {
		t.Parallel()
		_, err := askOnce(t, Config{Kind: func(director.NodeID) string { return "ices" }}, time.Second, "http://127.0.0.1:1")
		if want := `kind "ices" is not known: set one of ["hls" "http" "icecast" "shoutcast"]`; err == nil || err.Error() != want {
			t.Errorf("error %v", err)
		}
	})
}

func TestFull(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(net.Conn){
		// 2.4.4 answers before it has read the request, and closing then resets.
		"2.4.4": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.0 403 Forbidden\r\nContent-Type: text/html\r\n\r\nIcecast connection limit reached")
		},
		"2.5.0": says("HTTP/1.1 503 Service Unavailable\r\nServer: Icecast 2.5.0\r\nConnection: Keep-Alive\r\n\r\n<!DOCTYPE html>\n<html>"),
		"KH":    says("HTTP/1.1 403 Too many clients connected\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := rawServer(t, answer)
			for range 200 { // it depends on who comes first
				if a, err := askOnce(t, Config{}, 20*time.Second, url); err != nil || !a.full {
					t.Fatalf("%+v, %v", a, err)
				}
			}
		})
	}
}

func TestChunkedAndPrefixed(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/radio/status-json.xsl", func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		_, _ = w.Write(statusPage(`"listeners":3`))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	a, err := askOnce(t, Config{}, 20*time.Second, s.URL+"/radio/")
	if err != nil || a.listeners != 3 || a.detail != "GET /status-json.xsl: X, 1 mount" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/admin/stats", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "admin" || password != "right" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		_, _ = w.Write(statsPage(`<listeners>5</listeners>`))
	})
	public := true
	mux.HandleFunc("/status-json.xsl", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials sent to the public page")
		}
		if !public {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(statusPage(`"listeners":4`))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	with := func(password string) Config {
		return Config{Credentials: func(director.NodeID) (string, string, bool) { return "admin", password, true }}
	}

	a, err := askOnce(t, with("right"), 20*time.Second, s.URL)
	if err != nil || a.listeners != 5 || a.warning != (complaint{}) {
		t.Errorf("with the right password: %+v, %v", a, err)
	}
	a, err = askOnce(t, with("wrong"), 20*time.Second, s.URL)
	if err != nil || a.listeners != 4 || !strings.Contains(a.warning.Text, "401 Unauthorized: check the node's admin user and password") {
		t.Errorf("with a wrong password: %+v, %v", a, err)
	}
	public = false
	_, err = askOnce(t, with("wrong"), 20*time.Second, s.URL)
	if err == nil || !strings.Contains(err.Error(), "GET /admin/stats: 401") {
		t.Errorf("with a wrong password and no public page: %v", err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(statusPage(`"listeners":3`))
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	if _, err := askOnce(t, Config{}, 20*time.Second, s.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody signed: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	if a, err := askOnce(t, Config{TLS: &tls.Config{RootCAs: roots}}, 20*time.Second, s.URL); err != nil || a.listeners != 3 {
		t.Errorf("a certificate that is trusted: %+v, %v", a, err)
	}
}

func TestKindHTTP(t *testing.T) {
	t.Parallel()
	c := Config{
		Kind: func(director.NodeID) string { return "http" },
		Path: func(director.NodeID) string { return "/live" },
	}
	hang := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	for _, k := range []struct {
		name   string
		answer func(net.Conn)
		detail string // "": a failure
	}{
		{"page", says("HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2\r\n\r\nok"), "GET /live: 200 OK"},
		{"empty", says("HTTP/1.1 204 No Content\r\n\r\n"), "GET /live: 204 No Content"},
		{"redirect", says("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"), "GET /live: 302 Found"},
		{"stream", func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n\xff\xfb")
			hang(c)
		}, "GET /live: 200 OK"},
		{"endless", endless("HTTP/1.0 200 OK\r\n\r\n", "x"), "GET /live: 200 OK"},
		{"nothing behind the head", func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\n")
			hang(c)
		}, ""},
		{"missing", says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), ""},
		{"broken", says("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"), ""},
		{"silence", hang, ""},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			timeout := 20 * time.Second
			if k.detail == "" {
				timeout = 300 * time.Millisecond
			}
			a, err := askOnce(t, c, timeout, rawServer(t, k.answer))
			switch {
			case k.detail == "" && err == nil:
				t.Errorf("taken for a good answer: %+v", a)
			case k.detail != "" && (err != nil || a.detail != k.detail || !a.anyMount || a.listeners != -1):
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
}

func TestProbeURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		urls []string
		want string
	}{
		{[]string{"https://a", "http://b"}, "http://b"},
		{[]string{"HTTP://a", "https://b"}, "HTTP://a"},
		{[]string{"https://b"}, "https://b"},
		{nil, ""},
	} {
		if got := probeURL(c.urls); got != c.want {
			t.Errorf("probeURL(%q) = %q, want %q", c.urls, got, c.want)
		}
	}
}
