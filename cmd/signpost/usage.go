package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/signpost-fm/signpost/cmd/signpost/spelling"
	"github.com/signpost-fm/signpost/director/wording"
)

// arrange puts options that stand before or between the words of a command behind
// them, where kong looks for them: "--json weights get" becomes "weights get --json".
func arrange(root *kong.Node, args []string) []string {
	var command, options []string
	node, i := root, 0
	for i < len(args) {
		if child := childOf(node, args[i]); child != nil {
			command, node = append(command, args[i]), child
			i++
			continue
		}
		if args[i] == "--" || !strings.HasPrefix(args[i], "-") || len(node.Children) == 0 {
			break
		}
		n := min(1+valuesOf(node, args[i]), len(args)-i)
		options = append(options, args[i:i+n]...)
		i += n
	}
	return append(append(command, options...), args[i:]...)
}

func childOf(n *kong.Node, word string) *kong.Node {
	for _, c := range n.Children {
		if c.Name == word {
			return c
		}
	}
	return nil
}

// valuesOf returns how many words after an option are its value: 1 or 0. What an option
// is called means the same in all commands, so that any that knows it may tell.
func valuesOf(n *kong.Node, word string) int {
	name, _, whole := strings.Cut(word, "=")
	for _, f := range n.Flags {
		short := f.Short != 0 && strings.HasPrefix(word, "-"+string(f.Short)) && !strings.HasPrefix(word, "--")
		if name == "--"+f.Name || short {
			if f.IsBool() || whole || short && len(word) > 2 {
				return 0
			}
			return 1
		}
	}
	for _, c := range n.Children {
		if values := valuesOf(c, word); values > 0 {
			return values
		}
	}
	return 0
}

// rephrased is what kong says of a command line, in our words.
var rephrased = []struct {
	kong *regexp.Regexp
	ours string
}{
	{regexp.MustCompile(`, did you mean .*$`), ""}, // usageError finds the word itself
	{regexp.MustCompile(`expected duration but got ".*?": `), ""},
	{regexp.MustCompile(`expected a valid \d+ bit u?int but got (".*")`), "$1 is not a whole number"},
	{regexp.MustCompile(`^expected "(.*)"$`), "$1 is missing"},
	{regexp.MustCompile(`^missing flags: (.*)$`), "$1 must be given"},
	{regexp.MustCompile(`,\.\.\.`), ""}, // of options that may be repeated
	{regexp.MustCompile(`slog: level string (".*"): unknown name`), "$1 is none of debug, info, warn, error"},
	{regexp.MustCompile(`^(.*) must be one of "(.*)" but got (".*")$`), "$1: $3 is none of $2"},
	{regexp.MustCompile(`^(--\S+): (?:missing value, .*|expected .* value but got "EOL" \(<EOL>\))$`), "$1 has no value"},
	{regexp.MustCompile(`",\s*"`), ", "},
}

var (
	unknownWord   = regexp.MustCompile(`^unexpected argument (.*)$`)
	unknownOption = regexp.MustCompile(`^unknown flag (.*)$`)
	noCommand     = regexp.MustCompile(`^expected one of .*$`)
)

// usageError says what is wrong with a command line, and where its command is described.
func usageError(root *kong.Node, err error) string {
	node := root
	var p *kong.ParseError
	if errors.As(err, &p) && p.Context != nil && p.Context.Selected() != nil {
		node = p.Context.Selected()
	}
	text := wording.Text(err)
	for _, r := range rephrased {
		text = r.kong.ReplaceAllString(text, r.ours)
	}
	if up := node.Parent; unknownWord.MatchString(text) && up != nil && up.DefaultCmd == node {
		node = up // "rules ad" is no wrong "rules list"
	}
	switch {
	case noCommand.MatchString(text), len(node.Children) > 0 && strings.HasSuffix(text, " is missing"):
		all := commandsOf(node)
		text = "a command is missing; there " + map[bool]string{true: "is ", false: "are "}[len(all) == 1] + strings.Join(all, ", ")
	case unknownWord.MatchString(text) && len(node.Children) > 0:
		word := unknownWord.FindStringSubmatch(text)[1]
		text = fmt.Sprintf("there is no command %q%s", word, spelling.Hint(word, commandsOf(node)))
	case unknownWord.MatchString(text):
		text = fmt.Sprintf("%q is one word too many", unknownWord.FindStringSubmatch(text)[1])
	case unknownOption.MatchString(text):
		word := unknownOption.FindStringSubmatch(text)[1]
		text = fmt.Sprintf("there is no option %s%s", word, spelling.Hint(word, optionsOf(node)))
	}
	name := strings.TrimSpace(strings.TrimPrefix(node.FullPath(), root.Name))
	if name != "" {
		name += ": "
	}
	return fmt.Sprintf("signpost: %s%s; see `%s --help`", name, text, node.FullPath())
}

func commandsOf(n *kong.Node) (all []string) {
	for _, c := range n.Children {
		if !c.Hidden {
			all = append(all, c.Name)
		}
	}
	return all
}

func optionsOf(n *kong.Node) (all []string) {
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			all = append(all, "--"+f.Name)
		}
	}
	return all
}

// configFile is the configuration file of a command, which may be named as an argument or
// by an option.
type configFile struct {
	File   string `arg:"" optional:"" help:"The configuration file."`
	Config string `short:"c" env:"SIGNPOST_CONFIG" placeholder:"FILE" help:"The configuration file, if it is no argument."`
}

// name returns the file's name; empty: none is given. The argument goes before the
// environment.
func (c configFile) name() (string, error) {
	if c.File == "" {
		return c.Config, nil
	}
	if c.Config != "" && c.Config != c.File && c.Config != os.Getenv("SIGNPOST_CONFIG") {
		return "", fmt.Errorf("two configuration files are named, %s and %s; name one", c.File, c.Config)
	}
	return c.File, nil
}
