// Package demonode is a small Icecast-like server that plays a melody in a loop, so
// that a director can be tried without nodes of one's own.
//
// A [Node] implements as much of Icecast as listeners and probes use: the stream with
// a burst on connect, ICY metadata on request, /status-json.xsl, and an .m3u for each
// mount. Beside them it serves the same tune as HLS, if asked to. loops.sh made the melodies, and go generate makes them again: edit the notes
// there, and listen.
package demonode

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Options configure a node.
type Options struct {
	Name   string   // the name that listeners see: "fra1"
	Addr   string   // host and port to listen at; if the port is taken, the next free one is used
	Mounts []string // paths; default "/live.mp3"
	Tune   *Tune    // default: the first of Tunes
	HLS    bool     // serve the tune as HLS, too, at HLSPath
}

// Node is one server. Its methods are safe for concurrent use once Start has returned.
type Node struct {
	opts     Options
	server   *http.Server
	listener net.Listener
	began    time.Time
	mounts   map[string]*mount
}

// mount is one stream. All mounts of a node play the same tune.
type mount struct {
	path            string
	listeners, peak atomic.Int64
}

// portsTried is how many ports are tried, the given one included.
const portsTried = 100

// New returns a node that is not listening yet.
func New(o Options) *Node {
	if len(o.Mounts) == 0 {
		o.Mounts = []string{"/live.mp3"}
	}
	o.Tune = cmp.Or(o.Tune, tunes[0])
	n := &Node{opts: o, mounts: map[string]*mount{}}
	for _, path := range o.Mounts {
		n.mounts[path] = &mount{path: path}
	}
	n.server = &http.Server{Handler: n, ReadHeaderTimeout: 10 * time.Second}
	return n
}

// Start makes the node serve in the background until Close. If the port is taken, it tries
// the next ones, 100 ports in all; URL returns the one in use. Port 0 is any free port.
func (n *Node) Start() error {
	host, port, err := net.SplitHostPort(n.opts.Addr)
	if err != nil {
		return fmt.Errorf("demo node %s: %w", n.opts.Name, err)
	}
	first, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("demo node %s: %q is no port", n.opts.Name, port)
	}
	for p := first; ; p++ {
		n.listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(host, strconv.FormatUint(p, 10)))
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EADDRINUSE) || p+1 == first+portsTried {
			return fmt.Errorf("demo node %s: %w", n.opts.Name, err)
		}
	}
	n.began = time.Now()
	go func() { _ = n.server.Serve(n.listener) }()
	return nil
}

// Close stops the server and disconnects every listener, as a node that is killed does.
func (n *Node) Close() error { return n.server.Close() }

// URL returns the node's base URL, such as "http://127.0.0.1:8001".
func (n *Node) URL() string { return "http://" + n.listener.Addr().String() }

// live returns how many frames have been played since the node began.
func (n *Node) live() int { return int(time.Since(n.began) / frameTime) }

// title returns the title at a frame. It changes with each round of the tune.
func (n *Node) title(frame int) string {
	round := len(n.opts.Tune.loop) / frameBytes
	return fmt.Sprintf("%s - %s, round %d", n.opts.Name, n.opts.Tune.Name, 1+max(0, frame)/round)
}
