package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// redirectReport holds the results of all parties, in the order in which they took part.
type redirectReport struct {
	Date     time.Time     `json:"date"`
	Machine  string        `json:"machine"`
	Command  []string      `json:"command"`
	Results  []*partyTrial `json:"results"`
	requests int
}

// partyTrial is a party's rounds in one mode.
type partyTrial struct {
	Party    string  `json:"party"`
	Mode     mode    `json:"mode"`
	Rounds   []round `json:"rounds"`
	Resident int64   `json:"resident_bytes"` // after the last round
	Ratio    float64 `json:"ratio_to_bare_echo"`
}

func newRedirectReport(c *redirectCmd) *redirectReport {
	return &redirectReport{Date: time.Now().UTC(), Machine: machine(), Command: os.Args[1:], requests: c.Requests}
}

func (r *redirectReport) add(m mode, parties []*party, took map[string][]round) {
	for _, p := range parties {
		r.Results = append(r.Results, &partyTrial{
			Party: p.name, Mode: m, Rounds: took[p.name], Resident: p.resident(), Ratio: beside(took[p.name], took[bareEcho]),
		})
	}
}

func (r *redirectReport) find(party string, m mode) *partyTrial {
	i := slices.IndexFunc(r.Results, func(t *partyTrial) bool { return t.Party == party && t.Mode == m })
	if i < 0 {
		return nil
	}
	return r.Results[i]
}

// print writes a Markdown table for a mode.
func (r *redirectReport) print(w io.Writer, m mode) {
	fmt.Fprintf(w, "%s; median (lowest to highest) of rounds of %d requests, ratios are medians of each round's:\n\n", m, r.requests)
	fmt.Fprintln(w, "| | CPU, us a request | of it at rest | x echo | x nginx | requests/s | p50 us | p99 us | RSS MB |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|")
	nginx := r.find("nginx", m)
	for _, t := range r.Results {
		if t.Mode != m {
			continue
		}
		toNginx := "-"
		if nginx != nil {
			toNginx = fmt.Sprintf("%.2f", beside(t.Rounds, nginx.Rounds))
		}
		fmt.Fprintf(w, "| %s | %s | %.1f | %.2f | %s | %.0f | %.0f | %.0f | %.0f |\n", t.Party, spread(cpus(t.Rounds), "%.1f"),
			medianOf(t.Rounds, func(r round) float64 { return r.Rest }), t.Ratio, toNginx,
			medianOf(t.Rounds, func(r round) float64 { return r.PerSecond }), medianOf(t.Rounds, func(r round) float64 { return r.P50 }),
			medianOf(t.Rounds, func(r round) float64 { return r.P99 }), float64(t.Resident)/1e6)
	}
	fmt.Fprintln(w)
}

// A bar is a limit that Signpost is to stay within, relative to another party or absolute.
type bar struct {
	what          string
	mode          mode
	party, beside string // beside is empty for resident memory
	most          float64
	of            measure
}

// measure is what a bar bounds.
type measure int

const (
	cpu measure = iota
	// requestsCPU leaves out the parties' CPU time at rest, for probes and timers: it grows
	// with the fleet, which would hide the cost of a request.
	requestsCPU
	wait // a client's time from its connection to the end of the answer, the median
)

var bars = []bar{
	{"beside bare echo", closing, tenNodes, bareEcho, 0.9, cpu},
	{"beside bare echo", hangUp, tenNodes, bareEcho, 0.9, cpu},
	{"beside bare echo", openLoop, tenNodes, bareEcho, 0.9, cpu},
	{"beside echo with a city database", closing, tenNodes, echoAndCity, 0.65, cpu},
	{"beside echo with a city database", hangUp, tenNodes, echoAndCity, 0.65, cpu},
	{"beside echo with a city database", openLoop, tenNodes, echoAndCity, 0.65, cpu},
	{"beside bare echo", keepAlive, tenNodes, bareEcho, 1.15, cpu},
	{"1,000 nodes beside 10", closing, "signpost, 1000 nodes", tenNodes, 1.03, requestsCPU},
	{"Redis store beside the embedded one", closing, tenWithRedis, tenNodes, 1.03, cpu},
	{"Redis store beside the embedded one", hangUp, tenWithRedis, tenNodes, 1.03, cpu},
	{"full handshake, beside nginx", full13, tenNodes, "nginx", 1.3, cpu},
	{"resumed, beside nginx", resumed13, tenNodes, "nginx", 1.3, cpu},
	{"full handshake, beside nginx", full12, tenNodes, "nginx", 1.3, cpu},
	{"resumed, beside nginx", resumed12, tenNodes, "nginx", 1.3, cpu},
	{"full handshake, a client's wait beside nginx", full13, tenNodes, "nginx", 1.5, wait},
	{"resumed, a client's wait beside nginx", resumed13, tenNodes, "nginx", 1.5, wait},
	{"full handshake, a client's wait beside nginx", full12, tenNodes, "nginx", 1.5, wait},
	{"resumed, a client's wait beside nginx", resumed12, tenNodes, "nginx", 1.5, wait},
	{"resident MB", hangUp, tenNodes, "", 64, cpu},
}

// printBars writes which bars are reached, for the parties that took part.
func (r *redirectReport) printBars(w io.Writer) {
	fmt.Fprintln(w, "| | | is | at most | |")
	fmt.Fprintln(w, "|---|---|---|---|---|")
	for _, b := range bars {
		mine, other := r.find(b.party, b.mode), r.find(b.beside, b.mode)
		if mine == nil || other == nil && b.beside != "" {
			continue
		}
		got := float64(mine.Resident) / 1e6
		switch {
		case other == nil:
		case b.of == requestsCPU:
			got = beside(withoutRest(mine.Rounds), withoutRest(other.Rounds))
		case b.of == wait:
			got = besideIn(mine.Rounds, other.Rounds, func(r round) float64 { return r.P50 })
		default:
			got = beside(mine.Rounds, other.Rounds)
		}
		verdict := "reached"
		if got > b.most {
			verdict = "NOT reached"
		}
		fmt.Fprintf(w, "| %s | %s | %.2f | %.2f | %s |\n", b.mode, b.what, got, b.most, verdict)
	}
}

// writeJSON writes a report, unless file is empty.
func writeJSON(file string, report any) error {
	if file == "" {
		return nil
	}
	b, err := json.MarshalIndent(report, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}
