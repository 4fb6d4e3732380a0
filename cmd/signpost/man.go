package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/signpost-fm/signpost/cmd/signpost/version"
)

// manCmd writes manual pages from the definitions of the command line.
type manCmd struct {
	Command string `arg:"" optional:"" help:"The command whose page is wanted, such as drain. Without one, the program's."`
	Dir     string `placeholder:"DIR" help:"Write all pages into this directory."`
}

// Run prints one page, or writes all of them.
func (m *manCmd) Run(c *console, model *kong.Application) error {
	if m.Dir == "" {
		node := model.Node
		if m.Command != "" {
			if node = childOf(model.Node, m.Command); node == nil || node.Hidden {
				return fmt.Errorf("there is no command %q; `signpost --help` lists them", m.Command)
			}
		}
		_, err := c.out.Write(manPage(node))
		return err
	}
	for _, node := range append(visible(model.Node), model.Node) {
		//nolint:gosec // for everybody to read
		if err := os.WriteFile(filepath.Join(m.Dir, manName(node)+".1"), manPage(node), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func visible(n *kong.Node) (all []*kong.Node) {
	for _, c := range n.Children {
		if !c.Hidden {
			all = append(all, c)
		}
	}
	return all
}

// manName is the name of a command's page: "signpost-drain".
func manName(n *kong.Node) string { return strings.ReplaceAll(n.FullPath(), " ", "-") }

// A roff is a page that is being written, in the macros of man(7).
type roff struct{ bytes.Buffer }

// roffText escapes what roff would take for its own.
var roffText = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)

// text writes plain text, which may be of several lines.
func (r *roff) text(s string) {
	for line := range strings.SplitSeq(strings.TrimSpace(s), "\n") {
		if strings.HasPrefix(line, ".") {
			r.WriteString(`\&`)
		}
		r.WriteString(roffText.Replace(line) + "\n")
	}
}

// macro writes a macro with its arguments, quoted.
func (r *roff) macro(name string, args ...string) {
	r.WriteString("." + name)
	for _, a := range args {
		r.WriteString(` "` + strings.ReplaceAll(roffText.Replace(a), `"`, `\(dq`) + `"`)
	}
	r.WriteString("\n")
}

// item writes an entry of a list: its name and what it is.
func (r *roff) item(name, help string) {
	r.macro("TP")
	r.macro("B", name)
	r.text(cmp.Or(help, "-"))
}

// manPage is the page of the program or of one of its commands, with the commands below it.
func manPage(n *kong.Node) []byte {
	build, r := version.Current(), &roff{}
	date := ""
	if at, err := time.Parse(time.RFC3339, build.Date); err == nil {
		date = at.UTC().Format(time.DateOnly)
	}
	r.macro("TH", strings.ToUpper(manName(n)), "1", date, "Signpost "+build.Version, "Signpost")
	r.macro("SH", "NAME")
	r.text(manName(n) + " - " + strings.TrimSuffix(n.Help, "."))
	r.macro("SH", "SYNOPSIS")
	for _, leaf := range n.Leaves(true) {
		if n.Parent == nil {
			break
		}
		r.macro("B", synopsis(leaf))
		r.macro("br")
	}
	if n.Parent == nil {
		r.macro("B", n.Name+" COMMAND [OPTIONS]")
	}
	r.macro("SH", "DESCRIPTION")
	r.text(n.Help)
	if n.Detail != "" {
		r.macro("PP")
		r.text(n.Detail)
	}
	r.arguments("ARGUMENTS", n)
	r.options("OPTIONS", n.AllFlags(true))
	if n.Parent == nil {
		r.macro("SH", "COMMANDS")
		for _, c := range visible(n) {
			r.item(c.Name, c.Help)
		}
	}
	if n.Parent != nil && len(n.Children) > 0 {
		for _, leaf := range n.Leaves(true) {
			r.macro("SS", synopsis(leaf))
			r.text(leaf.Help)
			r.arguments("", leaf)
			r.options("", [][]*kong.Flag{leaf.Flags})
		}
	}
	r.macro("SH", "EXIT STATUS")
	r.item("0", "It was done.")
	r.item("1", "It failed; standard error says why.")
	r.item("2", "The command line has a mistake in it.")
	r.macro("SH", "FILES")
	r.item("/etc/signpost/signpost.yaml", "The configuration of the director that the system starts.")
	r.macro("SH", "SEE ALSO")
	if n.Parent == nil {
		pages := make([]string, 0, len(n.Children))
		for _, c := range visible(n) {
			pages = append(pages, manName(c)+"(1)")
		}
		r.text(strings.Join(pages, ", "))
	} else {
		r.text("signpost(1)")
	}
	r.macro("PP")
	r.text("/usr/share/doc/signpost has the documentation: operating.md, configuration.md and more.")
	return r.Bytes()
}

// synopsis is how a command is called: its path, its arguments, and that it has options.
func synopsis(n *kong.Node) string {
	words := []string{n.FullPath()}
	for _, p := range n.Positional {
		words = append(words, p.Summary())
	}
	return strings.Join(append(words, "[OPTIONS]"), " ")
}

// arguments writes what stands behind a command; title is empty within a section.
func (r *roff) arguments(title string, n *kong.Node) {
	if len(n.Positional) == 0 {
		return
	}
	if title != "" {
		r.macro("SH", title)
	}
	for _, p := range n.Positional {
		r.item(p.Summary(), p.Help)
	}
}

// options writes flags that are not hidden; title is empty within a section.
func (r *roff) options(title string, groups [][]*kong.Flag) {
	first := true
	for _, flags := range groups {
		for _, f := range flags {
			if f.Hidden {
				continue
			}
			if first && title != "" {
				r.macro("SH", title)
			}
			first = false
			name := "--" + f.Name
			if f.Tag.Negatable != "" {
				name = "--[no-]" + f.Name
			}
			if !f.IsBool() {
				name += "=" + f.FormatPlaceHolder()
			}
			if f.Short != 0 {
				name = "-" + string(f.Short) + ", " + name
			}
			help := f.Help
			for _, env := range f.Envs {
				help += " ($" + env + ")"
			}
			r.item(name, help)
		}
	}
}
