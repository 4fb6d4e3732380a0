package service

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/notify"
	"github.com/signpost-fm/signpost/web"
)

// TestConfigStatus: what waits for a restart is reckoned from the start, told once, and
// forgotten once it is taken back; a refusal is forgotten with the next good file.
func TestConfigStatus(t *testing.T) {
	t.Parallel()
	var told strings.Builder
	const format = "listen: {http: '127.0.0.1:0'}\nadmin: {listen: ''}\nmounts: [/live.mp3]\nnodes: [{id: one, urls: '%s', kind: http}]\n"
	d := startService(t, t.TempDir(), format, Options{Log: slog.New(slog.NewTextHandler(&told, nil))})
	apply := func(more string) {
		t.Helper()
		s, err := readConfig(t, "radio.yaml", []byte(fmt.Sprintf(format, "http://one.example")+more))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.apply(s); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(when string, restart []string, refused bool) {
		t.Helper()
		s := d.status.Load()
		if diff := cmp.Diff(restart, s.restart); diff != "" || (s.refused != nil) != refused {
			t.Errorf("%s: refused: %v, waiting for a restart (-want +got):\n%s", when, s.refused, diff)
		}
	}
	expect("at the start", nil, false)
	apply("probe: {fall: 3}")
	expect("one change", []string{"probe"}, false)
	apply("probe: {fall: 3}\ngeo: {private: DE}")
	expect("another change, which needs none", []string{"probe"}, false)
	d.refuse(errors.New("no"))
	expect("a mistake", []string{"probe"}, true)
	apply("probe: {fall: 4}\nproxy: {max_listeners: 7}")
	expect("a second change", []string{"probe", "proxy"}, false)
	apply("")
	expect("back to the start", nil, false)
	d.Close() // nobody logs any more
	for _, key := range []string{"key=probe", "key=proxy"} {
		if n := strings.Count(told.String(), key); n != 1 {
			t.Errorf("%s was told %d times:\n%s", key, n, &told)
		}
	}
}

// TestTroubles: the public reads that a file is refused, operators also why.
func TestTroubles(t *testing.T) {
	t.Parallel()
	d := startService(t, t.TempDir(), "listen: {http: '127.0.0.1:0'}\nadmin: {listen: ''}\nmounts: [/live.mp3]\nnodes: [{id: one, urls: '%s', kind: http}]\n", Options{})
	eventually(t, "a director without troubles", func() bool { return len(d.readyz().Reason) == 0 })
	_, err := readConfig(t, "radio.yaml", []byte("a: 1\nb: 2\nc: 3\nd: 4\nnodes: [{id: one, limit: hunter2}]\n"))
	d.refuse(err)
	const text = "the configuration file is refused: the one before stays in force, and a restart would fail"
	got := texts(d)
	if len(got) != 2 || !strings.HasPrefix(got[0], text+": radio.yaml:1:1: unknown key") || !strings.HasSuffix(got[0], "; and 2 more, see the log") {
		t.Errorf("to operators: %q", got)
	}
	if got[1] != forgetful {
		t.Errorf("without a state_dir: %q", got)
	}
	if r := d.readyz(); !r.Degraded || r.Reason != text {
		t.Errorf("ready: %+v", r)
	}
}

// TestReadinessInPart: a wrong password of a node and a refused file of tokens are in
// /readyz until they are mended, without what only operators may read, and degrade nothing.
func TestReadinessInPart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var mended atomic.Bool
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/status-json.xsl":
			_, _ = io.WriteString(w, `{"icestats": {"server_id": "Icecast 2.4.4", "source": {"listenurl": "http://one/live.mp3", "listeners": 1}}}`)
		case r.URL.Path != "/admin/stats":
			_, _ = io.WriteString(w, "audio")
		case mended.Load():
			_, _ = io.WriteString(w, `<icestats><server_id>Icecast 2.4.4</server_id><source mount="/live.mp3"><listeners>1</listeners></source></icestats>`)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(node.Close)
	tokens := filepath.Join(dir, "tokens")
	for name, text := range map[string]string{tokens: fmt.Sprintf("anna operate %x\n", sha256.Sum256([]byte("anna's token"))), filepath.Join(dir, "one.password"): "admin:hunter2\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := startService(t, dir, "listen: {http: '127.0.0.1:0'}\nadmin: {listen: '127.0.0.1:0', tokens_file: tokens}\nmounts: [/live.mp3]\nprobe: {interval: 50ms}\n"+
		"nodes:\n  - {id: two, urls: '%s', kind: http}\n  - {id: one, urls: '"+node.URL+"', credentials_file: one.password}\n", Options{})
	const password = "a node's statistics cannot be read in full"
	eventually(t, "a wrong password is told", func() bool { return d.readyz().Reason == password })
	d.tokens.reload(config.TokenFiles{Tokens: filepath.Join(dir, "one.password")}, d.log)
	if r := d.readyz(); r.Degraded || r.Reason != password+"; the file of tokens is refused, and the one before stays in force" {
		t.Errorf("%+v", r)
	}
	mended.Store(true)
	d.tokens.reload(config.TokenFiles{Tokens: tokens}, d.log)
	eventually(t, "nothing is left to mend", func() bool { return d.readyz().Reason == "" })
}

func texts(d *Service) (all []string) {
	for _, w := range d.warnings() {
		all = append(all, w.Text)
	}
	return all
}

// TestDarkFleetIsDegraded: a fleet in which no node is fit is told, until one is.
// TestReadiness: /readyz says what degrades, in the words for everybody, and what does not
// but has such words, each once.
func TestReadiness(t *testing.T) {
	t.Parallel()
	ends := notify.Condition{Kind: notify.CertificateEnds, Text: "the certificate of node fra1 ends tomorrow", Public: "a node's certificate ends tomorrow"}
	dark := notify.Condition{Kind: notify.OffAir, Text: "/live.mp3 is off the air", Degraded: true}
	full := notify.Condition{Kind: notify.NodeFull, Text: "node fra1 is full"}
	for _, c := range []struct {
		shown []notify.Condition
		want  web.Readiness
	}{
		{nil, web.Readiness{}},
		{[]notify.Condition{full}, web.Readiness{}},
		{[]notify.Condition{ends, ends}, web.Readiness{Reason: "a node's certificate ends tomorrow"}},
		{[]notify.Condition{full, ends}, web.Readiness{Reason: "a node's certificate ends tomorrow"}},
		{[]notify.Condition{dark, ends}, web.Readiness{Degraded: true, Reason: "/live.mp3 is off the air; a node's certificate ends tomorrow"}},
	} {
		if got := readiness(c.shown); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c.shown, got, c.want)
		}
	}
}

func TestDarkFleetIsDegraded(t *testing.T) {
	t.Parallel()
	const format = "listen: {http: '127.0.0.1:0'}\nadmin: {listen: ''}\nmounts: [/live.mp3]\nnodes:\n  - {id: one, urls: '%s', kind: http, drained: true}\n  - {id: dead, urls: 'http://127.0.0.1:1', kind: http}\n"
	d := startService(t, t.TempDir(), format, Options{})
	const dark = "no node is in service: each is down, drained or not yet probed"
	if got := d.readyz(); !got.Degraded || got.Reason != dark {
		t.Errorf("%+v", got)
	}
	url := d.settings.Load().Fleet.Nodes[0].URLs[0]
	s, err := readConfig(t, "radio.yaml", []byte(strings.Replace(fmt.Sprintf(format, url), ", drained: true", "", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.apply(s); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a fit node", func() bool { return !d.readyz().Degraded })
}
