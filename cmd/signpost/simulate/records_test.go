package simulate

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
)

// recorded is a line of a request record, with further fields.
func recorded(at time.Duration, more string) string {
	return fmt.Sprintf(`{"time":"%s","us":71,"status":302,"method":"GET","path":"/live.mp3","answer":"redirect","outcome":"placed"%s}`,
		time.Date(2026, 11, 29, 20, 0, 0, 0, time.UTC).Add(at).Format(time.RFC3339Nano), more) + "\n"
}

func recordFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "requests.jsonl")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestRecords: what is in a file of records is counted, and lines that are not ours are
// told with their numbers.
func TestRecords(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 30 {
		text.WriteString(recorded(time.Duration(30-i)*time.Second, `,"node":"fra1","region":"europe","country":"DE","client":"203.0.113.0/24","listener":"00000000000000ff"`))
	}
	text.WriteString("\n")
	text.WriteString(`time=2026-11-29T20:00:00Z level=INFO msg="ready"` + "\n")
	text.WriteString(`{"time":"2026-11-29T20:00:00Z","dns":"answered","name":"a.example","resolver":"192.0.2.1","bytes":90}` + "\n")
	text.WriteString(`{"time":"2026-11-29T20:00:00Z","us":5,"status":404,"method":"GET","path":"/favicon.ico","answer":"deny","outcome":"no_mount"}` + "\n")
	text.WriteString(`{"time":"2026-11-29T20:00:00Z","us":5,"status":302,"method":"HEAD","path":"/live.mp3","answer":"redirect","outcome":"placed"}` + "\n")
	text.WriteString(`{"time":"2026-11-29T20:00:00Z","us":"5","status":302}` + "\n")
	text.WriteString(recorded(0, `,"node":"fra1"`)[:90]) // cut when the file was rotated
	name := recordFile(t, text.String())
	r, err := ReadRecords([]string{name}, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		name + `:32: this is no request record: "time=2026-11-29T20:00:00Z level=INFO msg" is no JSON; it is skipped`,
		name + ":36: this is no request record: its us is a string; it is skipped",
		name + `:37: this is no request record: "{\"time\":\"2026-11-29T20:00:00Z\",\"us\":71,\"" is no JSON; it is skipped`,
	}
	if diff := cmp.Diff(want, r.Foreign()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if first, last := r.span(); len(r.requests) != 30 || first != 20*time.Hour+time.Second || last != 20*time.Hour+30*time.Second || len(r.clients) != 1 || len(r.skipped) != 3 {
		t.Errorf("%d requests from %v to %v, of %d networks; skipped %+v", len(r.requests), first, last, len(r.clients), r.skipped)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(text.String())); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	again, err := ReadRecords([]string{recordFile(t, packed.String()), name}, 0)
	if err != nil || len(again.requests) != 60 {
		t.Errorf("compressed, and once more: %d requests, %v", len(again.requests), err)
	}
}

func TestBadRecords(t *testing.T) {
	t.Parallel()
	good := recorded(0, "")
	for text, want := range map[string]string{
		"":                               "FILE: it is empty; give the lines that `signpost serve` writes of requests, and no others",
		"hello\n":                        "FILE:1: this is no request record: \"hello\" is no JSON; 1 of 1 lines are no request records: give the lines that `signpost serve` writes of requests, and no others",
		good + "{}\n" + good:             "FILE:2: this is no request record: it lacks one of time, us, status, method, path and answer; 1 of 3 lines are no request records: give the lines that `signpost serve` writes of requests, and no others",
		good + "[1]\n":                   "FILE:2: this is no request record: ",
		`{"time":"today","us":1}` + "\n": "FILE:1: this is no request record: ",
		`{"time":"2026-11-29T20:00:00Z","us":5,"status":200,"method":"GET","path":"/","answer":"redirect"}`: "FILE: none of 1 record asks for a stream, so there is nothing to play",
		good + strings.Repeat("x", maxRecordLine+1):                                                         "FILE:2: the line is longer than 1 MB, so it is no request record; take it out",
		"\x1f\x8bnonsense": "--records FILE: ",
	} {
		name := recordFile(t, text)
		_, err := ReadRecords([]string{name}, 0)
		if want = strings.ReplaceAll(want, "FILE", name); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.60q:\n got %v\nwant %s", text, err, want)
		}
	}
	if _, err := ReadRecords([]string{"nowhere.jsonl"}, 0); err == nil || err.Error() != "--records nowhere.jsonl: no such file or directory; name a file of request records" {
		t.Error(err)
	}
	name := recordFile(t, strings.Repeat(good, 10_000))
	if _, err := ReadRecords([]string{name}, 100<<10); err == nil || !strings.Contains(err.Error(), "its records need up to 1 MB of memory, and 1 MB are available; give fewer") {
		t.Errorf("too many: %v", err)
	}
}

// replayOf plays records of 400 listeners of Europe, of whom fra1 took all, and 100 of
// elsewhere, against the fleet of plan.
func replayOf(t *testing.T, change func(*Plan)) *Report {
	t.Helper()
	var text strings.Builder
	for i := range 500 {
		at, who := time.Duration(i)*200*time.Millisecond, fmt.Sprintf(`,"listener":"%016x"`, uint64(i+1)*0x9e3779b97f4a7c15)
		if i%5 == 0 {
			text.WriteString(recorded(at, `,"node":"nyc1","region":"world","country":"US","client":"198.51.100.0/24"`+who))
		} else {
			text.WriteString(recorded(at, `,"node":"fra1","region":"europe","country":"DE","client":"203.0.113.0/24"`+who))
		}
	}
	text.WriteString(recorded(99*time.Second, `,"node":"old1","region":"gone","country":"DE","client":"203.0.113.0/24","mount":"/old.mp3"`))
	text.WriteString(recorded(99*time.Second, `,"node":"old1","region":"gone","country":"DE","client":"203.0.113.0/24","listener":"0000000000000001"`))
	p := plan()
	p.LoseSites, p.At, p.For, p.Listeners = nil, -1, 0, 0
	p.Fleet.Regions[0].Row = []director.Weight{{Node: "fra1", Weight: 1, Given: true}}
	for i := range p.Fleet.Nodes {
		p.Fleet.Nodes[i].Target, p.Fleet.Nodes[i].Limit = 1000, 1500
	}
	var err error
	if p.Records, err = ReadRecords([]string{recordFile(t, text.String())}, 0); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&p)
	}
	return played(t, p)
}

// TestReplay: with the same weights all is as it was; with others, each region's listeners
// are where those send them.
func TestReplay(t *testing.T) {
	t.Parallel()
	same := replayOf(t, nil)
	want := []ReplayRegion{
		{ID: "europe", Sent: map[director.NodeID]Compared{"fra1": {400, 401}}},
		{ID: "gone", Sent: map[director.NodeID]Compared{"old1": {1, 0}}},
		{ID: "world", Sent: map[director.NodeID]Compared{"nyc1": {100, 100}}},
	}
	if diff := cmp.Diff(want, same.Replay.Regions); diff != "" || same.Replay.Requests != 501 || len(same.Broken) > 0 {
		t.Errorf("%d requests, broken %v (-want +got):\n%s", same.Replay.Requests, same.Broken, diff)
	}
	for _, n := range same.Replay.Nodes[:2] {
		if n.Most.Was == 0 || n.Most.Would < n.Most.Was*9/10-3 || n.Most.Would > n.Most.Was*11/10+3 {
			t.Errorf("%s held %d at the most, and would have held %d", n.ID, n.Most.Was, n.Most.Would)
		}
	}
	if n := same.Replay.Nodes[2]; n.ID != "old1" || n.Sent != (Compared{1, 0}) {
		t.Errorf("a node that is gone: %+v", n)
	}
	half := replayOf(t, func(p *Plan) {
		p.Fleet.Regions[0].Row = []director.Weight{{Node: "fra1", Weight: 1, Given: true}, {Node: "nyc1", Weight: 1, Given: true}}
	})
	if sent := half.Replay.Regions[0].Sent; sent["fra1"].Was != 400 || sent["fra1"].Would < 150 || sent["nyc1"].Would < 150 || sent["nyc1"].Was != 0 {
		t.Errorf("with equal weights: %+v", sent)
	}
	if want, got := replayOf(t, nil).Hash, same.Hash; want != got {
		t.Errorf("the same records are history %s, then %s", got, want)
	}
	var b strings.Builder
	half.Print(&b)
	for _, want := range []string{"501 requests of ", ", as it was and as it would have been:\n", "\neurope  fra1  400   100 %  ", "note: the records are those of 2026-11-29; times are UTC", "note: not played: 1 request for mounts that the file does not have: /old.mp3\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report has no %q:\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := half.HTML(&b, Plotting{}); err != nil || !strings.Contains(b.String(), "As it was, and as it would have been") || !strings.Contains(b.String(), `"was":{"fra1":[`) {
		t.Errorf("the page: %v", err)
	}
}

// TestReplayPlaces: listeners are where today's databases have them, and by distance where
// no region has a row.
func TestReplayPlaces(t *testing.T) {
	t.Parallel()
	r := replayOf(t, func(p *Plan) {
		p.Locate = func(a netip.Addr) director.Place {
			if a == netip.MustParseAddr("203.0.113.0") {
				return director.Place{Country: director.Code{'U', 'S'}, Continent: director.Code{'N', 'A'}}
			}
			return director.Place{}
		}
	})
	if sent := r.Regions; len(sent) != 1 || sent[0].ID != "world" {
		t.Errorf("all are in America: %+v", sent)
	}
	r = replayOf(t, func(p *Plan) { p.Fleet.Regions = nil })
	if len(r.Regions) != 1 || r.Regions[0].ID != "" || r.Answers.Requests < 501 {
		t.Errorf("without regions: %+v", r.Regions)
	}
}

// TestReplayLoses: yesterday's listeners, with a site lost in the middle.
func TestReplayLoses(t *testing.T) {
	t.Parallel()
	r := replayOf(t, func(p *Plan) { p.LoseSites, p.At = []string{"fra"}, 20*time.Hour+time.Minute })
	if sent := r.Replay.Regions[0].Sent; sent["nyc1"].Would < 100 || sent["fra1"].Would > 300 {
		t.Errorf("with fra lost: %+v", sent)
	}
}

// TestBadReplays: what records do not go together with.
func TestBadReplays(t *testing.T) {
	t.Parallel()
	records, err := ReadRecords([]string{recordFile(t, recorded(0, ""))}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(*Plan)
		want   string
	}{
		{func(p *Plan) { p.Listeners = 5 }, "--records has the listeners, when they come and from where; leave out --listeners, --day and --share"},
		{func(p *Plan) { p.From, p.Until = 21*time.Hour, 22*time.Hour }, "no request of the records from 21:00 until 22:00 asks for a mount of the file"},
		{func(p *Plan) { p.Fleet.Mounts = p.Fleet.Mounts[1:]; p.Fleet.Regions[1].Deny = nil }, "no request of the records from 20:00 until 20:01 asks for a mount of the file"},
	} {
		p := plan()
		p.LoseSites, p.At, p.For, p.Listeners, p.Records = nil, -1, 0, 0, records
		c.change(&p)
		if _, err := p.Play(); err == nil || err.Error() != c.want {
			t.Errorf("\n got %v\nwant %s", err, c.want)
		}
	}
}
