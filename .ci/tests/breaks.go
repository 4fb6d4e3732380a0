package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A broken is one fault that is put into the code to see whether the tests find it.
type broken struct {
	name string
	line int
	file string
	from string   // what it replaces: part of the file that is there once
	to   string   // by what
	test []string // arguments of "go test"; it has to fail
}

// breaks puts each fault of a list into the code, alone, and says which of them no test
// finds. The files on disk stay as they are: "go test -overlay" replaces them.
func breaks(list, names string) int {
	begun := time.Now()
	want, err := regexp.Compile(names)
	if err != nil {
		return fail(err)
	}
	all, err := readBreaks(list)
	if err != nil {
		return fail(err)
	}
	var runs []func() error
	for _, b := range all {
		if want.MatchString(b.name) {
			runs = append(runs, func() error { return b.try(list) })
		}
	}
	failed := sideBySide(runs)
	fmt.Printf("%d faults put into the code, %d not found, in %.0f s\n", len(runs), failed, time.Since(begun).Seconds())
	if failed > 0 || len(runs) == 0 {
		return 1
	}
	return 0
}

// try returns an error if the tests pass, or the fault cannot be put in.
func (b broken) try(list string) error {
	begun := time.Now()
	at := func(format string, more ...any) error {
		return fmt.Errorf("%s:%d: %s: %w", list, b.line, b.name, fmt.Errorf(format, more...))
	}
	overlay, err := b.overlay()
	if err != nil {
		return at("%w", err)
	}
	args := append([]string{"test", "-vet", "off", "-failfast", "-timeout", "10m", "-parallel", strconv.Itoa(leastAtOnce)}, b.test...)
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+overlay) // a test may build the program
	said, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return at("no test of %s finds it", strings.Join(b.test, " "))
	case !failedTest.Match(said):
		return at("no test ran: %w\n%s", err, said)
	}
	fmt.Printf("%4.0f s  found  %s: %s\n", time.Since(begun).Seconds(), b.name, failedTest.FindSubmatch(said)[1])
	return nil
}

var failedTest = regexp.MustCompile(`(?m)^\s*(--- FAIL: \S+|panic: .*|fatal error: .*)`)

// overlay writes the file with the fault, and what tells go to use it.
func (b broken) overlay() (name string, err error) {
	was, err := os.ReadFile(b.file)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(was), b.from); n != 1 {
		return "", fmt.Errorf("%s has %q %d times", b.file, b.from, n)
	}
	dir, err := os.MkdirTemp("", "break")
	if err != nil {
		return "", err
	}
	file, err := filepath.Abs(b.file)
	if err != nil {
		return "", err
	}
	with := filepath.Join(dir, filepath.Base(file))
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {file: with}})
	if err != nil {
		return "", err
	}
	name = filepath.Join(dir, "overlay.json")
	return name, errors.Join(
		os.WriteFile(with, []byte(strings.Replace(string(was), b.from, b.to, 1)), 0o600),
		os.WriteFile(name, replace, 0o600))
}

// readBreaks reads a list: see breaks.txt, which says how it is written.
func readBreaks(list string) (all []broken, err error) {
	text, err := os.ReadFile(list)
	if err != nil {
		return nil, err
	}
	var b *broken
	for i, line := range strings.Split(string(text), "\n") {
		key, value, _ := strings.Cut(line, " ")
		if key == "break" {
			all = append(all, broken{name: value, line: i + 1})
			b = &all[len(all)-1]
			continue
		}
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case b == nil:
			return nil, fmt.Errorf("%s:%d: %q before the first break", list, i+1, key)
		case key == "in":
			b.file = value
		case key == "from":
			b.from = value
		case key == "to":
			b.to = value
		case key == "test":
			b.test = strings.Fields(value)
		default:
			return nil, fmt.Errorf("%s:%d: unknown word %q", list, i+1, key)
		}
	}
	for _, b := range all {
		if b.file == "" || b.from == "" || b.from == b.to || len(b.test) == 0 {
			return nil, fmt.Errorf("%s:%d: %s: it needs in, from, to and test", list, b.line, b.name)
		}
	}
	return all, nil
}
