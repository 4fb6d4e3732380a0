package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// proxyCmd asks: what does it cost to carry a stream, and how smoothly does it come?
type proxyCmd struct {
	Signpost  string        `required:"" type:"existingfile" help:"The signpost program to measure."`
	Listeners []int         `default:"500" help:"How many listeners at once; the open-file limit bounds them."`
	Kbit      int           `default:"64" help:"The stream's bitrate in kbit/s."`
	Settle    time.Duration `default:"10s" help:"From the last listener's arrival to the measurement."`
	For       time.Duration `default:"20s" help:"How long is measured."`
	Parties   []string      `default:"icecast,nginx,haproxy,httputil,signpost" help:"Who takes part."`
}

const (
	proxyServerCore = 0
	// arriving is how many listeners connect at once: stock Icecast queues five.
	arriving = 8
	// smooth is the longest time without audio that no player notices.
	smooth = 2 * time.Second
)

// Run prints CPU and memory per listener, upstream connections and stalls of each party.
func (c *proxyCmd) Run() error {
	dir, err := os.MkdirTemp("", "signpost-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if os.Getuid() == 0 { // Icecast does not run as root
		if err := os.Chmod(dir, 0o777); err != nil {
			return err
		}
	}
	for _, n := range c.Listeners {
		fmt.Printf("%d listeners of %d kbit/s, %v measured %v after the last had come\n", n, c.Kbit, c.For, c.Settle)
		fmt.Printf("%-12s %16s %8s %14s %8s %8s %10s %8s %8s\n", "", "CPU us/s each", "ratio", "bytes each", "ratio", "idle MB", "upstreams", "stalls", "lost")
		var base result
		for _, name := range c.Parties {
			r, err := c.measure(name, dir, n)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if name == "nginx" {
				base = r
			}
			fmt.Printf("%-12s %16.1f %8s %14.0f %8s %8.0f %10d %8d %8d\n", name, r.cpu, ratio(r.cpu, base.cpu), r.memory, ratio(r.memory, base.memory), float64(r.idle)/1e6, r.upstreams, r.stalls, r.lost)
		}
		fmt.Println("ratios are to nginx; stalls are times without audio of more than", smooth)
	}
	return nil
}

func ratio(a, b float64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("x%.2f", a/b)
}

type result struct {
	cpu       float64 // microseconds a second and listener
	memory    float64 // resident bytes a listener, above idle
	idle      int64   // resident bytes
	upstreams int
	stalls    int64
	lost      int64
}

// measure starts a party with an Icecast of its own.
func (c *proxyCmd) measure(name, dir string, n int) (result, error) {
	origin, stop, err := startIcecast(dir, n+100, c.Kbit, name == "icecast")
	if err != nil {
		return result{}, err
	}
	defer stop()
	p, err := c.start(name, dir, origin)
	if err != nil {
		return result{}, err
	}
	if p != origin {
		defer p.stop()
	}
	if err := awaitStream(p.addr); err != nil {
		return result{}, err
	}
	time.Sleep(2 * time.Second) // what was opened to try is closed again
	idle := p.resident()
	a := newAudience(p.addr, n)
	defer a.leave()
	if err := a.arrive(); err != nil {
		return result{}, err
	}
	time.Sleep(c.Settle)
	before, err := p.cpu()
	if err != nil {
		return result{}, err
	}
	a.watch(true)
	began := time.Now()
	time.Sleep(c.For)
	took := time.Since(began)
	a.watch(false)
	after, err := p.cpu()
	if err != nil {
		return result{}, err
	}
	r := result{
		cpu:    float64((after - before).Microseconds()) / took.Seconds() / float64(n),
		memory: float64(p.resident()-idle) / float64(n),
		idle:   idle,
		stalls: a.stalls.Load(), lost: a.lost.Load(),
	}
	if name != "icecast" {
		r.upstreams, err = listeners(origin.addr)
	}
	return r, err
}

func (c *proxyCmd) start(name, dir string, origin *party) (*party, error) {
	switch name {
	case "icecast":
		return origin, nil
	case "signpost":
		return c.startSignpost(dir, origin.addr)
	case "httputil":
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return start(name, proxyServerCore, func(line string) string { return line }, self, "peer", "reverseproxy", "--to", "http://"+origin.addr)
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	var conf string
	var args []string
	file := filepath.Join(dir, name+".conf")
	switch name {
	case "nginx":
		conf = fmt.Sprintf("daemon off; master_process off; pid %s/nginx.pid; error_log stderr crit; worker_rlimit_nofile 20000;\n"+
			"events { worker_connections 18000; }\nhttp { access_log off; client_body_temp_path %s; proxy_temp_path %s; fastcgi_temp_path %s; uwsgi_temp_path %s; scgi_temp_path %s;\n"+
			"server { listen %s; location / { proxy_pass http://%s; proxy_buffering off; } } }\n", dir, dir, dir, dir, dir, dir, addr, origin.addr)
		args = []string{"-c", file}
	case "haproxy":
		conf = fmt.Sprintf("global\n maxconn 9000\n nbthread 1\ndefaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"+
			"frontend f\n bind %s\n default_backend b\nbackend b\n server s %s\n", addr, origin.addr)
		args = []string{"-db", "-f", file}
	default:
		return nil, errors.New("nobody of that name takes part")
	}
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	return startSilent(name, addr, name, args...)
}

func (c *proxyCmd) startSignpost(dir, origin string) (*party, error) {
	conf := "listen: {http: ['127.0.0.1:0'], max_per_key: 0, max_per_address: 0}\nadmin: {listen: '127.0.0.1:0'}\n" +
		"mounts: [{name: /live.mp3, kbit: " + strconv.Itoa(c.Kbit) + "}]\nnodes: [{id: a, urls: ['http://" + origin + "'], place: DE}]\n" +
		"proxy: {max_listeners: 20000, max_mbit: 0}\nrules: [{answer: proxy}]\n"
	file := filepath.Join(dir, "signpost.yaml")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	return start("signpost", proxyServerCore, listeningAt, c.Signpost, "serve", "--config", file)
}

// startSilent starts a server that does not say where it listens, at a known address.
func startSilent(name, addr, program string, args ...string) (*party, error) {
	p := &party{name: name, addr: addr, cmd: exec.Command(program, args...)}
	p.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if os.Getuid() == 0 && name == "icecast" {
		p.cmd.SysProcAttr.Credential = nobody()
	}
	if err := startOn(proxyServerCore, p.cmd); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return p, nil
		}
	}
	p.stop()
	return nil, fmt.Errorf("%s does not listen at %s", name, addr)
}

func nobody() *syscall.Credential { return &syscall.Credential{Uid: 65534, Gid: 65534} }

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// startIcecast starts an Icecast with a source. It shares the measured core only
// if it is itself measured.
func startIcecast(dir string, clients, kbit int, measured bool) (*party, func(), error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, nil, err
	}
	host, port, _ := net.SplitHostPort(addr)
	conf := fmt.Sprintf("<icecast><limits><clients>%d</clients><sources>2</sources><burst-size>65535</burst-size></limits>"+
		"<authentication><source-password>bench</source-password><admin-user>admin</admin-user><admin-password>bench</admin-password></authentication>"+
		"<hostname>localhost</hostname><listen-socket><port>%s</port><bind-address>%s</bind-address></listen-socket>"+
		"<paths><logdir>%s</logdir><webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot></paths>"+
		"<logging><accesslog>-</accesslog><errorlog>-</errorlog><loglevel>1</loglevel></logging></icecast>", clients, port, host, dir)
	file := filepath.Join(dir, "icecast.xml")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return nil, nil, err
	}
	p, err := startSilent("icecast", addr, "icecast2", "-c", file)
	if err != nil {
		return nil, nil, err
	}
	source := exec.Command("ffmpeg", "-loglevel", "error", "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100",
		"-c:a", "libmp3lame", "-b:a", strconv.Itoa(kbit)+"k", "-content_type", "audio/mpeg", "-f", "mp3", "icecast://source:bench@"+addr+"/live.mp3")
	source.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := source.Start(); err != nil {
		p.stop()
		return nil, nil, err
	}
	stop := func() {
		source.Process.Kill() //nolint:errcheck // it may be gone already
		source.Wait()         //nolint:errcheck // killed
		p.stop()
	}
	if !measured {
		unix.SchedSetaffinity(p.cmd.Process.Pid, otherCores()) //nolint:errcheck // a single core is shared then
	}
	if err := awaitStream(addr); err != nil {
		stop()
		return nil, nil, err
	}
	return p, stop, nil
}

// otherCores are those where nobody is measured.
func otherCores() *unix.CPUSet {
	var all unix.CPUSet
	unix.SchedGetaffinity(0, &all) //nolint:errcheck // then it stays empty, and nothing is set
	if all.Count() > 1 {
		all.Clear(proxyServerCore)
	}
	return &all
}

func awaitStream(addr string) error {
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		var conn net.Conn
		if conn, err = tuneIn(addr); err == nil {
			conn.Close()
			return nil
		}
	}
	return fmt.Errorf("no stream at %s: %w", addr, err)
}

// tuneIn connects a listener and reads the answer's head.
func tuneIn(addr string) (net.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(conn, "GET /live.mp3 HTTP/1.0\r\nHost: radio.example\r\nUser-Agent: bench/1\r\n\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	buf := make([]byte, 2048)
	n, err := io.ReadAtLeast(conn, buf, len("HTTP/1.0 200"))
	_ = conn.SetReadDeadline(time.Time{})
	if err == nil && !strings.Contains(string(buf[:n]), " 200 ") {
		err = fmt.Errorf("answered %.60q", buf[:n])
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// listeners asks Icecast how many it counts.
func listeners(addr string) (int, error) {
	req, _ := http.NewRequest(http.MethodGet, "http://"+addr+"/admin/stats", nil)
	req.SetBasicAuth("admin", "bench")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(bufio.NewReader(resp.Body))
	_, rest, _ := strings.Cut(string(text), "<listeners>")
	number, _, _ := strings.Cut(rest, "<")
	n, bad := strconv.Atoi(number)
	return n, errors.Join(err, bad)
}

// audience is many listeners, read by one goroutine each.
type audience struct {
	addr     string
	n        int
	mu       sync.Mutex
	conns    []net.Conn
	watching atomic.Bool
	leaving  atomic.Bool
	stalls   atomic.Int64
	lost     atomic.Int64
}

func newAudience(addr string, n int) *audience { return &audience{addr: addr, n: n} }

func (a *audience) arrive() error {
	todo := make(chan struct{}, a.n)
	for range a.n {
		todo <- struct{}{}
	}
	close(todo)
	errs := make(chan error, arriving)
	for range arriving {
		go func() {
			for range todo {
				conn, err := tuneIn(a.addr)
				if err != nil {
					errs <- err
					return
				}
				a.mu.Lock()
				a.conns = append(a.conns, conn)
				a.mu.Unlock()
				go a.listen(conn)
			}
			errs <- nil
		}()
	}
	var all error
	for range arriving {
		all = errors.Join(all, <-errs)
	}
	return all
}

var trash = sync.Pool{New: func() any { return new([32 << 10]byte) }}

func (a *audience) listen(conn net.Conn) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		panic(err) // it is a socket
	}
	last := time.Now()
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			buf := trash.Get().(*[32 << 10]byte)
			defer trash.Put(buf)
			var err error
			n, err = unix.Read(int(fd), buf[:])
			return !errors.Is(err, unix.EAGAIN)
		})
		if err != nil || n <= 0 {
			if !a.leaving.Load() {
				a.lost.Add(1)
			}
			return
		}
		now := time.Now()
		if a.watching.Load() && now.Sub(last) > smooth {
			a.stalls.Add(1)
		}
		last = now
	}
}

func (a *audience) watch(on bool) { a.watching.Store(on) }

func (a *audience) leave() {
	a.leaving.Store(true)
	for _, c := range a.conns {
		c.Close()
	}
}

// reverseProxy is what Go's standard library offers.
func reverseProxy(to string) (http.Handler, error) {
	u, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(u) },
		FlushInterval: -1,
		Transport:     &http.Transport{DialContext: (&net.Dialer{}).DialContext, DisableKeepAlives: true},
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}, nil
}
