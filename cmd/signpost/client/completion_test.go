package client

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

func TestCandidates(t *testing.T) {
	t.Parallel()
	var cli struct {
		Nodes    NodesCmd    `cmd:""`
		Weights  WeightsCmd  `cmd:""`
		Drain    DrainCmd    `cmd:""`
		Rules    RulesCmd    `cmd:""`
		Complete CompleteCmd `cmd:"" hidden:""`
	}
	parser, err := kong.New(&cli)
	if err != nil {
		t.Fatal(err)
	}
	for typed, want := range map[string]string{
		"":                               "nodes weights drain rules",
		"dr":                             "nodes weights drain rules", // the shell's word decides later
		"nodes ":                         "<nodes>",
		"nodes fra1 ":                    "",
		"weights ":                       "get set reset <regions>",
		"weights set ":                   "<regions>",
		"weights set de ":                "<weights>",
		"weights set de fra1=3 ":         "<weights>", // any number
		"weights set --why x de ":        "<weights>",
		"weights set --preview de ":      "<weights>",
		"weights set --why=x de ":        "<weights>",
		"weights set --unknown de ":      "<weights>",
		"rules add kitchen --answer ":    "redirect m3u pls xspf asx proxy deny https",
		"rules add kitchen --before ":    "<rules>",
		"drain --token-file ":            "",
		"drain fra1 --f":                 "--help --wait --timeout --threshold --why --for --server --token-file --json",
		"drain --server http://d:1 fra1": "<nodes>",
	} {
		l := readLine(parser.Model.Node, strings.Split(typed, " "))
		var got []string
		for _, c := range l.candidates(func(kind string) []candidate { return []candidate{{word: "<" + kind + ">"}} }) {
			got = append(got, c.word)
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%q (-want +got):\n%s", typed, diff)
		}
	}
	l := readLine(parser.Model.Node, strings.Split("nodes --server http://a --server=http://b --token-file f ", " "))
	if diff := cmp.Diff(Access{Server: []string{"http://a", "http://b"}, TokenFile: "f"}, l.given); diff != "" {
		t.Errorf("given (-want +got):\n%s", diff)
	}
}
