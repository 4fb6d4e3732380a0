package client

import (
	"context"
	"embed"
	"fmt"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/signpost-fm/signpost/web/admin/api"
)

//go:embed shell
var shells embed.FS

// CompletionCmd prints what makes a shell complete words.
type CompletionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints the shell's part, which asks CompleteCmd for the words.
func (c *CompletionCmd) Run(t *Terminal) error {
	script, err := shells.ReadFile("shell/signpost." + c.Shell)
	if err == nil {
		_, err = t.Out.Write(script)
	}
	return err
}

// CompleteCmd proposes words for a command line. Shells call it.
type CompleteCmd struct {
	Words []string `arg:"" optional:"" passthrough:"" help:"The words so far, and what there is of the next."`
}

// Run prints one candidate a line, and its help after a tab. Whatever fails, there is
// only less to print.
func (c *CompleteCmd) Run(ctx context.Context, t *Terminal, model *kong.Application) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	l := readLine(model.Node, words)
	for _, one := range l.candidates(func(kind string) []candidate { return l.names(ctx, t, kind) }) {
		if strings.HasPrefix(one.word, l.partial) {
			fmt.Fprintf(t.Out, "%s\t%s\n", clean(one.word), clean(one.help))
		}
	}
	return nil
}

// A candidate is a word that could come next, with help.
type candidate struct{ word, help string }

// A line is a command line that is not complete.
type line struct {
	node       *kong.Node // the command
	positional int        // how many arguments it has
	flag       *kong.Flag // whose value comes next; nil: none
	given      Access
	partial    string // of the next word
}

func readLine(root *kong.Node, words []string) line {
	l := line{node: root}
	if len(words) == 0 {
		return l
	}
	for _, w := range words[:len(words)-1] {
		switch {
		case l.flag != nil:
			l.take(w)
		case strings.HasPrefix(w, "-"):
			name, value, hasValue := strings.Cut(w, "=")
			l.flag = l.find(name)
			if hasValue || l.flag == nil || l.flag.IsBool() {
				l.take(value)
			}
		case l.child(w) != nil:
			l.node, l.positional = l.child(w), 0
		default:
			l.positional++
		}
	}
	l.partial = words[len(words)-1]
	return l
}

// take sets the value of the flag before it.
func (l *line) take(value string) {
	if l.flag != nil {
		switch l.flag.Name {
		case "server":
			l.given.Server = append(l.given.Server, value)
		case "token-file":
			l.given.TokenFile = value
		}
	}
	l.flag = nil
}

func (l *line) child(word string) *kong.Node {
	for _, c := range l.node.Children {
		if c.Name == word {
			return c
		}
	}
	return nil
}

func (l *line) find(name string) *kong.Flag {
	for _, group := range l.node.AllFlags(true) {
		for _, f := range group {
			if name == "--"+f.Name || f.Short != 0 && name == "-"+string(f.Short) {
				return f
			}
		}
	}
	return nil
}

// candidates returns those for the next word, whatever is typed of it.
func (l *line) candidates(names func(kind string) []candidate) []candidate {
	if l.flag != nil {
		return values(l.flag.Value, names)
	}
	var all []candidate
	if strings.HasPrefix(l.partial, "-") {
		for _, group := range l.node.AllFlags(true) {
			for _, f := range group {
				all = append(all, candidate{"--" + f.Name, f.Help})
			}
		}
		return all
	}
	command := l.node
	if l.positional == 0 {
		for _, c := range l.node.Children {
			if !c.Hidden {
				all = append(all, candidate{c.Name, c.Help})
			}
		}
		if l.node.DefaultCmd != nil {
			command = l.node.DefaultCmd
		}
	}
	if n := len(command.Positional); n > 0 {
		arg := command.Positional[min(l.positional, n-1)]
		if l.positional < n || arg.IsCumulative() {
			all = append(all, values(arg, names)...)
		}
	}
	return all
}

// values returns known values of a flag or an argument.
func values(v *kong.Value, names func(kind string) []candidate) []candidate {
	if kind := v.Tag.Get("completion"); kind != "" {
		return names(kind)
	}
	var all []candidate
	for _, word := range v.EnumSlice() {
		if word != "" {
			all = append(all, candidate{word, ""})
		}
	}
	return all
}

// namesTimeout is how long the user of a shell waits for names at most.
const namesTimeout = time.Second

// names asks a director for the names of nodes, regions or rules.
func (l *line) names(ctx context.Context, t *Terminal, kind string) (all []candidate) {
	ctx, cancel := context.WithTimeout(ctx, namesTimeout)
	defer cancel()
	s, err := l.given.Open(t)
	if err != nil {
		return nil
	}
	switch kind {
	case "regions":
		var a api.RegionsAnswer
		_, _ = s.Get(ctx, "/api/v1/regions", &a) // else there are none to name
		for _, r := range a.Regions {
			all = append(all, candidate{string(r.ID), r.Match})
		}
	case "rules":
		var a api.RulesAnswer
		_, _ = s.Get(ctx, rulesPath, &a) // else there are none to name
		for _, r := range a.Rules {
			if r.ID != "" {
				all = append(all, candidate{r.ID, r.Why})
			}
		}
	default: // nodes, weights
		var a api.NodesAnswer
		_, _ = s.Get(ctx, "/api/v1/nodes", &a) // else there are none to name
		suffix := map[string]string{"weights": "="}[kind]
		for _, n := range a.Nodes {
			all = append(all, candidate{string(n.ID) + suffix, stateOf(n).text + wrapped(" at ", n.Site)})
		}
	}
	return all
}
