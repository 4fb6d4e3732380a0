package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// proxyCmd measures what it costs to carry a stream, and how smoothly the stream arrives.
type proxyCmd struct {
	benchFlags
	Loads   []string      `default:"2000x64,4900x64,2000x128" help:"Listeners at once, and the stream's kbit/s; the open-file limit bounds the former."`
	Parties []string      `default:"icecast,nginx,haproxy,httputil,signpost" help:"Who takes part; also signpost-own (a connection to the node for each listener), and nginx-tls and signpost-tls over https."`
	Settle  time.Duration `default:"10s" help:"From the last listener's arrival to the measurement."`
	For     time.Duration `default:"20s" help:"How long is measured, in five parts."`
	Rounds  int           `default:"1" help:"How often everybody takes a turn."`
}

// parts is how many parts a measurement has, to show its spread.
const parts = 5

// A load is what each party has to carry.
type load struct{ Listeners, Kbit int }

func parseLoad(s string) (load, error) {
	n, kbit, _ := strings.Cut(s, "x")
	listeners, err1 := strconv.Atoi(n)
	rate, err2 := strconv.Atoi(kbit)
	if err1 != nil || err2 != nil || listeners <= 0 || rate <= 0 {
		return load{}, fmt.Errorf("%q is no load; write listeners x kbit/s, such as 2000x64", s)
	}
	return load{listeners, rate}, nil
}

// Run measures every party under every load.
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
	report := carryingReport{Date: time.Now().UTC().Truncate(time.Second), Machine: machine()}
	for _, s := range c.Loads {
		l, err := parseLoad(s)
		if err != nil {
			return err
		}
		under := carryingUnder{load: l}
		for round := range c.Rounds {
			for i := range c.Parties {
				name := c.Parties[(round+i)%len(c.Parties)]
				fmt.Fprintf(os.Stderr, "%s carries %d listeners of %d kbit/s\n", name, l.Listeners, l.Kbit)
				m, err := c.measure(name, dir, l)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				under.add(name, m)
			}
		}
		under.print(os.Stdout, c.For, c.Settle)
		report.Loads = append(report.Loads, under)
	}
	return writeJSON(c.JSON, report)
}

// carrying is what was measured of one party under one load.
type carrying struct {
	CPU         []float64 `json:"cpu_us_per_listener_second"` // a number for each part of each round
	Resident    []float64 `json:"resident_bytes_per_listener"`
	Idle        int64     `json:"idle_bytes"` // resident without listeners
	Descriptors float64   `json:"descriptors_per_listener"`
	Upstreams   int       `json:"upstream_connections"`
	Stalls      int64     `json:"stalls"` // gaps in the audio longer than smooth
	Lost        int64     `json:"lost"`   // listeners whose stream ended
}

// measure starts a party with its own Icecast, and measures it under a load.
func (c *proxyCmd) measure(name, dir string, l load) (carrying, error) {
	var who carrier
	for _, k := range carriers {
		if k.name == name {
			who = k
		}
	}
	if who.start == nil {
		return carrying{}, errors.New("nobody of that name takes part")
	}
	origin, stop, err := startIcecast(dir, l.Listeners+100, l.Kbit, name == "icecast")
	if err != nil {
		return carrying{}, err
	}
	defer stop()
	p, err := who.start(c, dir, origin)
	if err != nil {
		return carrying{}, err
	}
	if p != origin {
		defer p.stop()
	}
	if err := awaitStream(who.tune, p.addr); err != nil {
		return carrying{}, err
	}
	time.Sleep(2 * time.Second) // awaitStream's connections are closed by then
	m := carrying{Idle: p.resident()}
	free := p.descriptors()
	a := &audience{tune: who.tune, addr: p.addr, n: l.Listeners}
	defer a.leave()
	if err := a.arrive(); err != nil {
		return m, err
	}
	time.Sleep(c.Settle)
	if err := c.watch(p, a, &m); err != nil {
		return m, err
	}
	m.Descriptors = float64(p.descriptors()-free) / float64(l.Listeners)
	m.Stalls, m.Lost = a.stalls.Load(), a.lost.Load()
	if name != "icecast" {
		m.Upstreams, err = listeners(origin.addr)
	}
	return m, err
}

// watch takes a measurement in parts.
func (c *proxyCmd) watch(p *party, a *audience, m *carrying) error {
	a.watch(true)
	defer a.watch(false)
	before, err := p.cpu()
	if err != nil {
		return err
	}
	began := time.Now()
	for range parts {
		time.Sleep(c.For / parts)
		after, err := p.cpu()
		if err != nil {
			return err
		}
		now := time.Now()
		m.CPU = append(m.CPU, float64((after-before).Nanoseconds())/1000/now.Sub(began).Seconds()/float64(a.n))
		m.Resident = append(m.Resident, float64(p.resident()-m.Idle)/float64(a.n))
		before, began = after, now
	}
	return nil
}
