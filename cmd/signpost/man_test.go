package main

import (
	"bytes"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Every command has a page, with all its options, that man reads without a warning.
func TestManualPages(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(&cli{}, kong.Name("signpost"), kong.Description("Directs listeners."), kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	reader, _ := exec.LookPath("man")
	unquote := strings.NewReplacer(`\-`, "-", `\(aq`, "'", `\(ga`, "`", `\(ha`, "^", `\(ti`, "~", `\(dq`, `"`, `\e`, `\`)
	for _, n := range append(visible(parser.Model.Node), parser.Model.Node) {
		page := manPage(n)
		text := unquote.Replace(string(page))
		if n.Parent != nil {
			for _, leaf := range n.Leaves(true) {
				for _, f := range leaf.Flags {
					if !f.Hidden && (!strings.Contains(text, f.Name) || !strings.Contains(text, f.Help)) {
						t.Errorf("%s: nothing of --%s", leaf.FullPath(), f.Name)
					}
				}
				for _, p := range leaf.Positional {
					if !strings.Contains(text, p.Summary()) || !strings.Contains(text, p.Help) {
						t.Errorf("%s: nothing of %s", leaf.FullPath(), p.Summary())
					}
				}
			}
		} else {
			for _, c := range visible(n) {
				if !strings.Contains(text, manName(c)+"(1)") {
					t.Errorf("the program's page does not name %s", c.Name)
				}
			}
		}
		if reader == "" {
			continue
		}
		var out, warnings bytes.Buffer
		man := exec.CommandContext(t.Context(), reader, "--warnings", "-l", "-")
		man.Env = append(man.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=100")
		man.Stdin, man.Stdout, man.Stderr = bytes.NewReader(page), &out, &warnings
		if err := man.Run(); err != nil || warnings.Len() > 0 {
			t.Errorf("%s: %v\n%s", manName(n), err, &warnings)
		}
		if !strings.Contains(out.String(), "NAME\n       "+manName(n)+" - ") && !regexp.MustCompile(`(?s)NAME\n\s+`+manName(n)+`\s+-\s`).Match(out.Bytes()) {
			t.Errorf("%s: whatis would not find it:\n%.300s", manName(n), &out)
		}
	}
	var r roff
	r.text(".begins with a dot\n'and a quote \\ -x")
	if got, want := r.String(), "\\&.begins with a dot\n\\(aqand a quote \\e \\-x\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if code := run([]string{"man", "nothing"}, nil, io.Discard, io.Discard); code != exitFailure {
		t.Errorf("a page of no command: exit code %d", code)
	}
}
