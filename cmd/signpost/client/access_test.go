package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// file writes a file and returns its name.
func file(t *testing.T, dir, name, content string) string {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// calledWith is a terminal with this environment.
func calledWith(vars map[string]string) *Terminal {
	return &Terminal{Getenv: func(name string) string { return vars[name] }}
}

func TestWhereServerAndTokenComeFrom(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	client := file(t, home, ".config/signpost/client.yaml", "server: [http://f1.example:8001/, http://f2.example:8001]\ntoken_file: mine\n")
	mine := file(t, home, ".config/signpost/mine", "from-file\n")
	flagged := file(t, home, "flagged", "from-flag")
	named := file(t, home, "named", " from-env-file ")
	type want struct {
		URLs                      []string
		Token, ServersBy, TokenBy string
	}
	const byDefault = "the address is the default; --server gives another, or SIGNPOST_SERVER, or server in client.yaml"
	all := map[string]string{"HOME": home, "SIGNPOST_SERVER": "http://e1.example, https://e2.example", "SIGNPOST_TOKEN": "from-env", "SIGNPOST_TOKEN_FILE": named}
	for _, c := range []struct {
		name  string
		flags Access
		env   map[string]string
		want  want
	}{
		{"nothing", Access{}, nil, want{[]string{"http://127.0.0.1:8001"}, "", byDefault, ""}},
		{"the file", Access{}, map[string]string{"HOME": home}, want{[]string{"http://f1.example:8001", "http://f2.example:8001"}, "from-file", "the address is from " + client, mine + " (" + client + ")"}},
		{"the file elsewhere", Access{}, map[string]string{"XDG_CONFIG_HOME": filepath.Join(home, ".config"), "HOME": "/nowhere"}, want{[]string{"http://f1.example:8001", "http://f2.example:8001"}, "from-file", "the address is from " + client, mine + " (" + client + ")"}},
		{"the environment", Access{}, all, want{[]string{"http://e1.example", "https://e2.example"}, "from-env", "the address is from SIGNPOST_SERVER", "SIGNPOST_TOKEN"}},
		{"a file of the environment", Access{}, map[string]string{"SIGNPOST_TOKEN_FILE": named}, want{[]string{"http://127.0.0.1:8001"}, "from-env-file", byDefault, named + " (SIGNPOST_TOKEN_FILE)"}},
		{"flags", Access{Server: []string{"http://d.example:1"}, TokenFile: flagged}, all, want{[]string{"http://d.example:1"}, "from-flag", "the address is from --server", flagged + " (--token-file)"}},
	} {
		s, err := c.flags.Open(calledWith(c.env))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, want{s.URLs, s.Token, s.serversBy, s.tokenBy}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestBadAccess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		file  string
		flags Access
		env   map[string]string
		want  string
	}{
		{name: "a URL without scheme in the file", file: "server: [localhost:8001]", want: `client.yaml: "localhost:8001": write the address`},
		{name: "an unknown key in the file", file: "server: []\ntokn: two words\n", want: "client.yaml:2:1: "},
		{name: "in the environment", env: map[string]string{"SIGNPOST_SERVER": "director1"}, want: `SIGNPOST_SERVER: "director1": write`},
		{name: "in a flag", flags: Access{Server: []string{"ftp://a"}}, want: `--server: "ftp://a": write`},
		{name: "no token file", file: "token_file: missing", want: "missing: no such file"},
		{name: "an empty token file", flags: Access{TokenFile: "/dev/null"}, want: "--token-file: /dev/null holds no token"},
		{name: "two words", env: map[string]string{"SIGNPOST_TOKEN": "two words"}, want: "SIGNPOST_TOKEN does not hold one token"},
	} {
		home := t.TempDir()
		vars := map[string]string{"HOME": home}
		for k, v := range c.env {
			vars[k] = v
		}
		if c.file != "" {
			file(t, home, ".config/signpost/client.yaml", c.file)
		}
		_, err := c.flags.Open(calledWith(vars))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "two words") {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}
