package e2e

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// A real Icecast relays from the director. Its node dies, and nobody has probed it
// since: the relay comes straight back and is sent elsewhere, for after a refusal it
// would ask again in two minutes only.
func TestIcecastRelay(t *testing.T) {
	t.Parallel()
	fleet := nodes(t)
	s := directFile(t, strings.Replace(configuration(fleet, ""), quickProbes, seldomProbes, 1))
	at := freeAddr(t, "127.0.0.1")
	icecastRelay(t, at, strings.TrimPrefix(s.url, "http://"))
	from := func() (at int) {
		at = -1
		for i, n := range fleet {
			if n.Listeners() > 0 {
				at = i
			}
		}
		return at
	}
	first := -1
	s.eventually(20*time.Second, "the relay pulls from a node", func() bool { first = from(); return first >= 0 })
	fleet[first].Kill()
	fleet = append(fleet[:first:first], fleet[first+1:]...)
	s.eventually(20*time.Second, "it pulls from another", func() bool { return from() >= 0 })
	if !plays("http://" + at + "/live.mp3") {
		t.Error("the relay does not play")
	}
}

// Relays that are nodes pull through the director: a real Icecast, a liquidsoap and an MPD.
// Wherever the weights draw them, none is sent to itself nor to what it feeds, not even
// when the node at the root of all dies. What each of them plays is heard.
func TestRelaysMakeNoCircle(t *testing.T) {
	t.Parallel()
	start := map[string]func(t *testing.T, at, from string){"icecast": icecastRelay, "liquidsoap": liquidsoapRelay, "mpd": mpdRelay}
	agents := map[string]string{"icecast": "Icecast ", "liquidsoap": "Liquidsoap/", "mpd": "Music Player Daemon "}
	proctest.Need(t, "mpd")
	if _, err := exec.LookPath("liquidsoap"); err != nil {
		t.Log("liquidsoap is not installed, and with all that it wants a large one: without it")
		delete(start, "liquidsoap")
	}
	names := slices.Sorted(maps.Keys(start))
	roots := map[string]string{} // by URL
	tone := map[string]int{}
	fleet := fleetOf(t, 2)
	for i, n := range fleet {
		id := fmt.Sprintf("n%d", i+1)
		roots[n.URL()+"/live.mp3"], tone[id] = id, tones[i]
	}
	// Each relay comes to the director from an address of its own, by a proxy.
	config := strings.Replace(configuration(fleet, ""), "{http:", "{proxy_protocol: [127.0.0.1/32], http:", 1)
	row, all := "regions: [{id: all, match: default, weights: {n1: 1, n2: 1", maps.Clone(roots)
	url := map[string]string{}
	for i, name := range names {
		at := freeAddr(t, fmt.Sprintf("127.0.0.%d", 21+i))
		url[name] = "http://" + at + "/live.mp3"
		all[url[name]] = name
		config += fmt.Sprintf("  - {id: %s, urls: ['http://%s'], kind: http, addresses: [203.0.113.%d]}\n", name, at, i+1)
		row += fmt.Sprintf(", %s: 1000", name)
	}
	s := directFile(t, config+row+"}}]\n")
	gates := map[string]*gate{}
	for i, name := range names {
		gates[name] = newGate(t, fmt.Sprintf("203.0.113.%d", i+1), strings.TrimPrefix(s.url, "http://"))
		start[name](t, strings.Split(url[name], "/")[2], gates[name].addr)
		s.eventually(patience, name+" plays", func() bool { return plays(url[name]) })
	}
	// root follows a relay's source to the first that is none.
	root := func(name string) string {
		for range len(names) + 1 {
			if gates[name] == nil {
				return name
			}
			name = all[gates[name].sentTo()]
		}
		return "a circle"
	}
	sources := func() string {
		var b strings.Builder
		for _, name := range names {
			fmt.Fprintf(&b, "%s pulls from %s; ", name, all[gates[name].sentTo()])
		}
		return b.String()
	}
	last := names[len(names)-1] // when it came, the others played, and the weights led there
	if from := all[gates[last].sentTo()]; gates[from] == nil {
		t.Errorf("no relay pulls from another, so the test proves nothing: %s", sources())
	}
	first := root(last)
	alive := map[string]string{"n1": "n2", "n2": "n1"}[first]
	if alive == "" {
		t.Fatalf("%s leads to %s: %s", last, first, sources())
	}
	fleet[map[string]int{"n1": 0, "n2": 1}[first]].Kill()
	for _, name := range names {
		s.eventually(patience, name+" plays what comes from "+alive, func() bool { return root(name) == alive && plays(url[name]) })
	}
	t.Log(sources())
	for _, name := range names {
		what := fmt.Sprintf("%s plays the %d Hz of %s", name, tone[alive], alive)
		s.eventually(patience, what, func() bool { return heard(t, record(t, url[name]), tones) == tone[alive] })
		if agent := gates[name].agent(); !strings.HasPrefix(agent, agents[name]) {
			t.Errorf("%s says that it is %q", name, agent)
		}
	}
}

// record keeps some seconds of a stream in a file. What one has in its buffers may still be of
// the node before.
func record(t *testing.T, url string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "sound.mp3")
	f, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if resp, err := client.Get(url); err == nil {
		_, _ = io.CopyN(f, resp.Body, 48<<10)
		resp.Body.Close()
	}
	return out
}

// plays says whether something flows at a URL.
func plays(url string) bool {
	resp, err := client.Get(url)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	n, _ := io.CopyN(io.Discard, resp.Body, 8<<10)
	return resp.StatusCode == http.StatusOK && n == 8<<10
}

// A gate passes connections on to the director, and says in a PROXY header that they come
// from another address. It remembers what was said last.
type gate struct {
	addr string

	mu        sync.Mutex
	asked, to []byte // the newest request's and answer's first bytes
}

func newGate(t *testing.T, from, director string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	g := &gate{addr: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go g.pass(c, from, director)
		}
	}()
	return g
}

func (g *gate) pass(c net.Conn, from, director string) {
	defer c.Close()
	d, err := net.Dial("tcp", director)
	if err != nil {
		return
	}
	defer d.Close()
	fmt.Fprintf(d, "PROXY TCP4 %s 203.0.113.250 4711 80\r\n", from)
	var b [4096]byte
	n, _ := c.Read(b[:])
	g.mu.Lock()
	g.asked = bytes.Clone(b[:n])
	g.mu.Unlock()
	_, _ = d.Write(b[:n])
	answer, _ := io.ReadAll(d)
	g.mu.Lock()
	g.to = answer
	g.mu.Unlock()
	_, _ = c.Write(answer)
}

// field returns the value of a header.
func (g *gate) field(message *[]byte, name string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	for line := range strings.Lines(string(*message)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(key, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (g *gate) sentTo() string { return g.field(&g.to, "Location") }

func (g *gate) agent() string { return g.field(&g.asked, "User-Agent") }

func freeAddr(t *testing.T, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// icecastRelay starts an Icecast at an address, which relays /live.mp3 from another.
func icecastRelay(t *testing.T, at, from string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(at)
	master, masterPort, _ := net.SplitHostPort(from)
	startRelay(t, "icecast2", `<icecast><location>x</location><admin>a@localhost</admin><hostname>localhost</hostname><limits><clients>100</clients><sources>5</sources></limits>
<authentication><source-password>x</source-password><admin-user>admin</admin-user><admin-password>x</admin-password></authentication>
<listen-socket><port>`+port+`</port><bind-address>`+host+`</bind-address></listen-socket>
<master-update-interval>5</master-update-interval>
<relay><server>`+master+`</server><port>`+masterPort+`</port><mount>/live.mp3</mount><local-mount>/live.mp3</local-mount><on-demand>0</on-demand></relay>
<paths><basedir>/usr/share/icecast2</basedir><logdir>/nonexistent</logdir><webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot></paths>
<logging><accesslog>-</accesslog><errorlog>-</errorlog><loglevel>3</loglevel></logging></icecast>`, "-c")
}

// liquidsoapRelay starts a liquidsoap at an address, whose harbor plays what it pulls.
func liquidsoapRelay(t *testing.T, at, from string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(at)
	startRelay(t, "liquidsoap", fmt.Sprintf(`settings.harbor.bind_addrs.set([%q])
log.stdout.set(true)
log.file.set(false)
output.harbor(%%mp3(bitrate=64), port=%s, mount="live.mp3", fallible=true, input.http("http://%s/live.mp3"))
`, host, port, from))
}

// mpdRelay starts an MPD at an address, whose httpd output plays what it pulls.
func mpdRelay(t *testing.T, at, from string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(at)
	dir := startRelay(t, "mpd", fmt.Sprintf(`bind_to_address "DIR/socket"
input {
	plugin "curl"
}
audio_output {
	type "httpd"
	name "h"
	encoder "lame"
	bitrate "64"
	format "44100:16:1"
	always_on "yes"
	bind_to_address %q
	port %q
}
`, host, port), "--no-daemon", "--stderr")
	var c net.Conn
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var err error
		if c, err = net.Dial("unix", filepath.Join(dir, "socket")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("mpd does not answer: %v", err)
		}
	}
	defer c.Close()
	fmt.Fprintf(c, "command_list_begin\nrepeat 1\nadd \"http://%s/live.mp3\"\nplay\ncommand_list_end\nclose\n", from)
	if said, err := io.ReadAll(c); err != nil || bytes.Contains(said, []byte("ACK")) {
		t.Fatalf("mpd: %s, %v", said, err)
	}
}

// startRelay starts a server with a configuration, whose path is its last argument; DIR in
// it is the directory that is returned.
func startRelay(t *testing.T, program, config string, args ...string) (dir string) {
	t.Helper()
	proctest.Need(t, program)
	dir, err := os.MkdirTemp("", "relay")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(config, "DIR", dir)), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append(args, file)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir)
	var said proctest.Output
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = proctest.DieWithTest()
	if os.Getuid() == 0 { // which Icecast and liquidsoap refuse
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", program, said.String())
		}
	})
	return dir
}
