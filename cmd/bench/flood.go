package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// floodCmd measures what others notice of a hostile client of DNS: a resolver in another
// network asks by UDP and by TCP, alone at first and then beside each kind of hostility.
type floodCmd struct {
	Signpost string        `required:"" type:"existingfile" help:"The signpost program to measure."`
	Each     time.Duration `default:"5s" help:"How long each kind lasts."`
}

// The addresses of the resolver and of the hostile client, in two networks; 127.9.0.0/16
// has those who come from many.
const (
	politeAddr  = "127.1.0.1"
	hostileAddr = "127.9.0.9"
	// askEvery and connectEvery are how often the resolver asks by UDP and by TCP.
	askEvery, connectEvery = 2 * time.Millisecond, 20 * time.Millisecond
	floodPatience          = time.Second
)

// A hostility goes on until ctx is done. It counts what it sent and what came back.
type hostility struct {
	name string
	run  func(ctx context.Context, to string, query []byte, h *harm)
}

type harm struct {
	sent, sentBytes, backBytes atomic.Int64
}

var hostilities = []hostility{
	{"nothing", func(context.Context, string, []byte, *harm) {}},
	{"queries from one /24, as fast as they go", func(ctx context.Context, to string, query []byte, h *harm) {
		pour(ctx, to, h, func() []byte { return query })
	}},
	{"compression loops, and cut off packets", func(ctx context.Context, to string, query []byte, h *harm) {
		loop := append(slices.Clone(query[:12]), 0xc0, 12, 0, 1, 0, 1)
		pour(ctx, to, h, func() []byte {
			if rand.IntN(2) == 0 {
				return loop
			}
			return query[:rand.IntN(len(query))]
		})
	}},
	{"65,535 bytes by TCP, again and again", func(ctx context.Context, to string, _ []byte, h *harm) {
		data := make([]byte, 2+0xffff)
		data[0], data[1] = 0xff, 0xff
		for ctx.Err() == nil {
			if c, err := dialFrom(ctx, "tcp4", hostileAddr, to); err == nil {
				n, _ := c.Write(data) // it is cut off
				h.sent.Add(1)
				h.sentBytes.Add(int64(n))
				c.Close()
			}
		}
	}},
	{"160 TCP connections of ten networks that send a byte a second", func(ctx context.Context, to string, query []byte, h *harm) {
		var all sync.WaitGroup
		for i := range 160 {
			all.Go(func() { dribble(ctx, fmt.Sprintf("127.9.%d.9", i%10), to, query, h) })
		}
		all.Wait()
	}},
	{"the same of one network", func(ctx context.Context, to string, query []byte, h *harm) {
		var all sync.WaitGroup
		for range 160 {
			all.Go(func() { dribble(ctx, hostileAddr, to, query, h) })
		}
		all.Wait()
	}},
}

func dialFrom(ctx context.Context, network, from, to string) (net.Conn, error) {
	d := net.Dialer{Timeout: floodPatience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	if strings.HasPrefix(network, "udp") {
		d.LocalAddr = &net.UDPAddr{IP: net.ParseIP(from)}
	}
	return d.DialContext(ctx, network, to)
}

// pour sends by UDP as fast as it can.
func pour(ctx context.Context, to string, h *harm, next func() []byte) {
	c, err := dialFrom(ctx, "udp4", hostileAddr, to)
	if err != nil {
		return
	}
	defer c.Close()
	go func() {
		for b := make([]byte, 2048); ; {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			h.backBytes.Add(int64(n))
		}
	}()
	for ctx.Err() == nil {
		if n, err := c.Write(next()); err == nil {
			h.sent.Add(1)
			h.sentBytes.Add(int64(n))
		}
	}
}

// dribble sends a query a byte a second, and connects again once it is cut off.
func dribble(ctx context.Context, from, to string, query []byte, h *harm) {
	for ctx.Err() == nil {
		c, err := dialFrom(ctx, "tcp4", from, to)
		for i := 0; err == nil && ctx.Err() == nil; i++ {
			if _, err = c.Write(query[i%len(query) : i%len(query)+1]); err == nil {
				h.sent.Add(1)
				h.sentBytes.Add(1)
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
		if c != nil {
			c.Close()
		}
	}
}

// answered is what the resolver noticed on one way.
type answered struct {
	asked int
	took  []time.Duration
}

func (a *answered) String() string {
	if len(a.took) == 0 {
		return fmt.Sprintf("0 of %d | - | -", a.asked)
	}
	slices.Sort(a.took)
	at := func(part float64) float64 {
		return float64(a.took[int(part*float64(len(a.took)-1))].Microseconds()) / 1000
	}
	return fmt.Sprintf("%d of %d | %.2f | %.2f", len(a.took), a.asked, at(.5), at(.99))
}

// Run prints a table.
func (c *floodCmd) Run() error {
	if ran, err := inOwnNetwork(); ran || err != nil {
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
	f := fleet{node: nodes.addr, nodes: 10, row: 10, dns: true}
	file := filepath.Join(dir, "flood.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(f.config(), "per_network: 0, ", "", 1)), 0o600); err != nil {
		return err
	}
	p, err := start("signpost", proxyServerCore, answeringAt, c.Signpost, "serve", "--config", file, "--records", "off")
	if err != nil {
		return err
	}
	defer p.stop()
	if err := (&dnsCmd{}).await(p); err != nil {
		return err
	}
	m := new(dns.Msg)
	m.SetQuestion(dnsName+".", dns.TypeA)
	m.SetEdns0(1232, false)
	query, err := m.Pack()
	if err != nil {
		return err
	}
	fmt.Printf("%s; %s\n\nWhat a resolver notices that asks by UDP every %v and by TCP every %v, each time by a new connection:\n\n"+
		"| Beside | sent a second | bytes back for one sent | UDP answered | median ms | 99 %% ms | TCP answered | median ms | 99 %% ms | RSS MB |\n|---|---|---|---|---|---|---|---|---|---|\n",
		machine(), time.Now().Format("2006-01-02"), askEvery, connectEvery)
	for _, kind := range hostilities {
		udp, tcp, h := c.beside(kind, p.addr, query)
		back := 0.0
		if sent := h.sentBytes.Load(); sent > 0 {
			back = float64(h.backBytes.Load()) / float64(sent)
		}
		fmt.Printf("| %s | %.0f | %.3f | %v | %v | %.0f |\n", kind.name, float64(h.sent.Load())/c.Each.Seconds(), back, udp, tcp, float64(p.resident())/1e6)
	}
	return nil
}

// beside asks beside a hostility, which has begun a second before.
func (c *floodCmd) beside(kind hostility, to string, query []byte) (udp, tcp *answered, h *harm) {
	h = &harm{}
	ctx, cancel := context.WithTimeout(context.Background(), c.Each+time.Second)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { kind.run(ctx, to, query, h) })
	time.Sleep(time.Second)
	h.sent.Store(0)
	all.Go(func() { udp = politely(ctx, askEvery, func() error { return askOver(ctx, "udp4", to, query) }) })
	all.Go(func() { tcp = politely(ctx, connectEvery, func() error { return askOver(ctx, "tcp4", to, query) }) })
	all.Wait()
	return udp, tcp, h
}

// politely asks at intervals until ctx is done.
func politely(ctx context.Context, every time.Duration, ask func() error) *answered {
	a := &answered{}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return a
		case <-t.C:
		}
		begin := time.Now()
		err := ask()
		if ctx.Err() != nil {
			return a
		}
		if a.asked++; err == nil {
			a.took = append(a.took, time.Since(begin))
		}
	}
}

// askOver asks once by a socket of its own, and waits for floodPatience.
func askOver(ctx context.Context, network, to string, query []byte) error {
	c, err := dialFrom(ctx, network, politeAddr, to)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(floodPatience)); err != nil {
		return err
	}
	b := make([]byte, 2048)
	if network == "udp4" {
		if _, err := c.Write(query); err != nil {
			return err
		}
		_, err := c.Read(b)
		return err
	}
	if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, b[:2]); err != nil {
		return err
	}
	_, err = io.ReadFull(c, b[:binary.BigEndian.Uint16(b)])
	return err
}
