package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clientCore is where the clients run, if there is a second one.
const clientCore = 1

// benchFlags are what every benchmark asks for.
type benchFlags struct {
	Signpost string `required:"" type:"existingfile" help:"The signpost program to measure."`
	JSON     string `name:"json" placeholder:"FILE" help:"Write all rounds there."`
}

// wanted says whether the name contains one of the parts; without parts, all are.
func wanted(parts []string, name string) bool {
	return len(parts) == 0 || slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(name, part) })
}

// openFolder makes a folder for files of servers, some of which run as another user.
func openFolder() (string, error) {
	dir, err := os.MkdirTemp("", "signpost-bench-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// A contest lets parties take turns, and measures each round.
type contest struct {
	Requests int     // per round
	Rounds   int     // rounds that count; one more before them is the warm-up
	Clients  int     // at once
	Rate     float64 // connections per second, in an open loop
	Agents   string  // see askCmd
	Paths    string  // see askCmd
	Status   int     // see askCmd; 0: a redirect
}

// round is what was measured in one round of a party.
type round struct {
	CPU  float64 `json:"cpu_us"`      // the server's CPU time per request, in microseconds
	Rest float64 `json:"cpu_rest_us"` // the part of CPU that the server takes at rest
	asked
}

// atRest is how long a party's CPU time at rest is measured.
const atRest = 3 * time.Second

// watch measures the CPU time of parties at rest: some have timers and probes.
func watch(parties []*party) error {
	before := make([]time.Duration, len(parties))
	for i, p := range parties {
		var err error
		if before[i], err = p.cpu(); err != nil {
			return err
		}
	}
	time.Sleep(atRest)
	for i, p := range parties {
		after, err := p.cpu()
		if err != nil {
			return err
		}
		p.rest = float64((after - before[i]).Microseconds()) / 1000 / atRest.Seconds()
	}
	return nil
}

// withoutRest returns the rounds without the CPU time at rest.
func withoutRest(rounds []round) []round {
	out := slices.Clone(rounds)
	for i := range out {
		out[i].CPU -= out[i].Rest
	}
	return out
}

// run measures every party in every round.
func (c *contest) run(m mode, parties []*party) (map[string][]round, error) {
	took, err := takeTurns(c.Rounds, parties, func(p *party) (round, error) { return c.ask(m, p) })
	if err != nil {
		err = fmt.Errorf("%s: %w", m, err)
	}
	return took, err
}

// takeTurns measures every party in every round, and once more before them, to warm up.
// Each round begins with another party, so that no party is always the first.
func takeTurns(rounds int, parties []*party, ask func(*party) (round, error)) (map[string][]round, error) {
	took := map[string][]round{}
	for i := range rounds + 1 {
		for j := range parties {
			p := parties[(i+j)%len(parties)]
			r, err := ask(p)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			if i > 0 {
				took[p.name] = append(took[p.name], r)
			}
		}
	}
	return took, nil
}

// ask measures one round of one party.
func (c *contest) ask(m mode, p *party) (round, error) {
	rate := 0.0
	if m == openLoop {
		rate = c.Rate
	}
	return p.round(c.Requests, "ask", p.addr, string(m), strconv.Itoa(c.Requests), strconv.Itoa(c.Clients),
		"--rate", strconv.FormatFloat(rate, 'f', -1, 64), "--agents", c.Agents, "--paths", c.Paths, "--status", strconv.Itoa(cmp.Or(c.Status, http.StatusFound)))
}

// round lets this program, with args, be the client that asks n times, and reckons what
// that cost the party.
func (p *party) round(n int, args ...string) (r round, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	var out, said bytes.Buffer
	cmd := exec.Command(self, args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	before, err := p.cpu()
	if err != nil {
		return r, err
	}
	if err := startOn(clientCore, cmd); err != nil {
		return r, err
	}
	if err := cmd.Wait(); err != nil {
		return r, fmt.Errorf("client: %w: %s", err, &said)
	}
	after, err := p.cpu()
	if err != nil {
		return r, err
	}
	r.CPU = float64((after - before).Nanoseconds()) / 1000 / float64(n)
	err = json.Unmarshal(out.Bytes(), &r.asked)
	r.Rest = p.rest * 1000 / r.PerSecond
	return r, err
}

// await waits until a party redirects, for up to a minute.
func (c *contest) await(m mode, p *party) error {
	few := *c
	few.Requests, few.Clients = 1, 1
	deadline := time.Now().Add(60 * time.Second)
	for {
		_, err := few.ask(m, p)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// cpus returns the CPU times of rounds.
func cpus(rounds []round) []float64 {
	out := make([]float64, len(rounds))
	for i, r := range rounds {
		out[i] = r.CPU
	}
	return out
}

// beside returns the median ratio of a party's rounds to the same rounds of another
// party: a machine's other load changes more slowly than rounds do.
func beside(mine, other []round) float64 {
	return besideIn(mine, other, func(r round) float64 { return r.CPU })
}

// besideIn is beside for another number than the CPU.
func besideIn(mine, other []round, what func(round) float64) float64 {
	ratios := make([]float64, len(mine))
	for i := range mine {
		ratios[i] = what(mine[i]) / what(other[i])
	}
	return median(ratios)
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

func medianOf(rounds []round, what func(round) float64) float64 {
	v := make([]float64, len(rounds))
	for i, r := range rounds {
		v[i] = what(r)
	}
	return median(v)
}
