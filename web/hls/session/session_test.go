package session

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

var epoch = time.Unix(1_800_000_000, 0)

func TestToken(t *testing.T) {
	t.Parallel()
	keys := NewKeys([]byte("a secret of some length"))
	longest := director.NodeID(strings.Repeat("n", maxNodeID))
	for _, want := range []Token{
		{ID: 1, Node: "fra1", At: epoch},
		{ID: 1<<64 - 1, Node: longest, At: epoch.Add(time.Second), By: 0xffffff, Moved: true, Roams: true, Slow: MostSlow},
		{ID: 7, Node: "a.b-c_d", At: epoch, By: 5, Roams: true, Slow: 2},
	} {
		text := string(keys.Append(nil, "/live.m3u8", want))
		if len(text) > MaxToken || strings.ContainsAny(text, "+/=%&? ") {
			t.Errorf("%d characters, or to be escaped: %s", len(text), text)
		}
		got, ok := keys.Parse("/live.m3u8", text)
		if !ok || got != want {
			t.Errorf("%+v became %+v, %v", want, got, ok)
		}
		for what, other := range map[string]string{
			"another mount's":   string(keys.Append(nil, "/other.m3u8", want)),
			"another secret's":  string(NewKeys([]byte("another secret")).Append(nil, "/live.m3u8", want)),
			"with another node": text + "x", "cut": text[:len(text)-1], "empty": "", "a dot": ".", "without a node": text[:33],
			"with a character changed": strings.Map(func(r rune) rune {
				if r == rune(text[0]) {
					return '-'
				}
				return r
			}, text),
			"too long": text + strings.Repeat("n", maxNodeID),
		} {
			if _, ok := keys.Parse("/live.m3u8", other); ok {
				t.Errorf("a token %s is taken: %s", what, other)
			}
		}
	}
	// What is signed is kept apart: the node's end is not the mount's beginning.
	a := string(keys.Append(nil, "c/live.m3u8", Token{Node: "ab"}))
	if _, ok := keys.Parse("bc/live.m3u8", strings.TrimSuffix(a, "b")); ok {
		t.Error("a letter went from the node to the mount")
	}
}

func FuzzToken(f *testing.F) {
	keys := NewKeys([]byte("secret"))
	f.Add("/live.m3u8", string(keys.Append(nil, "/live.m3u8", Token{ID: 1, Node: "fra1", At: epoch})))
	f.Fuzz(func(t *testing.T, mount, text string) {
		if got, ok := keys.Parse(mount, text); ok && string(keys.Append(nil, mount, got)) != text {
			t.Errorf("%q was taken, and is not what was signed", text)
		}
	})
}

func TestTable(t *testing.T) {
	t.Parallel()
	var table Table
	for id := range uint64(1000) {
		node := director.NodeID("fra1")
		if id%4 == 0 {
			node = "ber1"
		}
		table.Seen(id, node, "/live.m3u8", epoch.Add(30*time.Second))
	}
	table.Seen(5, "ber1", "/live.m3u8", epoch.Add(50*time.Second))
	count := func(after time.Duration, node director.NodeID) int {
		return table.Count(epoch.Add(after))[node]["/live.m3u8"]
	}
	if fra, ber := count(20*time.Second, "fra1"), count(20*time.Second, "ber1"); fra != 749 || ber != 251 {
		t.Errorf("one has moved: %d and %d", fra, ber)
	}
	if fra, ber := count(31*time.Second, "fra1"), count(31*time.Second, "ber1"); fra != 0 || ber != 1 {
		t.Errorf("all but one were silent for too long: %d and %d", fra, ber)
	}
	for id := range uint64(most + 10) {
		table.Seen(id, "fra1", "/live.m3u8", epoch)
	}
	if n := table.Excess(); n < 9 || n > 10 {
		t.Errorf("%d were not counted", n)
	}
	if a, b := Lease(10*time.Second, false), Lease(10*time.Second, true); a != 30*time.Second || b >= 15*time.Second || b <= 10*time.Second {
		t.Errorf("leases %v and %v", a, b)
	}
}

// TestAllocates: a token is read and written without allocating, and so is a seat that is
// known.
func TestAllocates(t *testing.T) {
	keys, table := NewKeys([]byte("secret")), Table{}
	text := string(keys.Append(nil, "/live.m3u8", Token{ID: 1, Node: "fra1", At: epoch}))
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		token, _ := keys.Parse("/live.m3u8", text)
		table.Seen(token.ID, token.Node, "/live.m3u8", token.At)
		buf = keys.Append(buf[:0], "/live.m3u8", token)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestMoves(t *testing.T) {
	t.Parallel()
	var moves Moves
	begin := epoch.Truncate(moveStep)
	for range 3 {
		moves.Add("fra1", "/live.m3u8", director.MovesOut, begin)
	}
	moves.Add("fra1", "/live.m3u8", director.Flees, begin.Add(30*time.Second))
	moves.Add("ber1", "/talk.mpd", director.MovesTo, begin.Add(40*time.Second))
	type counts = map[director.NodeID]map[string]map[string]int
	fra := func(n map[string]int) counts {
		return counts{"fra1": {"/live.m3u8": n}, "ber1": {"/talk.mpd": {"weights": 1}}}
	}
	for after, want := range map[time.Duration]counts{
		59 * time.Second: fra(map[string]int{"drained": 3, "failed": 1}),
		60 * time.Second: fra(map[string]int{"failed": 1}),
		95 * time.Second: {"ber1": {"/talk.mpd": {"weights": 1}}},
		2 * time.Minute:  {},
	} {
		// Each moment by a table of its own: counting forgets.
		var at Moves
		at.all = map[away]*lastMinute{}
		for k, v := range moves.all {
			same := *v
			at.all[k] = &same
		}
		if got := at.Count(begin.Add(after)); !reflect.DeepEqual(got, want) {
			t.Errorf("after %v: %v, want %v", after, got, want)
		}
	}
	if moves.Count(begin.Add(time.Hour)); len(moves.all) != 0 {
		t.Errorf("%d are kept for ever", len(moves.all))
	}
}
