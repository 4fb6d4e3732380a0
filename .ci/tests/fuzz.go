package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

var target = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// fuzz runs every fuzz target on n new inputs; its seeds run with the tests. They
// are counted, since go test may fail when its time is up within a slow one.
func fuzz(n int) int {
	begun := time.Now()
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		return fail(err)
	}
	inputs := filepath.Join(strings.TrimSpace(string(cache)), "fuzz") // where go test keeps them
	list, err := exec.Command("go", "list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}", "./...").Output()
	if err != nil {
		return fail(err)
	}
	var runs []func() error
	built := 0
	for line := range strings.Lines(string(list)) {
		pkg, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		targets, err := targetsIn(dir)
		if err != nil {
			return fail(err)
		}
		if len(targets) == 0 {
			continue
		}
		built++
		program := filepath.Join(os.TempDir(), fmt.Sprintf("fuzz%d.test", built))
		if out, err := exec.Command("go", "test", "-c", "-fuzz", ".", "-vet", "off", "-o", program, pkg).CombinedOutput(); err != nil {
			return fail(fmt.Errorf("%w\n%s", err, out))
		}
		for _, name := range targets {
			runs = append(runs, func() error {
				cmd := exec.Command(program, "-test.run", "^$", "-test.fuzz", "^"+name+"$", "-test.fuzztime", fmt.Sprint(n, "x"),
					"-test.fuzzminimizetime", "100x", "-test.fuzzcachedir", filepath.Join(inputs, pkg), "-test.parallel", "1", "-test.timeout", "10m")
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					return fmt.Errorf("%s %s: %w\n%s", short(pkg), name, err, out)
				}
				return nil
			})
		}
	}
	failed := sideBySide(runs)
	fmt.Printf("%d fuzz targets on %d inputs each, %d failed, in %.0f s\n", len(runs), n, failed, time.Since(begun).Seconds())
	if failed > 0 || len(runs) == 0 {
		return 1
	}
	return 0
}

func targetsIn(dir string) (names []string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		for _, m := range target.FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
	}
	slices.Sort(names)
	return names, err
}

// sideBySide does as many at once as there are processors, prints each error, and
// returns how many there were.
func sideBySide(runs []func() error) (failed int) {
	next := make(chan func() error)
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := bufio.NewWriter(os.Stdout)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for run := range next {
				if err := run(); err != nil {
					mu.Lock()
					failed++
					fmt.Fprintln(out, err)
					out.Flush()
					mu.Unlock()
				}
			}
		})
	}
	for _, run := range runs {
		next <- run
	}
	close(next)
	wg.Wait()
	return failed
}
