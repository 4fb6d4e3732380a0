package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// slowest is how many packages the summary names.
const slowest = 8

// leastAtOnce is how many tests of a package run at once, or more where there are more
// processors: most of the time they wait for servers, players and probes.
const leastAtOnce = 5

// test runs "go test" and tells what comes of it.
func test(args []string) int {
	atOnce := strconv.Itoa(max(leastAtOnce, runtime.GOMAXPROCS(0)))
	cmd := exec.Command("go", append([]string{"test", "-json", "-parallel", atOnce}, args...)...)
	cmd.Stderr = os.Stderr
	told, err := cmd.StdoutPipe()
	if err != nil {
		return fail(err)
	}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	p := progress{out: os.Stdout, begun: time.Now(), said: map[string][]string{}, left: map[string]int{}}
	readErr := p.read(told)
	err = cmd.Wait()
	p.summary(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime())
	if readErr != nil {
		return fail(readErr)
	}
	if err != nil {
		return 1
	}
	return 0
}

// progress is what "go test" has told so far.
type progress struct {
	out    io.Writer
	begun  time.Time
	said   map[string][]string // by package and test, while it is not known how that ends
	ended  []result
	tests  int
	failed int
	left   map[string]int // tests left out, by what they need
}

// An event is one of those that "go doc test2json" describes.
type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64 // s
}

// A result is how long a package took.
type result struct {
	name string
	took float64 // s
}

func (p *progress) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(p.out, lines.Text()) // go itself says something
			continue
		}
		p.take(e)
	}
	return lines.Err()
}

func (p *progress) take(e event) {
	pkg := e.Package + e.ImportPath // one of them is given
	key := pkg + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		p.said[key] = append(p.said[key], e.Output)
		return
	case "pass", "fail", "skip", "build-fail":
	default:
		return
	}
	said := p.said[key]
	delete(p.said, key)
	if e.Test != "" {
		p.tests++
	}
	switch {
	case strings.HasSuffix(e.Action, "fail"):
		p.failed++
		p.say(pkg, e.Test, said)
	case e.Action == "skip":
		p.leave(said)
	}
	if e.Test == "" && (e.Action == "pass" || e.Action == "fail") {
		p.end(pkg, e, strings.Contains(strings.Join(said, ""), "(cached)"))
	}
}

// end says how a package ended.
func (p *progress) end(pkg string, e event, cached bool) {
	word, more := "ok  ", ""
	if e.Action == "fail" {
		word = "FAIL"
		for key, said := range p.said { // after a time-out or a crash
			if of, test, _ := strings.Cut(key, " "); of == pkg {
				p.say(pkg, test+" (it did not end)", said)
				delete(p.said, key)
			}
		}
	}
	if cached {
		more = " (cached)"
	}
	p.ended = append(p.ended, result{short(pkg), e.Elapsed})
	fmt.Fprintf(p.out, "%4.0f s  %s  %-28s %6.1f s%s\n", time.Since(p.begun).Seconds(), word, short(pkg), e.Elapsed, more)
}

func short(pkg string) string { return strings.TrimPrefix(pkg, "github.com/signpost-fm/signpost/") }

// say prints what was said by a test that failed, or by a package beside its tests.
func (p *progress) say(pkg, test string, said []string) {
	if test != "" {
		fmt.Fprintf(p.out, "--- %s %s\n", short(pkg), test)
	}
	for _, line := range said {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(p.out, line)
		}
	}
}

// leave notes what a test needs that was left out: "needs chromium, which …".
func (p *progress) leave(said []string) {
	for _, line := range said {
		if _, what, ok := strings.Cut(line, ": needs "); ok {
			what, _, _ = strings.Cut(strings.TrimSpace(what), ":")
			what, _, _ = strings.Cut(what, ",")
			p.left[what]++
			return
		}
	}
}

func (p *progress) summary(cpu time.Duration) {
	slices.SortFunc(p.ended, func(a, b result) int { return int(1000 * (b.took - a.took)) })
	var names []string
	for _, r := range p.ended[:min(slowest, len(p.ended))] {
		if r.took >= 1 {
			names = append(names, fmt.Sprintf("%s %.0f s", r.name, r.took))
		}
	}
	if len(names) > 0 {
		fmt.Fprintln(p.out, "slowest:", strings.Join(names, ", "))
	}
	var needs []string
	for what, n := range p.left {
		needs = append(needs, fmt.Sprintf("%d need %s", n, what))
	}
	if slices.Sort(needs); len(needs) > 0 {
		fmt.Fprintln(p.out, "left out:", strings.Join(needs, ", "))
	}
	fmt.Fprintf(p.out, "%d packages, %d tests, %d failed, in %.0f s, with %.0f s of processors\n",
		len(p.ended), p.tests, p.failed, time.Since(p.begun).Seconds(), cpu.Seconds())
}
