package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// carryingReport is what was measured in one run.
type carryingReport struct {
	Date    time.Time       `json:"date"`
	Machine string          `json:"machine"`
	Loads   []carryingUnder `json:"loads"`
}

// carryingUnder is what was measured under one load.
type carryingUnder struct {
	load    load
	Parties []named
}

type named struct {
	Name string `json:"name"`
	carrying
}

// MarshalJSON puts the load beside the parties.
func (u carryingUnder) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Listeners int     `json:"listeners"`
		Kbit      int     `json:"kbit"`
		Parties   []named `json:"parties"`
	}{u.load.Listeners, u.load.Kbit, u.Parties})
}

// add adds the results of one turn of a party.
func (u *carryingUnder) add(name string, m carrying) {
	for i := range u.Parties {
		if p := &u.Parties[i]; p.Name == name {
			p.CPU, p.Resident = append(p.CPU, m.CPU...), append(p.Resident, m.Resident...)
			p.Stalls, p.Lost = p.Stalls+m.Stalls, p.Lost+m.Lost
			return
		}
	}
	u.Parties = append(u.Parties, named{name, m})
}

// print writes a Markdown table.
func (u *carryingUnder) print(w io.Writer, measured, settled time.Duration) {
	fmt.Fprintf(w, "%d listeners of %d kbit/s, %v measured %v after the last had come:\n\n", u.load.Listeners, u.load.Kbit, measured, settled)
	fmt.Fprintln(w, "| | CPU, us/s a listener | x nginx | resident, bytes a listener | x nginx | idle MB | descriptors | upstreams | stalls > 2 s | lost |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|---|")
	for _, p := range u.Parties {
		base := u.nginx(strings.HasSuffix(p.Name, "-tls"))
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %.0f | %.2f | %d | %d | %d |\n", p.Name,
			spread(p.CPU, "%.1f"), times(p.CPU, base.CPU), spread(p.Resident, "%.0f"), times(p.Resident, base.Resident),
			float64(p.Idle)/1e6, p.Descriptors, p.Upstreams, p.Stalls, p.Lost)
	}
	fmt.Fprintln(w)
}

// nginx returns what nginx needed, over TLS or not; zero, if it did not take part.
func (u *carryingUnder) nginx(secure bool) carrying {
	for _, p := range u.Parties {
		if p.Name == "nginx" && !secure || p.Name == "nginx-tls" && secure {
			return p.carrying
		}
	}
	return carrying{}
}

// spread formats the median, the lowest and the highest.
func spread(v []float64, format string) string {
	return fmt.Sprintf(format+" ("+format+" to "+format+")", median(v), slices.Min(v), slices.Max(v))
}

func times(v, base []float64) string {
	if len(base) == 0 || median(base) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", median(v)/median(base))
}

// machine describes the machine: processor, cores, kernel and Go version.
func machine() string {
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, rest, _ := strings.Cut(string(b), "model name\t: ")
		model, _, _ = strings.Cut(rest, "\n")
	}
	kernel := ""
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		kernel = ", Linux " + unix.ByteSliceToString(u.Release[:])
	}
	return fmt.Sprintf("%s, %d cores%s, %s", model, runtime.NumCPU(), kernel, runtime.Version())
}

// descriptors returns how many file descriptors a party has open.
func (p *party) descriptors() int {
	all, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	return len(all)
}
