package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// redirectCmd measures the cost of a redirect, beside other ways to answer the request.
type redirectCmd struct {
	benchFlags
	MMDB     string            `name:"mmdb" type:"existingfile" help:"A city database, for Signpost and for those who are compared with it. Without one, Signpost uses its embedded one, and peers that need one stay out."`
	Nodes    []int             `default:"10,100,1000" help:"Sizes of the fleet to measure; a region's row names ten."`
	TLS      bool              `name:"tls" help:"Over https: ECDSA with P-256, X25519, AES-128-GCM, one session ticket. Modes are handshakes, and fewer parties take part."`
	Modes    []mode            `help:"What clients do with their connections: all, if empty."`
	Only     []string          `help:"Who takes part besides bare echo: those whose names contain one of these. All, if empty."`
	Other    map[string]string `help:"Further servers, as name=command; {addr} in the command is where it is to listen. GET /live.mp3 is to be a 302."`
	Requests int               `default:"20000" help:"Requests a round."`
	Rounds   int               `default:"7" help:"Rounds; parties take turns within each."`
	Clients  int               `default:"16" help:"Connections at once."`
	Rate     float64           `default:"5000" help:"Connections a second, of the open loop."`
}

// The names of parties that the bars refer to.
const (
	bareEcho     = "bare echo"
	echoAndCity  = "echo + city database"
	tenNodes     = "signpost, 10 nodes"
	tenWithRedis = "signpost, 10 nodes, redis"
)

// Run prints a table for each mode, and which bars Signpost reaches.
func (c *redirectCmd) Run() error {
	if err := c.choose(); err != nil {
		return err
	}
	if ran, err := inOwnNetwork(); ran || err != nil {
		return err
	}
	dir, err := openFolder()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	e := entrants{redirectCmd: c, dir: dir}
	defer e.stop()
	if err := e.enter(); err != nil {
		return err
	}
	rounds := contest{Requests: c.Requests, Rounds: c.Rounds, Clients: c.Clients, Rate: c.Rate}
	for _, p := range append(e.shipped, e.keeping...) {
		if err := rounds.await(c.Modes[0], p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if err := watch(e.shipped); err != nil {
		return err
	}
	report := newRedirectReport(c)
	fmt.Printf("%s; %s\n\n", report.Machine, report.Date.Format("2006-01-02"))
	for _, m := range c.Modes {
		parties := e.shipped
		if m == keepAlive {
			parties = e.keeping
		}
		took, err := rounds.run(m, parties)
		if err != nil {
			return err
		}
		report.add(m, parties, took)
		report.print(os.Stdout, m)
	}
	report.printBars(os.Stdout)
	return writeJSON(c.JSON, report)
}

// choose checks the modes, or takes all that there are.
func (c *redirectCmd) choose() error {
	all := plainModes
	if c.TLS {
		all = secureModes
	}
	if len(c.Modes) == 0 {
		c.Modes = all
	}
	for _, m := range c.Modes {
		if !slices.Contains(all, m) {
			return fmt.Errorf("--modes: %q is none of %q", m, all)
		}
	}
	return nil
}

// entrants are the parties that take part: shipped in all modes but keep-alive, keeping
// in that one. By default Signpost closes connections. Behind a proxy that keeps its
// connections open it need not, so keeping has another Signpost, with keep_alive set.
type entrants struct {
	*redirectCmd
	dir     string
	nodes   *statusNodes
	redis   *party
	shipped []*party
	keeping []*party
}

func (e *entrants) stop() {
	running := map[*party]bool{}
	for _, p := range append(append([]*party{e.redis}, e.shipped...), e.keeping...) {
		if p != nil && !running[p] {
			running[p] = true
			p.stop()
		}
	}
	if e.nodes != nil {
		e.nodes.Close()
	}
}

func (e *entrants) wants(name string) bool { return name == bareEcho || wanted(e.Only, name) }

// add starts a party that takes part in all modes.
func (e *entrants) add(name string, start func() (*party, error)) error {
	if !e.wants(name) {
		return nil
	}
	p, err := start()
	if err != nil {
		return err
	}
	p.name = name
	e.shipped, e.keeping = append(e.shipped, p), append(e.keeping, p)
	return nil
}

func (e *entrants) enter() error {
	err := writeCertificate(e.dir)
	if err != nil {
		return err
	}
	if e.nodes, err = startNodes(); err != nil {
		return err
	}
	if e.redis, err = startRedis(); err != nil {
		return err
	}
	if err := fill(e.redis.addr); err != nil {
		return err
	}
	return errors.Join(e.enterPeers(), e.enterServers(), e.enterSignpost())
}

func (e *entrants) enterPeers() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	peer := func(kind, to string) func() (*party, error) {
		return func() (*party, error) {
			args := []string{"peer", kind, "--to", to}
			if e.TLS {
				args = append(args, "--tls", e.dir)
			}
			return start(kind, proxyServerCore, func(line string) string { return line }, self, args...)
		}
	}
	err = errors.Join(e.add(bareEcho, peer("echo", "")), e.add("bare net/http", peer("nethttp", "")))
	if err != nil || e.TLS {
		return err
	}
	if err := e.add("echo + redis", peer("redis", e.redis.addr)); e.MMDB == "" || err != nil {
		return err
	}
	return e.add(echoAndCity, peer("geo", e.MMDB))
}

func (e *entrants) enterServers() error {
	for name, command := range e.Other {
		if err := e.add(name, func() (*party, error) { return startOther(name, command) }); err != nil {
			return err
		}
	}
	if e.MMDB == "" || !e.wants("nginx") && !e.wants("haproxy") {
		return nil
	}
	ranges, prefixes, err := continentFiles(e.dir, e.MMDB)
	if err != nil {
		return err
	}
	err = e.add("nginx", func() (*party, error) { return startNginxRedirects(e.dir, ranges, e.TLS) })
	if err != nil || e.TLS {
		return err
	}
	return e.add("haproxy", func() (*party, error) { return startHAProxyRedirects(e.dir, prefixes) })
}

// startOther starts any server. The shell execs it, so that the measured process is the
// server and not the shell.
func startOther(name, command string) (*party, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		return nil, err
	}
	return startSilent(name, addr, sh, "-c", "exec "+strings.ReplaceAll(command, "{addr}", addr))
}

func (e *entrants) enterSignpost() error {
	f := fleet{node: e.nodes.addr, row: 10, mmdb: e.MMDB, tls: e.TLS}
	enter := func(to *[]*party, name string, f fleet) error {
		if !e.wants(name) {
			return nil
		}
		file := name
		if f.keepAlive {
			file += ", keep"
		}
		p, err := startSignpost(file, e.Signpost, e.dir, f)
		if err != nil {
			return err
		}
		p.name = name
		*to = append(*to, p)
		return nil
	}
	for _, n := range e.Nodes {
		f.nodes = n
		if err := enter(&e.shipped, fmt.Sprintf("signpost, %d nodes", n), f); err != nil {
			return err
		}
	}
	if e.TLS {
		return nil
	}
	f.nodes = 10
	withRedis, keeping := f, f
	withRedis.redis, keeping.keepAlive = e.redis.addr, true
	return errors.Join(enter(&e.shipped, tenWithRedis, withRedis), enter(&e.keeping, tenNodes, keeping))
}
