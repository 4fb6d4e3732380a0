package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// redirectCmd asks: what does a redirect cost the server's CPU?
type redirectCmd struct {
	Signpost string `required:"" type:"existingfile" help:"The signpost program to measure."`
	Nodes    []int  `default:"10" help:"Sizes of the fleet to measure."`
	Geo      string `type:"existingfile" help:"A city database for it; its embedded one, if absent."`
	Requests int    `default:"20000" help:"Requests a round."`
	Rounds   int    `default:"5" help:"Rounds; parties take turns within each."`
	Clients  int    `default:"16" help:"Connections at once."`
}

// Run prints CPU microseconds per request of every party, and ratios to bare echo.
func (c *redirectCmd) Run() error {
	const serverCore = 0
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "signpost-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	nodes, err := startNodes()
	if err != nil {
		return err
	}
	defer nodes.Close()

	var parties []*party
	defer func() {
		for _, p := range parties {
			p.stop()
		}
	}()
	for _, kind := range []string{"echo", "nethttp"} {
		p, err := start("bare "+kind, serverCore, func(line string) string { return line }, self, "peer", kind)
		if err != nil {
			return err
		}
		parties = append(parties, p)
	}
	for _, n := range c.Nodes {
		// As shipped it closes connections; behind a proxy that keeps its own it need not.
		for _, keep := range []bool{false, true} {
			p, err := c.startSignpost(serverCore, fleet{dir, nodes.addr, n, keep})
			if err != nil {
				return err
			}
			parties = append(parties, p)
		}
	}
	return c.measure(parties)
}

// fleet is what one Signpost is to direct to.
type fleet struct {
	dir       string // for its configuration
	node      string // the address that answers for all nodes
	size      int
	keepAlive bool
}

func (c *redirectCmd) startSignpost(core int, f fleet) (*party, error) {
	n := f.size
	name := fmt.Sprintf("signpost, %d nodes", n)
	if f.keepAlive {
		name += ", keep"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "listen: {http: ['127.0.0.1:0'], trusted_proxies: [127.0.0.0/8], max_per_key: 0, max_per_address: 0, keep_alive: %t}\nadmin: {listen: '127.0.0.1:0'}\n", f.keepAlive)
	if c.Geo != "" {
		fmt.Fprintf(&b, "geo: {databases: [%q]}\n", c.Geo)
	}
	b.WriteString("probe: {interval: 10s}\nmounts: [/live.mp3]\nnodes:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {id: n%d, urls: ['http://%s'], target: 1000000, place: {lat: %d, lon: %d}}\n", i, f.node, 30+i%30, -180+i*360/n)
	}
	b.WriteString("regions:\n  - id: europe\n    match: {continents: [EU]}\n    weights: {")
	for i := range min(n, 10) {
		fmt.Fprintf(&b, "n%d: %d, ", i, 1+i%3)
	}
	b.WriteString("}\n")
	file := filepath.Join(f.dir, name+".yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	return start(name, core, listeningAt, c.Signpost, "serve", "--config", file)
}

// listeningAt finds the address in Signpost's start-up log.
func listeningAt(line string) string {
	_, rest, found := strings.Cut(line, "msg=listening for=http addr=")
	if !found {
		return ""
	}
	addr, _, _ := strings.Cut(rest, " ")
	return addr
}

func (c *redirectCmd) measure(parties []*party) error {
	type cell struct {
		party *party
		mode  mode
	}
	took := map[cell][]float64{} // CPU microseconds a request
	for _, m := range modes {
		reqs := requests(m, 10_000)
		for _, p := range parties { // warm up: caches, first snapshot
			if err := untilRedirected(p, m, reqs, c); err != nil {
				return err
			}
		}
		for round := range c.Rounds {
			for i := range parties {
				p := parties[(round+i)%len(parties)] // nobody always follows the same one
				before, err := p.cpu()
				if err != nil {
					return err
				}
				if err := drive(p.addr, m, reqs, c.Requests, c.Clients); err != nil {
					return fmt.Errorf("%s, %s: %w", p.name, m, err)
				}
				after, err := p.cpu()
				if err != nil {
					return err
				}
				took[cell{p, m}] = append(took[cell{p, m}], float64((after-before).Nanoseconds())/1000/float64(c.Requests))
			}
		}
	}
	fmt.Printf("CPU microseconds per redirect: median (lowest..highest of %d rounds of %d), and ratio to %s\n\n", c.Rounds, c.Requests, parties[0].name)
	fmt.Printf("%-24s", "")
	for _, m := range modes {
		fmt.Printf("%-34s", m)
	}
	fmt.Println("RSS MB")
	for _, p := range parties {
		fmt.Printf("%-24s", p.name)
		for _, m := range modes {
			mine, base := took[cell{p, m}], took[cell{parties[0], m}]
			fmt.Printf("%-34s", fmt.Sprintf("%5.1f (%.1f..%.1f)  x%.2f", median(mine), slices.Min(mine), slices.Max(mine), median(mine)/median(base)))
		}
		fmt.Printf("%.0f\n", float64(p.resident())/1e6)
	}
	return nil
}

// untilRedirected waits for a party's first snapshot.
func untilRedirected(p *party, m mode, reqs [][]byte, c *redirectCmd) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := drive(p.addr, m, reqs, c.Clients, c.Clients)
		if err == nil {
			return drive(p.addr, m, reqs, c.Requests/4, c.Clients)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// statusNodes answers for every node of the fleet: all are up and carry /live.mp3.
type statusNodes struct {
	addr string
	srv  *http.Server
}

func startNodes() (*statusNodes, error) {
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := ln.Addr().String()
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"icestats":{"server_id":"Icecast 2.4.4","source":{"listeners":0,"listenurl":"http://%s/live.mp3","server_type":"audio/mpeg"}}}`, addr)
	})}
	go srv.Serve(ln) //nolint:errcheck // ends with Close
	return &statusNodes{addr, srv}, nil
}

func (n *statusNodes) Close() error { return n.srv.Close() }
