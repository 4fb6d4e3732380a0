package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// slowest is how many packages the summary names.
const slowest = 8

// leastAtOnce is how many tests of a package run at once, or more where there are more
// processors: most of the time they wait for servers, players and probes.
const leastAtOnce = 5

// unraced are the packages in whose tests the race detector finds nothing, and takes most of
// the time: they run other programs, or look at code that starts no goroutine and shares
// nothing. What others share of that code is raced in the packages that share it. `make soak`
// has the detector in all.
var unraced = []string{
	"cmd/signpost/e2e", "cmd/signpost/simulate", "cmd/signpost/spelling", "cmd/signpost/version",
	"director", "director/sim", "director/wording", "web/admin/api", "web/idn", "web/proxy/audio", "web/strictjson",
}

// longest are the packages that begin first, or all would wait for them in the end.
var longest = []string{"cmd/signpost/e2e", "web/admin/dashboard", "cmd/signpost", "store"}

// race runs "go test" with the race detector, and beside it what needs none. Options come
// first, their values behind "=".
func race(args []string) (code int) {
	n := slices.IndexFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") })
	if n < 0 {
		return fail(errors.New("race: name packages"))
	}
	options, packages := args[:n:n], args[n:]
	listing := exec.Command("go", append([]string{"list"}, packages...)...)
	listing.Stderr = os.Stderr
	list, err := listing.Output()
	if err != nil {
		return fail(err)
	}
	var raced, plain []string
	for pkg := range strings.FieldsSeq(string(list)) {
		if slices.Contains(unraced, short(pkg)) {
			plain = append(plain, pkg)
		} else {
			raced = append(raced, pkg)
		}
	}
	for _, l := range [][]string{raced, plain} {
		slices.SortStableFunc(l, func(a, b string) int { return rank(a) - rank(b) })
	}
	// A raced program sleeps for a second at its end, in case another thread still tells of a race.
	if os.Getenv("GORACE") == "" {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=50")
	}
	// Those without it are one more at a time than there are processors: they wait more than they
	// work. Where there is not even one, players would stutter beside others: one after another.
	var runs [][]string
	if len(plain) > 0 {
		runs = append(runs, slices.Concat(options, []string{"-p=1"}, plain))
	}
	if len(raced) > 0 {
		runs = append(runs, slices.Concat(options, []string{"-race"}, raced))
	}
	if have := processors(); have < leastProcessors {
		fmt.Printf("there is %.1f of a processor to be had: packages are tested one after another\n", have)
		for i := range runs {
			runs[i] = slices.Concat([]string{"-p=1", "-parallel=2"}, runs[i])
			if failed := goTests(runs[i]); failed != 0 {
				code = failed
			}
		}
		return code
	}
	return goTests(runs...)
}

// leastProcessors is how many processors are enough to test several packages at once.
const leastProcessors = 0.8

// processors measures for a second how many processors a process gets here. Limits of a
// container and other work leave less than there are.
func processors() float64 {
	spent := func() time.Duration {
		var use syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &use) // it cannot fail
		return time.Duration(use.Utime.Nano() + use.Stime.Nano())
	}
	began, before := time.Now(), spent()
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for time.Since(began) < time.Second {
			}
		})
	}
	all.Wait()
	return float64(spent()-before) / float64(time.Since(began))
}

func rank(pkg string) int {
	if at := slices.Index(longest, short(pkg)); at >= 0 {
		return at - len(longest)
	}
	return 0
}

// goTests runs "go test" with each of these arguments, side by side.
func goTests(runs ...[]string) int {
	atOnce := strconv.Itoa(max(leastAtOnce, runtime.GOMAXPROCS(0)))
	p := progress{out: os.Stdout, begun: time.Now(), said: map[string][]string{}, left: map[string]int{}}
	var all sync.WaitGroup
	errs := make([]error, len(runs))
	cpu := make([]time.Duration, len(runs))
	for i, args := range runs {
		all.Go(func() {
			cmd := exec.Command("go", append([]string{"test", "-json", "-parallel=" + atOnce}, args...)...)
			cmd.Stderr = os.Stderr
			told, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				errs[i] = err
				return
			}
			readErr := p.read(told)
			errs[i] = errors.Join(readErr, cmd.Wait())
			cpu[i] = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		})
	}
	all.Wait()
	total := time.Duration(0)
	for _, d := range cpu {
		total += d
	}
	p.summary(total)
	if err := errors.Join(errs...); err != nil {
		return fail(err)
	}
	return 0
}

// progress is what "go test" has told so far.
type progress struct {
	mu     sync.Mutex
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
		p.mu.Lock()
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(p.out, lines.Text()) // go itself says something
		} else {
			p.take(e)
		}
		p.mu.Unlock()
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
