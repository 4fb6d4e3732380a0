package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/demonode"
	"github.com/signpost-fm/signpost/cmd/signpost/demopage"
	"github.com/signpost-fm/signpost/cmd/signpost/service"
	"github.com/signpost-fm/signpost/web"
)

//go:embed demo.yaml
var demoConfig []byte

// demoListeners are addresses in the embedded database, to try the demo with.
var demoListeners = []struct{ addr, where, country string }{
	{"80.140.0.1", "Germany", "DE"},
	{"196.25.1.1", "South Africa", "ZA"},
	{"8.8.8.8", "the United States", "US"},
	{"133.242.0.1", "Japan", "JP"},
	{"200.147.3.157", "Brazil", "BR"},
}

type demoCmd struct {
	Show      bool `help:"Print the configuration of the demo."`
	Listeners int  `default:"300" placeholder:"N" help:"How many listeners around the world are made up, 0 to 1000 (default: 300)."`
	Any       bool `hidden:"" help:"Take any free ports, for tests."`
}

// AfterApply refuses what cannot be made up. It is called by kong.
func (c *demoCmd) AfterApply() error {
	if c.Listeners < 0 || c.Listeners > crowdMost {
		return fmt.Errorf("--listeners %d: 0 to %d can be made up", c.Listeners, crowdMost)
	}
	return nil
}

// Run runs three nodes and a director until SIGINT or SIGTERM.
func (c *demoCmd) Run(out *console) error {
	if c.Show {
		_, err := out.out.Write(demoConfig)
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	said := &lineWriter{out: out.out}
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn) // the start would be too much to read
	log := slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime}))

	d, err := c.open(log, said)
	if err != nil {
		return err
	}
	defer d.close()
	select {
	case <-d.service.Ready():
	case <-ctx.Done():
		return nil
	}
	d.printHelp(said, c.Listeners)
	level.Set(slog.LevelInfo)
	if c.Listeners > 0 {
		leave := d.invite(ctx, newCrowd(d.url(), c.Listeners))
		defer leave()
	}
	go d.readCommands(out.in, said)
	select {
	case <-ctx.Done():
	case err = <-d.service.Failed():
	}
	level.Set(slog.LevelWarn)
	fmt.Fprintln(said, "\nGood-bye.")
	return err
}

// lineWriter lets several goroutines write whole lines.
type lineWriter struct {
	mu  sync.Mutex
	out io.Writer
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(b)
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return plainErrors(nil, a)
}

// A demo is a director and its nodes in one process.
type demo struct {
	service *service.Service
	page    *http.Server
	pageURL string // where a browser hears HLS

	mu    sync.Mutex // guards nodes
	nodes []demoNode
}

type demoNode struct {
	options demonode.Options
	node    *demonode.Node
	up      bool
}

// open starts the nodes, puts their URLs into the configuration, and starts the director.
func (c *demoCmd) open(log *slog.Logger, records io.Writer) (*demo, error) {
	l, err := config.Parse("demo.yaml", demoConfig)
	if err != nil {
		return nil, err
	}
	d := &demo{}
	port := ""
	if c.Any {
		port = "0"
	}
	for i := range l.Nodes {
		n := &l.Nodes[i]
		tunes := demonode.Tunes()
		o := demonode.Options{Name: n.ID, Addr: strings.TrimPrefix(n.URLs[0], "http://"), Tune: tunes[i%len(tunes)], HLS: true}
		if host, _, err := net.SplitHostPort(o.Addr); err == nil && port != "" {
			o.Addr = net.JoinHostPort(host, port) // that of the first
		}
		node, err := startNode(o)
		if err != nil {
			d.close()
			return nil, err
		}
		n.URLs = []string{node.URL()}
		o.Addr = strings.TrimPrefix(node.URL(), "http://") // where it comes back
		_, port, _ = net.SplitHostPort(o.Addr)
		d.nodes = append(d.nodes, demoNode{o, node, true})
	}
	if !d.onePort() { // DNS has no way to tell it
		l.DNS.Listen, l.DNS.Zone, l.DNS.NS, l.DNS.Names = nil, "", nil, nil
	}
	if c.Any {
		l.Listen.HTTP, l.Admin.Listen = []string{"127.0.0.1:0"}, "127.0.0.1:0"
	}
	s, err := l.Settings()
	if err != nil {
		d.close()
		return nil, err
	}
	d.service, err = service.Start(s, service.Options{Log: log, Listen: listenNextFree, Record: func(r *web.Record) {
		if !ofCrowd(r) {
			printRecord(records, r)
		}
	}})
	if err != nil {
		d.close()
		return nil, err
	}
	if err := d.openPage(c.Any); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// pageAddr is where the page is, or at the next free port.
const pageAddr = "127.0.0.1:8002"

// openPage serves the page on which a browser hears HLS.
func (d *demo) openPage(anyPort bool) error {
	base := "http://" + d.service.Addrs()[0].String()
	o := demopage.Options{Stream: base + demonode.HLSPath, Dashboard: "http://" + d.service.AdminAddr().String()}
	for _, n := range d.nodes {
		o.Nodes = append(o.Nodes, demopage.Node{Name: n.options.Name, Host: n.options.Addr, Plays: n.options.Tune.Name})
	}
	page, err := demopage.New(o)
	if err != nil {
		return err
	}
	addr := pageAddr
	if anyPort {
		addr = "127.0.0.1:0"
	}
	l, err := listenNextFree("tcp", addr)
	if err != nil {
		return err
	}
	d.page, d.pageURL = &http.Server{Handler: page, ReadHeaderTimeout: 10 * time.Second}, "http://"+l.Addr().String()
	go func() { _ = d.page.Serve(l) }() // ends with the demo
	return nil
}

// url is the mount's URL, at the director.
func (d *demo) url() string { return "http://" + d.service.Addrs()[0].String() + "/live.mp3" }

// invite lets a crowd listen until ctx ends or the function that it returns is called,
// which waits until all have left.
func (d *demo) invite(ctx context.Context, c *crowd) (leave func()) {
	ctx, cancel := context.WithCancel(ctx)
	left := make(chan struct{})
	go func() {
		defer close(left)
		c.run(ctx)
	}()
	return func() { cancel(); <-left }
}

// startNode starts a node, at 127.0.0.1 where a system has no more loopback addresses.
func startNode(o demonode.Options) (*demonode.Node, error) {
	node := demonode.New(o)
	err := node.Start()
	if err != nil {
		o.Addr = "127.0.0.1:0"
		node = demonode.New(o)
		err = node.Start()
	}
	return node, err
}

// onePort says whether all nodes have the same port.
func (d *demo) onePort() bool {
	ports := map[string]bool{}
	for _, n := range d.nodes {
		_, port, _ := net.SplitHostPort(n.options.Addr)
		ports[port] = true
	}
	return len(ports) == 1
}

func (d *demo) close() {
	if d.page != nil {
		_ = d.page.Close() // the process ends anyway
	}
	if d.service != nil {
		d.service.Close()
	}
	for _, n := range d.nodes {
		if n.up {
			_ = n.node.Close() // the process ends anyway
		}
	}
}

// listenNextFree listens at the address, or at the next free port if that one is taken.
func listenNextFree(network, addr string) (net.Listener, error) {
	const tries = 100
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	first, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	for p := first; ; p++ {
		l, err := new(net.ListenConfig).Listen(context.Background(), network, net.JoinHostPort(host, strconv.Itoa(p)))
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || p == first+tries {
			return l, err
		}
	}
}

// printHelp prints what to try.
func (d *demo) printHelp(w io.Writer, listeners int) {
	base, admin := "http://"+d.service.Addrs()[0].String(), "http://"+d.service.AdminAddr().String()
	var b strings.Builder
	b.WriteString("Signpost demo: three nodes and a director, all in this process.\n\n")
	for i, n := range d.nodes {
		fmt.Fprintf(&b, "  %d  %-10s %s  plays %s\n", i+1, n.options.Name, n.node.URL(), n.options.Tune.Name)
	}
	if listeners > 0 {
		fmt.Fprintf(&b, "\nAbout %d listeners around the world are made up, so that the pages live: they come within 10 s, follow\n"+
			"redirects, and stay some minutes each. Their requests are not printed. Without them: signpost demo --listeners 0\n", listeners)
	}
	fmt.Fprintf(&b, "\nListen. The melody, and the title, tell which node was chosen:\n"+
		"  mpv %[1]s/live.mp3\n  vlc %[1]s/live.mp3.m3u\n  or open %[1]s/live.mp3 in a browser\n"+
		"\nBe somewhere else. This demo believes X-Forwarded-For from this machine:\n", base)
	for _, l := range demoListeners {
		fmt.Fprintf(&b, "  curl -si -H 'X-Forwarded-For: %s' %s/live.mp3   # %s\n", l.addr, base, l.where)
	}
	fmt.Fprintf(&b, "  mpv --http-header-fields='X-Forwarded-For: %s' %s/live.mp3\n", demoListeners[2].addr, base)
	fmt.Fprintf(&b, "\nHear how a listener who is already playing is moved (HLS): drain the node that you hear, or stop it.\n  open %s in a browser\n", d.pageURL)
	fmt.Fprintf(&b, "\nWatch it, change weights, drain nodes:\n  open %s in a browser\n", admin)
	fmt.Fprintf(&b, "\nSee the other answers, and why:\n  curl %[1]s/live.mp3.json\n  curl %[1]s/live.mp3.pls\n"+
		"  curl '%[2]s/api/v1/explain?addr=%[3]s&mount=/live.mp3'   # or: signpost explain --addr %[3]s /live.mp3\n  curl %[2]s/metrics\n",
		base, admin, demoListeners[2].addr)
	if at := d.service.DNSAddrs(); len(at) > 0 {
		fmt.Fprintf(&b, "\nAsk by DNS. Resolvers tell for which network they ask, or not:\n"+
			"  dig +short @%[1]s -p %[2]d a.live.demo.example\n  dig +short @%[1]s -p %[2]d a.live.demo.example +subnet=%[3]s/24\n"+
			"  signpost explain --dns a.live.demo.example --resolver 127.0.0.1 --subnet %[3]s/24\n",
			at[0].Addr(), at[0].Port(), demoNetwork(demoListeners[2].addr))
	}
	b.WriteString("\nStop a node, or start it again: type 1, 2 or 3 and Enter. The configuration: signpost demo --show.\nCtrl-C ends.\n\n")
	fmt.Fprint(w, b.String())
}

// demoNetwork is the /24 of an address.
func demoNetwork(addr string) string { return addr[:strings.LastIndexByte(addr, '.')] + ".0" }

// readCommands stops and starts nodes, by their number on a line, until the end of in.
func (d *demo) readCommands(in io.Reader, w io.Writer) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		i, err := strconv.Atoi(line)
		if err != nil || i < 1 || i > len(d.nodes) {
			fmt.Fprintf(w, "Type 1 to %d and Enter to stop a node or to start it again; Ctrl-C ends.\n", len(d.nodes))
			continue
		}
		fmt.Fprintln(w, d.toggle(i-1))
	}
}

// toggle stops or starts a node, and returns what to print about it.
func (d *demo) toggle(i int) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := &d.nodes[i]
	if n.up {
		n.up = false
		if err := n.node.Close(); err != nil {
			return fmt.Sprintf("%s: %v", n.options.Name, err)
		}
		return n.options.Name + " is stopped: its listeners hear silence, and as soon as probes have noticed, new ones go elsewhere."
	}
	node := demonode.New(n.options)
	if err := node.Start(); err != nil {
		return fmt.Sprintf("%s: %v", n.options.Name, err)
	}
	if node.URL() != n.node.URL() {
		_ = node.Close() // directors know it by its old URL
		return n.options.Name + ": its port is taken meanwhile; start the demo anew"
	}
	n.node, n.up = node, true
	return n.options.Name + " is back, and gets its share step by step."
}

// printRecord prints a request and its answer.
func printRecord(w io.Writer, r *web.Record) {
	from := r.Country.String()
	if from == "" {
		from = "an unknown place"
	}
	what := fmt.Sprintf("%d %s", r.Status, r.Answer)
	if r.Node != "" {
		what += " to " + string(r.Node)
	}
	if r.Fault != "" {
		what += " (" + r.Fault + ")"
	}
	fmt.Fprintf(w, "%s %s from %s: %s, %v\n", r.Method, r.Path, from, what, r.Duration.Round(1000))
}
