//go:build unix

package probetest

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// Options configure an Icecast server. The zero value is a server on 127.0.0.1 without
// mounts.
type Options struct {
	// Addr is a loopback address, such as "127.0.0.2"; default "127.0.0.1".
	Addr string
	// Port is for tests in a network of their own; 0: a free one.
	Port int
	// Certificate makes the server speak https, too, at another port.
	Certificate *tls.Certificate
	// MaxClients is the server's limit of connections, sources and requests for
	// statistics included; default 1000.
	MaxClients int
	// Mounts are fed from the start, unless they are Silent.
	Mounts []Mount
	Relays []Relay
}

// Relay is a stream that a server relays from another one.
type Relay struct {
	From     *Node
	Mount    string // the path at From
	As       string // the path at this server
	OnDemand bool   // it connects for its first listener
}

// Server is the host that the stream is relayed from.
func (r Relay) Server() string { host, _, _ := net.SplitHostPort(r.From.addr); return host }

// Port is the port of Server.
func (r Relay) Port() string { _, port, _ := net.SplitHostPort(r.From.addr); return port }

// Mount is a stream on a server: a tone, or a file in a loop.
type Mount struct {
	Path         string // "/live.mp3", decoded
	Hz           int    // the tone's frequency; default 440
	Rate         int    // samples per second; default 44,100
	Kbit         int    // bitrate in kbit/s, one of MP3's; default 64
	AAC          bool   // AAC in ADTS frames, by ffmpeg's own encoder, instead of MP3
	File         string // played instead of a tone, without transcoding; readable by all
	Title        string // the title from the start; empty: none
	Fallback     string // the mount that listeners get while this one has no source
	MaxListeners int    // 0: no limit
	MaxSeconds   int    // a listener is disconnected after so long; 0: never
	Member       string // "name:password" that a listener needs; empty: anybody may listen
	Hidden       bool   // not shown on public pages
	Silent       bool   // has no source until StartSource
}

// Node is a running Icecast server. Its methods are safe for concurrent use, and fail
// the test if they fail.
type Node struct {
	t        testing.TB
	opts     Options
	addr     string // host:port
	secure   string // host:port for https
	password string
	config   string // the configuration's path

	mu      sync.Mutex
	server  *process
	sources map[string]*process
}

// patience is how long anything may take to start. On two busy cores, three
// servers with their sources take about a second.
const patience = 5 * time.Minute

// Icecast starts a server and the sources of its mounts, and returns when all mounts
// play. Where icecast2 or ffmpeg is not installed the test is skipped, see
// [proctest.Need].
func Icecast(t testing.TB, o Options) *Node {
	t.Helper()
	return Fleet(t, o)[0]
}

// Fleet is like Icecast for several servers, which start concurrently.
func Fleet(t testing.TB, options ...Options) []*Node {
	t.Helper()
	proctest.Need(t, "icecast2", "ffmpeg")
	nodes := make([]*Node, len(options))
	for i, o := range options {
		nodes[i] = startNode(t, o)
		nodes[i].feedAll()
	}
	for _, n := range nodes {
		n.awaitAll()
	}
	return nodes
}

func startNode(t testing.TB, o Options) *Node {
	t.Helper()
	o.Addr = cmp.Or(o.Addr, "127.0.0.1")
	o.MaxClients = cmp.Or(o.MaxClients, 1000)
	n := &Node{t: t, opts: o, password: rand.Text(), sources: map[string]*process{}}
	n.config = filepath.Join(ownDir(t), "icecast.xml")
	n.start()
	return n
}

// URL returns the server's base URL: "http://127.0.0.1:34567".
func (n *Node) URL() string { return "http://" + n.addr }

// SecurePort returns the port of a server with a Certificate.
func (n *Node) SecurePort() string { _, port, _ := net.SplitHostPort(n.secure); return port }

// Credentials returns the server's admin user and password.
func (n *Node) Credentials() (user, password string) { return "admin", n.password }

// ConfigFile returns the path of the server's own icecast.xml.
func (n *Node) ConfigFile() string { return n.config }

// Kill ends the server and its sources at once (SIGKILL).
func (n *Node) Kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.server.kill()
	for path, s := range n.sources {
		s.kill()
		delete(n.sources, path)
	}
}

// Restart kills the server, and starts it and the sources of its mounts on the
// same port.
func (n *Node) Restart() {
	n.t.Helper()
	n.Kill()
	n.start()
	n.feedAll()
	n.awaitAll()
}

// Stop freezes the server (SIGSTOP): the kernel still accepts connections, and nothing
// answers.
func (n *Node) Stop() { n.signal(syscall.SIGSTOP) }

// Cont resumes a frozen server (SIGCONT).
func (n *Node) Cont() { n.signal(syscall.SIGCONT) }

func (n *Node) signal(s syscall.Signal) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.server.cmd.Process.Signal(s); err != nil {
		n.t.Fatalf("icecast2 at %s: %v: %v", n.addr, s, err)
	}
}

// StopSource freezes a mount's source: its connection stays open, but carries nothing
// any more. The server gives it up after 60 s.
func (n *Node) StopSource(path string) { n.signalSource(path, syscall.SIGSTOP) }

// ContSource resumes a source that StopSource froze.
func (n *Node) ContSource(path string) { n.signalSource(path, syscall.SIGCONT) }

func (n *Node) signalSource(path string, s syscall.Signal) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	source := n.sources[path]
	if source == nil {
		n.t.Fatalf("mount %s has no source", path)
	}
	if err := source.cmd.Process.Signal(s); err != nil {
		n.t.Fatalf("source of %s: %v: %v", path, s, err)
	}
}

// KillSource ends a mount's source at once. Its listeners' streams end, or continue with
// the mount's fallback.
func (n *Node) KillSource(path string) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.sources[path]
	if s == nil {
		n.t.Fatalf("mount %s has no source to kill", path)
	}
	s.kill()
	delete(n.sources, path)
}

// StartSource feeds a mount of the Options that has no source, and returns when the
// mount plays.
func (n *Node) StartSource(path string) {
	n.t.Helper()
	for _, m := range n.opts.Mounts {
		if m.Path == path {
			n.feed(m)
			n.await(m)
			return
		}
	}
	n.t.Fatalf("mount %s is not in the options", path)
}

func (n *Node) feedAll() {
	n.t.Helper()
	for _, m := range n.opts.Mounts {
		if !m.Silent {
			n.feed(m)
		}
	}
}

func (n *Node) awaitAll() {
	n.t.Helper()
	for _, m := range n.opts.Mounts {
		if !m.Silent {
			n.await(m)
		}
	}
}

// start runs the server, on a free port or the one it had before. It tries up to five
// times, because another process may take the port in between.
func (n *Node) start() {
	n.t.Helper()
	for try := 1; ; try++ {
		if n.server == nil {
			if n.addr = net.JoinHostPort(n.opts.Addr, strconv.Itoa(n.opts.Port)); n.opts.Port == 0 {
				n.addr = freePort(n.t, n.opts.Addr)
			}
			if n.opts.Certificate != nil {
				n.secure = freePort(n.t, n.opts.Addr)
			}
			n.writeConfig()
		}
		p, err := n.launch()
		if err == nil {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.server = p
			return
		}
		if try == 5 {
			n.t.Fatalf("icecast2 does not start: %v", err)
		}
	}
}

// launch runs the server once and returns when it answers, or with an error if it ends
// or does not answer within patience.
func (n *Node) launch() (*process, error) {
	n.t.Helper()
	p := startProcess(n.t, "icecast2", "-c", n.config)
	deadline := time.After(patience)
	for {
		// The password is this server's own, so no other can answer in its place.
		// For its first 0.2 s Icecast has no name, and its public page is broken.
		if s, err := n.statistics(); err == nil && s.Server != "" {
			return p, nil
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("at %s: %v", n.addr, p)
		case <-deadline:
			p.kill()
			return nil, fmt.Errorf("no answer at %s in %v: %v", n.addr, patience, p)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (n *Node) feed(m Mount) {
	n.t.Helper()
	to := url.URL{Scheme: "icecast", User: url.UserPassword("source", n.password), Host: n.addr, Path: m.Path}
	args := []string{"-hide_banner", "-loglevel", "error", "-nostdin", "-re"}
	args = append(args, m.encoded()...)
	p := startProcess(n.t, "ffmpeg", append(args, "-ice_name", "Signpost test "+m.Path, to.String())...)
	n.mu.Lock()
	defer n.mu.Unlock()
	if old := n.sources[m.Path]; old != nil {
		p.kill()
		n.t.Fatalf("mount %s has a source already", m.Path)
	}
	n.sources[m.Path] = p
}

// encoded returns ffmpeg's arguments for what to play, and in what encoding.
func (m *Mount) encoded() []string {
	encoder, format := "libmp3lame", []string{"-content_type", "audio/mpeg", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3"}
	if m.AAC {
		encoder, format = "aac", []string{"-content_type", "audio/aac", "-f", "adts"}
	}
	if m.File != "" {
		return append([]string{"-stream_loop", "-1", "-i", m.File, "-c:a", "copy"}, format...)
	}
	tone := "sine=frequency=" + strconv.Itoa(cmp.Or(m.Hz, 440)) + ":sample_rate=" + strconv.Itoa(cmp.Or(m.Rate, 44100))
	return append([]string{"-f", "lavfi", "-i", tone, "-c:a", encoder, "-b:a", strconv.Itoa(cmp.Or(m.Kbit, 64)) + "k"}, format...)
}

// await returns when the server shows the mount with its source and title.
func (n *Node) await(m Mount) {
	n.t.Helper()
	n.poll(m, "a source", func() bool { return n.plays(m.Path, false) })
	if m.Title != "" {
		n.SetTitle(m.Path, m.Title)
		n.poll(m, "a title", func() bool { return n.plays(m.Path, true) })
	}
}

func (n *Node) poll(m Mount, what string, ok func() bool) {
	n.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
		n.mu.Lock()
		source := n.sources[m.Path]
		n.mu.Unlock()
		if source == nil || source.ended() || time.Now().After(deadline) {
			n.t.Fatalf("mount %s at %s never has %s: ffmpeg: %v", m.Path, n.addr, what, source)
		}
	}
}
