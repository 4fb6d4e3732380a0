package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// fleet describes the configuration of one Signpost.
type fleet struct {
	node      string // the address that answers for all nodes
	nodes     int
	row       int // nodes in the rows of regions europe and world
	regions   int // besides europe and world
	mounts    int
	rules     int
	mmdb      string // empty: the embedded database
	redis     string // address; empty: the embedded store
	keepAlive bool
	dns       bool // answer DNS too, with addresses that nobody uses
	tls       bool // https alone, with the certificate in the folder of the file
}

// startSignpost starts a Signpost with its defaults: it writes a record of each request
// to a pipe, whose other end discards it. Only the limits per client are lifted, and the
// probe interval is 30 s, so that probes are not what is measured.
func startSignpost(name, program, dir string, f fleet) (*party, error) {
	file := filepath.Join(dir, strings.ReplaceAll(name, "/", "-")+".yaml")
	if err := os.WriteFile(file, []byte(f.config()), 0o600); err != nil {
		return nil, err
	}
	return start(name, proxyServerCore, listeningFor(f.scheme()), program, "serve", "--config", file)
}

func (f fleet) scheme() string {
	if f.tls {
		return "https"
	}
	return "http"
}

func (f fleet) config() string {
	var b strings.Builder
	at := "http: ['127.0.0.1:0']"
	if f.tls {
		at = secureListen
	}
	fmt.Fprintf(&b, "listen: {%s, trusted_proxies: [127.0.0.0/8], max_per_key: 0, max_per_address: 0, keep_alive: %t}\nadmin: {listen: '127.0.0.1:0'}\n", at, f.keepAlive)
	if f.mmdb != "" {
		fmt.Fprintf(&b, "geo: {databases: [%q]}\n", f.mmdb)
	}
	if f.redis != "" {
		fmt.Fprintf(&b, "store: {redis: {url: 'redis://%s/0'}}\n", f.redis)
	}
	b.WriteString("probe: {interval: 30s}\nmounts:\n")
	for i := range max(f.mounts, 1) {
		fmt.Fprintf(&b, "  - %s\n", mountName(i))
	}
	b.WriteString("nodes:\n")
	for i := range f.nodes {
		addresses := ""
		if f.dns {
			addresses = fmt.Sprintf(", addresses: 198.18.%d.%d", i>>8, i&255)
		}
		fmt.Fprintf(&b, "  - {id: n%d, urls: ['http://%s'], target: 1000000, place: {lat: %d, lon: %d}%s}\n", i, f.node, 30+i%30, -180+i*360/f.nodes, addresses)
	}
	var row strings.Builder
	for i := range min(f.row, f.nodes) {
		fmt.Fprintf(&row, "n%d: %d, ", i, 1+i%3)
	}
	fmt.Fprintf(&b, "regions:\n  - {id: europe, match: {continents: [EU]}, weights: {%s}}\n  - {id: world, match: default, weights: {%[1]s}}\n", row.String())
	for i := range f.regions {
		fmt.Fprintf(&b, "  - {id: r%d, match: {cidrs: [%d.%d.%d.0/24]}, weights: {n0: 1, n1: 2}}\n", i, 24+i>>16, i>>8&255, i&255)
	}
	if f.dns {
		fmt.Fprintf(&b, "dns: {listen: '127.0.0.1:0', zone: %s, ns: [ns1.radio.test, ns2.radio.test], per_network: 0, names: {%s: {mount: /live.mp3}}}\n", dnsZone, dnsName)
	}
	if f.tls {
		b.WriteString("rules: {scheme_mismatch: redirect}\n") // the nodes speak plain http
	}
	if f.rules > 0 {
		b.WriteString("rules:\n")
	}
	for i := range f.rules {
		fmt.Fprintf(&b, "  - {user_agent: '*Radio-%d/*', answer: redirect}\n", i)
	}
	return b.String()
}

func mountName(i int) string {
	if i == 0 {
		return "/live.mp3"
	}
	return fmt.Sprintf("/live%d.mp3", i)
}

// listeningFor finds the address of a scheme in a line of Signpost's start-up log.
func listeningFor(scheme string) func(line string) string {
	return func(line string) string {
		_, rest, found := strings.Cut(line, "msg=listening for="+scheme+" addr=")
		if !found {
			return ""
		}
		addr, _, _ := strings.Cut(rest, " ")
		return addr
	}
}

// statusNodes is the server behind every node of the fleet: all are up, and answer 200 for
// any mount.
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
