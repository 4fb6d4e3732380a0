package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/signpost-fm/signpost/geo/geotest"
)

// TestCommandLine: what a command line is answered, word by word. Text that ends in
// "..." is only the beginning.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := filepath.Join(dir, "radio.yaml")
	if err := os.WriteFile(good, []byte("nodes: [{id: fra1, urls: \"http://fra1.example:8000\", place: DE}, {id: nyc1, urls: \"http://nyc1.example:8000\", place: US}]\nlisten: {public_urls: [\"http://radio.example\"]}\nmounts: [/live.mp3]\nstate_dir: state\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	radio := filepath.Join(dir, "certified.yaml")
	if err := os.WriteFile(radio, []byte("nodes: [{id: fra1, urls: \"http://fra1.example:8000\"}]\nlisten: {https: [\":0\"], acme: {names: [radio.example], email: a@radio.example}}\nstate_dir: state\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := filepath.Join(dir, "refused.yaml")
	if err := os.WriteFile(refused, []byte("nodes: [{id: fra1}]\nmounts: [/live.mp3]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const (
		commands = "serve, agent, demo, check, explain, simulate, init, import, geo, ready, certificates, nodes, weights, overflow, drain, disable, resume, rules, history, undo, whatif, status, completion, man, licenses, version, help"
		nobody   = "http://127.0.0.1:1: connection refused; is a director running there? (the address is from --server)\n"
	)
	for _, c := range []struct {
		args     string // blanks divide them
		code     int
		out, err string
	}{
		// Help and version.
		{"", 2, "", "Usage: signpost <command> [flags]\n..."},
		{"help", 0, "Usage: signpost <command> [flags]\n...", ""},
		{"--help", 0, "Usage: signpost <command> [flags]\n...", ""},
		{"help drain", 0, "Usage: signpost drain <node> [flags]\n...", ""},
		{"help weights set", 0, "Usage: signpost weights set <region> <node=weight> ... [flags]\n...", ""},
		{"drain --help", 0, "Usage: signpost drain <node> [flags]\n...", ""},
		{"--help drain", 0, "Usage: signpost drain <node> [flags]\n...", ""},
		{"help dran", 2, "", "signpost: there is no command \"dran\"; did you mean \"drain\"?; see `signpost --help`\n"},
		{"version", 0, "signpost ...", ""},
		{"licenses", 0, "Signpost\nCopyright ...", ""},
		{"licenses --sbom", 0, "{\n  \"$schema\": ...", ""},
		{"man", 0, ".TH \"SIGNPOST\" ...", ""},
		{"man drain", 0, ".TH \"SIGNPOST\\-DRAIN\" ...", ""},
		{"man nothing", 1, "", "signpost: there is no command \"nothing\"; `signpost --help` lists them\n"},
		{"man --dir /nowhere", 1, "", "signpost: ..."},
		{"--version", 0, "signpost ...", ""},
		{"serve --version", 0, "signpost ...", ""},

		// Commands.
		{"foo", 2, "", "signpost: there is no command \"foo\"; known here: " + commands + "; see `signpost --help`\n"},
		{"nodse", 2, "", "signpost: there is no command \"nodse\"; did you mean \"nodes\"?; see `signpost --help`\n"},
		{"geo", 2, "", "signpost: geo: a command is missing; there is update; see `signpost geo --help`\n"},
		{"rules ad", 2, "", "signpost: rules: there is no command \"ad\"; did you mean \"add\"?; see `signpost rules --help`\n"},
		{"demo x", 2, "", "signpost: demo: \"x\" is one word too many; see `signpost demo --help`\n"},

		// Options, wherever they stand.
		{"nodes --serverr x", 2, "", "signpost: nodes: there is no option --serverr; did you mean \"--server\"?; see `signpost nodes --help`\n"},
		{"status --foo", 2, "", "signpost: status: there is no option --foo; known here: --help, --version, --server, --token-file, --json; see `signpost status --help`\n"},
		{"nodes --server http://127.0.0.1:1", 1, "", "signpost: " + nobody},
		{"--server http://127.0.0.1:1 nodes", 1, "", "signpost: " + nobody},
		{"--server=http://127.0.0.1:1 --json weights get europe", 1, "", "signpost: " + nobody},
		{"weights --json --server http://127.0.0.1:1 get", 1, "", "signpost: " + nobody},
		{"--limit 5 --server http://127.0.0.1:1 history", 1, "", "signpost: " + nobody},
		{"-n5 --server http://127.0.0.1:1 history", 1, "", "signpost: " + nobody},
		{"-c nowhere.yaml serve", 1, "", "signpost: configuration: nowhere.yaml: no such file or directory\n"},
		{"nodes --server", 2, "", "signpost: nodes: --server has no value; see `signpost nodes --help`\n"},
		{"drain fra1 --for", 2, "", "signpost: drain: --for has no value; see `signpost drain --help`\n"},

		// The configuration file.
		{"serve", 1, "", "signpost: no configuration: a director needs nodes to send listeners to; write a file and name it, as in `signpost serve signpost.yaml` (docs/signpost.example.yaml is one to begin with), or try `signpost demo`, which needs none\n"},
		{"serve nowhere.yaml", 1, "", "signpost: configuration: nowhere.yaml: no such file or directory\n"},
		{"serve --config nowhere.yaml", 1, "", "signpost: configuration: nowhere.yaml: no such file or directory\n"},
		{"serve a.yaml b.yaml", 2, "", "signpost: serve: \"b.yaml\" is one word too many; see `signpost serve --help`\n"},
		{"serve a.yaml --config b.yaml", 1, "", "signpost: two configuration files are named, a.yaml and b.yaml; name one\n"},
		{"check", 1, "", "signpost: which configuration? Name the file, as in `signpost check signpost.yaml`\n"},
		{"check " + good, 0, good + " is good: 2 nodes, 1 mount, 0 regions\n...", ""},
		{"check --config " + good, 0, good + " is good: 2 nodes, 1 mount, 0 regions\n...", ""},
		{"check " + dir, 1, "", "signpost: configuration: " + dir + ": is a directory\n"},

		// A simulation: told before anything long begins.
		{"simulate", 1, "", "signpost: which configuration? Name the file, as in `signpost simulate signpost.yaml --listeners 10000`\n"},
		{"simulate " + good, 1, "", "signpost: how many listen? Give --listeners, the number at the highest point of the day\n"},
		{"simulate --listeners 10 nowhere.yaml", 1, "", "signpost: configuration: nowhere.yaml: no such file or directory\n"},
		{"simulate --listeners 10 " + refused, 1, "", refused + ":1:..."},
		{"simulate --listeners 10 --at 20:05 --lose-site fra " + good, 1, "", "signpost: --lose-site fra: no node stands at a site of this name; the file names no site: give nodes one, as in site: fra\n"},
		{"simulate --listeners 10 --day nights " + good, 1, "", "signpost: nights: no such file or directory; name a CSV file, or one of morning-show, match-night, breaking-news\n"},
		{"simulate --listeners 10 --directors 3 " + good, 1, "", "signpost: " + good + " has no store.redis, so that 3 directors would know nothing of each other; add it, or play one director\n"},
		{"simulate --listeners 1000000000000 " + good, 1, "", "signpost: 1000000000000 listeners need about ..."},
		{"simulate --at 8pm x", 2, "", "signpost: simulate: --at: \"8pm\" is not a time of the day; write one such as 20:05; see `signpost simulate --help`\n"},
		{"simulate --limit refused=1 x", 2, "", "signpost: simulate: --limit: \"refused=1\": write NAME=PERCENT, as in refused=0.1%; see `signpost simulate --help`\n"},
		{"simulate --share europe x", 2, "", "signpost: simulate: --share: \"europe\": write REGION=SHARE with a share of 0 or more, as in europe=3; see `signpost simulate --help`\n"},
		{"simulate --json --listeners 100 --until 00:01 --limit load=0% " + good, 0, "{\n  \"from\": \"00:00\",\n  \"until\": \"00:01\",\n...", ""},
		{"simulate --listeners 100 --until 00:01 --limit late=100% --limit refused=0% " + good, 0, "100 listeners at the most, 00:00 until 00:01, 1 director\n...", ""},

		{"simulate --records nowhere.jsonl " + good, 1, "", "signpost: --records nowhere.jsonl: no such file or directory; name a file of request records\n"},
		{"simulate --records " + good + " " + good, 1, "", "signpost: " + good + ":1: this is no request record: ..."},
		{"simulate --listeners 10 --token-file x " + good, 1, "", "signpost: --token-file is for a running director; give --running or --server, too\n"},
		{"simulate --listeners 10 --server http://127.0.0.1:1 " + good, 1, "", "signpost: " + nobody},

		// Certificates.
		{"certificates --config " + good, 1, "", "signpost: " + good + " gets no certificates from an authority, which are what is kept; see listen.acme\n"},
		{"certificates export", 2, "", "signpost: certificates export: <archive> is missing; see `signpost certificates export --help`\n"},
		{"certificates import nowhere.tar", 1, "", "signpost: nowhere.tar: no such file or directory\n"},
		{"certificates export x -c nowhere.yaml", 1, "", "signpost: configuration: nowhere.yaml: no such file or directory\n"},
		{"certificates exprot", 2, "", "signpost: certificates: there is no command \"exprot\"; did you mean \"export\"?; see `signpost certificates --help`\n"},
		{"certificates --config " + radio, 0, "There is no certificate, and no account.\n", ""},
		{"certificates export " + filepath.Join(dir, "new.tar") + " --config " + radio, 1, "", "signpost: there is no certificate and no account to export\n"},
		{"certificates export " + good + " --config " + radio, 1, "", "signpost: " + good + " is there already, and is not replaced; name another file\n"},
		{"certificates import " + good + " --config " + radio, 1, "", "signpost: this is no archive of certificates, or it is cut short; `signpost certificates export` writes one\n"},
		{"certificates replace x.example --config " + radio, 1, "", "signpost: \"x.example\" is none of listen.acme.names: radio.example\n"},

		// Values.
		{"drain", 2, "", "signpost: drain: <node> is missing; see `signpost drain --help`\n"},
		{"weights set europe", 2, "", "signpost: weights set: <node=weight> ... is missing; see `signpost weights set --help`\n"},
		{"weights set europe fra1", 2, "", "signpost: weights set: <node=weight> ...: \"fra1\": write NODE=WEIGHT with a weight of 0 or more, as in fra1=3; see `signpost weights set --help`\n"},
		{"drain fra1 --for 5", 2, "", "signpost: drain: --for: \"5\" is not a duration; write a number with its unit, such as 30s, 5m or 2h; see `signpost drain --help`\n"},
		{"history -n x", 2, "", "signpost: history: --limit: \"x\" is not a whole number; see `signpost history --help`\n"},
		{"undo x", 2, "", "signpost: undo: <revision>: \"x\" is not a whole number; see `signpost undo --help`\n"},
		{"rules add x --answer foo", 2, "", "signpost: rules add: --answer: \"foo\" is none of redirect, m3u, pls, xspf, asx, proxy, deny, https; see `signpost rules add --help`\n"},
		{"serve --log-level loud", 2, "", "signpost: serve: --log-level: \"loud\" is none of debug, info, warn, error; see `signpost serve --help`\n"},
		{"agent", 2, "", "signpost: agent: --director=URL, --id=STRING, --url=URL must be given; see `signpost agent --help`\n"},
		{"agent --id a --director foo --url x", 1, "", "signpost: --director \"foo\": write the address of a director's operators' side with its scheme, as in http://director1.example:8001\n"},
		{"explain --addr foo /live.mp3", 2, "", "signpost: explain: --addr: \"foo\" is not an IP address; see `signpost explain --help`\n"},
		{"explain --addr 1.2.3.4.5 /live.mp3", 2, "", "signpost: explain: --addr: \"1.2.3.4.5\" is not an IP address; see `signpost explain --help`\n"},
		{"explain --dns a.example --subnet foo", 2, "", "signpost: explain: --subnet: \"foo\" is not a network; write one such as 203.0.113.0/24; see `signpost explain --help`\n"},
		{"explain --addr 192.0.2.1", 1, "", "signpost: what does the listener ask for? Give a mount, such as /live.mp3\n"},
		{"ready foo", 1, "", "signpost: ready: foo/readyz: begin it with http:// or https://; does the director run, and listen there?\n"},
		{"ready http://127.0.0.1:1", 1, "", "signpost: ready: http://127.0.0.1:1/readyz: connection refused; does the director run, and listen there?\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			var out, errOut bytes.Buffer
			code := run(strings.Fields(c.args), strings.NewReader(""), &out, &errOut)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, s := range []struct{ name, got, want string }{{"stdout", out.String(), c.out}, {"stderr", errOut.String(), c.err}} {
				begins, open := strings.CutSuffix(s.want, "...")
				if s.got != s.want && !(open && strings.HasPrefix(s.got, begins)) {
					t.Errorf("%s\n got %s\nwant %s", s.name, s.got, s.want)
				}
				if m := goWords.FindString(s.got); m != "" {
					t.Errorf("%s has %q, which is for programmers: %s", s.name, m, s.got)
				}
			}
		})
	}
}

// goWords are what Go's own errors are known by.
var goWords = regexp.MustCompile(`ParseAddr|ParsePrefix|strconv|unmarshal|dial tcp|listen tcp|path segment|i/o timeout|x509:|tls:|slog:|\bEOF\b|time: |deadline exceeded|<nil>|%!`)

// TestWholeURL: what a listener asks for may be written as the URL that players are given.
func TestWholeURL(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "radio.yaml")
	places := geotest.Database{Layout: geotest.Country, Rows: []geotest.Row{{Prefix: "8.8.8.0/24", Country: "US"}}} // the embedded one takes seconds with the race detector
	if err := os.WriteFile(file, []byte("nodes: [{id: fra1, urls: [\"http://fra1.example:8000\", \"https://fra1.example:8443\"]}]\nmounts: [/live.mp3]\n"+
		"geo: {databases: '"+places.Write(t, filepath.Join(t.TempDir(), "small.mmdb"))+"'}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[string]string{
		"/live.mp3":                     "http://fra1.example:8000/live.mp3",
		"/live.mp3?token=a%20b":         "http://fra1.example:8000/live.mp3?token=a%20b",
		"http://radio.example/live.mp3": "http://fra1.example:8000/live.mp3",
		"https://radio.example:8443/live.mp3?token=a%20b&x": "https://fra1.example:8443/live.mp3?token=a%20b&x",
	} {
		var out, errOut bytes.Buffer
		if code := run([]string{"explain", asked, "--config", file, "--addr", "192.0.2.1"}, strings.NewReader(""), &out, &errOut); code != 0 {
			t.Errorf("%s: %d: %s", asked, code, errOut.String())
		}
		if !strings.Contains(out.String(), "location  "+want+"\n") {
			t.Errorf("%s: not sent to %s:\n%s", asked, want, out.String())
		}
	}
}

// TestOptionsMeanTheSame: an option that takes a value in one command takes one in all,
// which arrange relies upon.
func TestOptionsMeanTheSame(t *testing.T) {
	t.Parallel()
	parser, err := kong.New(new(cli), kong.Name("signpost"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	_ = kong.Visit(parser.Model, func(v kong.Visitable, next kong.Next) error {
		if f, ok := v.(*kong.Flag); ok {
			for _, name := range []string{"--" + f.Name, "-" + string(f.Short)} {
				if was, known := seen[name]; known && was != f.IsBool() && name != "-\x00" {
					t.Errorf("%s takes a value in some commands only", name)
				}
				seen[name] = f.IsBool()
			}
		}
		return next(nil)
	})
	if len(seen) < 20 {
		t.Errorf("only %d options", len(seen))
	}
}
