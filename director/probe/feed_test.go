package probe

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

func TestIsChange(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"EVENT /live.mp3 listeners 7":            true,
		"EVENT /live.mp3 null null":              true,
		"EVENT /live.mp3 server_type audio/mpeg": true,
		"EVENT global sources 2":                 true,
		"DELETE /live.mp3":                       true,
		"FLUSH /live.mp3":                        true,
		"EVENT global connections 17":            false, // each probe is one
		"EVENT global listeners 17":              false, // it follows those of the mounts
		"EVENT /live.mp3 total_bytes_read 1":     false,
		"EVENT /live.mp3 title listeners":        false,
		"INFO full list end":                     false,
		"":                                       false,
		"EVENT":                                  false,
		"EVENT live.mp3 listeners 7":             false,
		"DELETE":                                 false,
	} {
		if got := isChange(line); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
}

// feedFrom follows a feed that a server writes, and returns how often it changed
// and how it ended.
func feedFrom(t *testing.T, ctx context.Context, write func(net.Conn)) (opened bool, changes int, err error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 4096)) // the request
		write(conn)
	}()
	tg := target{client: &client{}, base: "http://" + l.Addr().String(), user: "admin", password: "secret", admin: true, timeout: 5 * time.Second}
	err = tg.follow(ctx, func() { opened = true }, func() { changes++ })
	return opened, changes, err
}

func TestFeed(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.0 200 OK\r\n\r\n"
	for name, c := range map[string]struct {
		text    string
		opened  bool
		changes int
		err     string
	}{
		"some lines":       {ok + "EVENT /a listeners 1\nEVENT global clients 3\r\nEVENT /a null null\n", true, 2, "EOF"},
		"a line is cut":    {ok + "EVENT /a listeners 1", true, 1, "EOF"},
		"an endless line":  {ok + "EVENT /a title " + strings.Repeat("x", 3<<20) + "\nEVENT /a listeners 1\n", true, 1, "EOF"},
		"a wrong password": {"HTTP/1.0 401 Authentication Required\r\nWWW-Authenticate: Basic\r\n\r\n", false, 0, "STATS: 401"},
		"no HTTP":          {"* OK IMAP4\r\n", false, 0, "STATS"},
		"an endless head":  {"HTTP/1.0 200 OK\r\nX: " + strings.Repeat("x", 1<<20), false, 0, "STATS"},
		"nothing":          {"", false, 0, "STATS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opened, changes, err := feedFrom(t, t.Context(), func(conn net.Conn) { _, _ = io.WriteString(conn, c.text) })
			if opened != c.opened || changes != c.changes || err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("opened %v, %d changes, %v", opened, changes, err)
			}
		})
	}
}

// TestFeedEndsWithItsContext, though the server says nothing.
func TestFeedEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opened, _, err := feedFrom(t, ctx, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\n")
		cancel()
		_, _ = conn.Read(make([]byte, 1)) // until it is gone
	})
	if err == nil || (!opened && !strings.Contains(err.Error(), "STATS")) {
		t.Errorf("opened %v, %v", opened, err)
	}
}

// TestFeedsOfNodes: a node has one feed, which ends when the node is no longer wanted
// or goes by another URL, and which makes it be asked four times a second at most.
func TestFeedsOfNodes(t *testing.T) {
	t.Parallel()
	var open, asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "STATS" {
			asked.Add(1)
			_, _ = io.WriteString(w, `<icestats><server_id>Icecast</server_id></icestats>`)
			return
		}
		open.Add(1)
		defer open.Add(-1)
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "EVENT /live.mp3 listeners 1\n")
			w.(http.Flusher).Flush()
			<-time.After(time.Millisecond)
		}
	}))
	t.Cleanup(server.Close)
	p := New(Config{Interval: time.Minute, Push: true, Credentials: func(director.NodeID) (string, string, bool) { return "admin", "secret", true }})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); !ok(); <-time.After(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("in vain: %s; %d feeds", what, open.Load())
			}
		}
	}
	n := director.Node{ID: "n", URLs: []string{server.URL}}
	p.SetNodes([]director.Node{n}, nil)
	until("a feed", func() bool { return open.Load() == 1 })
	before, begun := asked.Load(), time.Now()
	until("it is asked anew", func() bool { return asked.Load() >= before+5 })
	if took := time.Since(begun); took < 4*pushPause {
		t.Errorf("it was asked five times in %v", took)
	}
	if open.Load() != 1 {
		t.Errorf("%d feeds of one node", open.Load())
	}
	n.URLs = []string{server.URL + "/"}
	p.SetNodes([]director.Node{n}, nil)
	until("another feed, at its other URL", func() bool { return open.Load() == 1 && len(p.Reports()) == 1 })
	p.SetNodes(nil, nil)
	until("no feed of no node", func() bool { return open.Load() == 0 })
}
