package main

import (
	"fmt"
	"os"
	"time"
)

// decideCmd measures how the cost of a redirect grows with the size of the decision.
// Connections are kept alive, so that little else is measured.
type decideCmd struct {
	benchFlags
	Sizes    []int    `default:"10,100,1000,10000" help:"Numbers of nodes, regions, mounts and rules."`
	What     []string `default:"nodes in the fleet,nodes in the row,regions,mounts,rules" help:"What is to grow."`
	Requests int      `default:"20000" help:"Requests a round."`
	Rounds   int      `default:"5" help:"Rounds; sizes take turns within each."`
	Clients  int      `default:"16" help:"Connections at once."`
}

// decideReport is the result of decideCmd.
type decideReport struct {
	Date    time.Time     `json:"date"`
	Machine string        `json:"machine"`
	Sizes   []decidedSize `json:"sizes"`
}

type decidedSize struct {
	What     string  `json:"what"`
	Size     int     `json:"size"`
	Rest     float64 `json:"at_rest_ms_per_s"`
	Ready    float64 `json:"ready_s"`
	Resident int64   `json:"resident_bytes"`
	Rounds   []round `json:"rounds"`
}

// growing maps what grows to a function that sets its size to n. The rest stays at ten
// nodes, two regions, one mount, and the shipped rules.
var growing = map[string]func(f *fleet, n int){
	"nodes in the fleet": func(f *fleet, n int) { f.nodes = n },
	"nodes in the row":   func(f *fleet, n int) { f.nodes, f.row = n, n },
	"regions":            func(f *fleet, n int) { f.regions = n },
	"mounts":             func(f *fleet, n int) { f.mounts = n },
	"rules":              func(f *fleet, n int) { f.rules = n },
}

// Run prints a table for each thing that grows.
func (c *decideCmd) Run() error {
	if ran, err := inOwnNetwork(); ran || err != nil {
		return err
	}
	nodes, err := startNodes()
	if err != nil {
		return err
	}
	defer nodes.Close()
	report := decideReport{Date: time.Now(), Machine: machine()}
	fmt.Printf("%s\n\n", report.Machine)
	for _, what := range c.What {
		grow := growing[what]
		if grow == nil {
			return fmt.Errorf("nothing called %q grows", what)
		}
		sizes, err := c.grow(what, grow, nodes.addr)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		report.Sizes = append(report.Sizes, sizes...)
	}
	return writeJSON(c.JSON, report)
}

// decider is a running Signpost of one size.
type decider struct {
	*party
	size  int
	ready time.Duration // from its start to its first redirect
}

func (c *decideCmd) grow(what string, grow func(*fleet, int), node string) (sizes []decidedSize, err error) {
	dir, err := os.MkdirTemp("", "signpost-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	rounds := contest{Requests: c.Requests, Rounds: c.Rounds, Clients: c.Clients, Agents: "Player-%d/1.0"}
	var all []*decider
	var parties []*party
	defer func() {
		for _, p := range parties {
			p.stop()
		}
	}()
	for _, n := range c.Sizes {
		f := fleet{node: node, nodes: 10, row: 10, keepAlive: true}
		grow(&f, n)
		began := time.Now()
		p, err := startSignpost(fmt.Sprintf("%d %s", n, what), c.Signpost, dir, f)
		if err != nil {
			return nil, err
		}
		parties = append(parties, p)
		if err := rounds.await(keepAlive, p); err != nil {
			return nil, err
		}
		all = append(all, &decider{party: p, size: n, ready: time.Since(began)})
	}
	time.Sleep(atRest) // lets start-up work finish
	if err := watch(parties); err != nil {
		return nil, err
	}
	took, err := rounds.run(keepAlive, parties)
	if err != nil {
		return nil, err
	}
	fmt.Printf("%s; CPU without what the director takes at rest, median (lowest to highest) of %d rounds of %d:\n\n", what, c.Rounds, c.Requests)
	fmt.Println("| | CPU, us a request | x the least | at rest, ms/s | ready in s | RSS MB |")
	fmt.Println("|---|---|---|---|---|---|")
	var least []round
	for _, d := range all {
		mine := withoutRest(took[d.name])
		if least == nil {
			least = mine
		}
		fmt.Printf("| %d | %s | %.2f | %.1f | %.1f | %.0f |\n", d.size, spread(cpus(mine), "%.1f"), beside(mine, least), d.rest, d.ready.Seconds(), float64(d.resident())/1e6)
		sizes = append(sizes, decidedSize{what, d.size, d.rest, d.ready.Seconds(), d.resident(), took[d.name]})
	}
	fmt.Println()
	return sizes, nil
}
