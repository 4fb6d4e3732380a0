package redisstore_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
	"github.com/signpost-fm/signpost/store/redisstore"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

// logged is a handle and what it logs.
func logged(t *testing.T, c redisstore.Config) (*redisstore.Store, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer // its one user is this test, through Sync
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	return open(t, c), &log
}

// wantProblem checks that there is exactly one problem, with the key, told once
// in the log however often it is met.
func wantProblem(t *testing.T, s *redisstore.Store, log *bytes.Buffer, key, detail string) {
	t.Helper()
	for range 3 {
		sync(t, s, offer("a"))
	}
	p := s.Problems()
	if len(p) != 1 || p[0].Key != key || !strings.Contains(p[0].Detail, detail) || p[0].Since.IsZero() {
		t.Errorf("problems are %+v; want one with key %q and %q in it", p, key, detail)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("logged %d warnings, want 1:\n%s", n, log)
	}
}

// TestRubbish puts rubbish where other directors write. It is told once, and
// what is sound around it counts.
func TestRubbish(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	tests := []struct {
		name        string
		args        []any // of HSET, but for the prefix
		key, detail string
		live        int // directors that are seen
	}{
		{"no record", []any{"directors", "x", "hello"}, "directors x", "no record of a director", 2},
		{"binary", []any{"directors", "x", "\x00\xff"}, "directors x", "no record of a director", 2},
		{"numbers out of range", []any{"directors", "x", "1 1 " + strings.Repeat("9", 400) + " {}"}, "directors x", "no record", 2},
		{"more changes than there can be", []any{"directors", "x", "1 1 9999999 {}"}, "directors x", "no record", 2},
		{"backwards", []any{"directors", "x", "1 2 1 {}"}, "directors x", "no record", 2},
		{"a change is missing", []any{"directors", "x", "9999999999999999 5 6 {}"}, "changes x", "is missing", 3},
		{"a description that is no JSON", []any{"directors", "b", ""}, "changes b", "what it says of itself", 2},
		{"a change that is no JSON", []any{"changes", "", `{"counts":[{"at"`}, "changes b", "cannot be read", 2},
		{"a change that is not packed", []any{"changes", "", "\x1f\x8b\x08rubbish"}, "changes b", "cannot be read", 2},
		{"a change of another type", []any{"changes", "", `{"counts":{"n1":"many"}}`}, "changes b", "cannot be read", 2},
	}
	for i, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := redisstore.Config{URL: server.URL(), Prefix: fmt.Sprint("rubbish", i)}
			tag := "{" + c.Prefix + "}:"
			b := offer("b")
			b.Counts = []store.Count{{Node: "n1", At: day, N: 4}}
			other := open(t, c)
			sync(t, other, b)
			record := server.Do("HGET", tag+"directors", "b").(string)
			var seen, first, last int64
			if _, err := fmt.Sscan(record, &seen, &first, &last); err != nil {
				t.Fatal(err)
			}
			field := tc.args[1]
			switch field {
			case "": // b's change
				field = fmt.Sprint(last, " b")
			case "b":
				tc.args[2] = fmt.Sprint(seen, first, last, " no JSON")
			}
			server.Do("HSET", tag+tc.args[0].(string), field, tc.args[2])

			s, log := logged(t, c)
			wantProblem(t, s, log, tag+tc.key, tc.detail)
			p := sync(t, s, offer("a"))
			if len(p.Directors) != tc.live {
				t.Errorf("%d directors are live, want %d", len(p.Directors), tc.live)
			}
			if got := len(p.Counts["b"]); field != fmt.Sprint(last, " b") && got != 1 {
				t.Errorf("%d counts of the other director, want 1", got)
			}
			// b goes on, and sends all anew sooner or later.
			for n := range 200 {
				b.Counts[0].N = n
				b.Counts = append([]store.Count{}, b.Counts...)
				sync(t, other, b)
			}
			if p := sync(t, s, offer("a")); p.Counts["b"][0].N != 199 {
				t.Errorf("later counts of the other director are %v", p.Counts["b"])
			}
			if tc.live == 3 || strings.HasPrefix(tc.key, "directors") {
				server.Do("HDEL", tag+"directors", "x")
			}
			sync(t, s, offer("a"))
			if p := s.Problems(); len(p) != 0 {
				t.Errorf("mended, and problems are still %+v", p)
			}
			if !strings.Contains(log.String(), "as it should be again") {
				t.Errorf("that it is mended is not logged:\n%s", log)
			}
		})
	}
}

func TestUnreadableOverlay(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	tests := []struct {
		name   string
		fields []any
		detail string
	}{
		{"truncated", []any{"document", `{"schema":1,"revision":1,"no`}, "cannot be read"},
		{"not of signpost", []any{"document", `{"hello":1}`}, "not written by signpost"},
		{"two revisions", []any{"revision", "7"}, "its revision is 1 inside"},
		{"no number", []any{"revision", "nan"}, "its revision is 1 inside"},
		{"too large", []any{"document", strings.Repeat(" ", 5<<20)}, "has no document, or one of more than"},
	}
	for i, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := redisstore.Config{URL: server.URL(), Prefix: fmt.Sprint("unreadable", i)}
			key := "{" + c.Prefix + "}:overlay"
			held := note(1, "held")
			holder := open(t, c)
			sync(t, holder, copyOf("b", held))
			spoil := func() {
				server.Do(append([]any{"HSET", key}, tc.fields...)...)
			}
			spoil()
			s, log := logged(t, c)
			wantProblem(t, s, log, key, tc.detail)

			if p := sync(t, holder, copyOf("b", held)); p.Overlay.Revision != 1 {
				t.Errorf("the holder of a copy sees revision %d", p.Overlay.Revision)
			}
			if diff := cmp.Diff(held, sync(t, s, offer("a")).Overlay); diff != "" {
				t.Errorf("the holder of a copy has not mended it (-want +got):\n%s", diff)
			}
			if server.Do("EXISTS", key+"-unreadable") != int64(1) || server.Do("TTL", key+"-unreadable").(int64) < 1000 {
				t.Error("the unreadable one is not set aside")
			}

			// Nobody holds a copy: an edit of the empty overlay replaces it.
			spoil()
			sync(t, s, offer("a"))
			if rev, err := s.Edit(t.Context(), 0, note(0, "new")); err != nil || rev != 1 {
				t.Errorf("Edit: %d, %v", rev, err)
			}
			if diff := cmp.Diff(note(1, "new"), sync(t, s, offer("a")).Overlay); diff != "" {
				t.Errorf("overlay after the edit (-want +got):\n%s", diff)
			}
			if p := s.Problems(); len(p) != 0 {
				t.Errorf("mended, and problems are still %+v", p)
			}
		})
	}
}

// TestNewerOverlay: nobody writes over what only a newer Signpost understands.
func TestNewerOverlay(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	const key, document = "{signpost}:overlay", `{"schema":2,"revision":3,"rows":["other form"]}`
	server.Do("HSET", key, "revision", 3, "sha1", "x", "document", document)
	s, log := logged(t, redisstore.Config{URL: server.URL()})
	wantProblem(t, s, log, key, "a newer signpost wrote them; upgrade this one")
	held := note(9, "held")
	if diff := cmp.Diff(held, sync(t, s, copyOf("a", held)).Overlay); diff != "" {
		t.Errorf("a director does not keep its copy meanwhile (-want +got):\n%s", diff)
	}
	if _, err := s.Edit(t.Context(), 3, note(0, "x")); !errors.Is(err, store.ErrAway) || !strings.Contains(fmt.Sprint(err), "upgrade") {
		t.Errorf("Edit: %v; want ErrAway, and to upgrade", err)
	}
	if got := server.Do("HGET", key, "document"); got != document {
		t.Errorf("the document is now %v", got)
	}
}

func TestFieldsOfANewerSignpost(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	now := time.Now().Add(time.Hour).UnixMicro() // another server's clock, before a failover
	server.Do("HSET", "{signpost}:directors", "new", fmt.Sprintf(`%d 1 2 {"id":"new","site":"fra","config":"c","mood":"good"}`, now))
	server.Do("HSET", "{signpost}:changes", "1 new", `{"reports":[{"node":"n1","by":"new","taken":"2026-03-01T12:00:00Z","health":"dreaming","colour":7}],"moods":[1]}`,
		"2 new", `{"counts":[{"at":"2026-03-01T12:00:00Z","n":{"n1":3},"why":"x"}]}`)
	s := open(t, redisstore.Config{URL: server.URL()})
	p := sync(t, s, offer("a"))
	if len(p.Directors) != 2 || p.Directors[1].Site != "fra" || !p.Directors[1].Seen.Equal(p.Now) {
		t.Errorf("directors are %+v", p.Directors)
	}
	want := map[string][]store.Count{"new": {{Node: "n1", At: day, N: 3}}}
	if diff := cmp.Diff(want, p.Counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if len(p.Reports) != 1 || p.Reports[0].Health != director.HealthUnknown {
		t.Errorf("reports are %+v", p.Reports)
	}
	if p := s.Problems(); len(p) != 0 {
		t.Errorf("problems are %+v", p)
	}
}

func TestSchemas(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	const key = "{signpost}:schema"
	s, log := logged(t, redisstore.Config{URL: server.URL()})
	held := note(1, "held")
	sync(t, s, copyOf("a", held))
	if got := server.Do("GET", key); got != fmt.Sprint(redisstore.Schema) {
		t.Errorf("the schema is kept as %v", got)
	}
	// The values in it that are no schema are replaced, and told.
	for _, old := range []string{"0", "nan", "-3", "soup"} {
		log.Reset()
		server.Do("SET", key, old)
		sync(t, s, copyOf("a", held))
		if p := s.Problems(); len(p) != 1 || p[0].Key != key {
			t.Errorf("schema %s: problems are %+v", old, p)
		}
		sync(t, s, copyOf("a", held))
		if p := s.Problems(); len(p) != 0 || server.Do("GET", key) != fmt.Sprint(redisstore.Schema) {
			t.Errorf("schema %s: problems are still %+v", old, p)
		}
	}
	// A newer one: nothing is written, and what can be read is.
	log.Reset()
	server.Do("SET", key, "2")
	before := []any{server.Do("HGETALL", "{signpost}:directors"), server.Do("HGETALL", "{signpost}:changes")}
	wantProblem(t, s, log, key, "upgrade it")
	o := copyOf("a", note(5, "not for the store"))
	o.Counts = []store.Count{{Node: "n1", At: day, N: 1}}
	if p := sync(t, s, o); p.Overlay.Revision != 1 || len(p.Directors) != 1 || len(p.Counts["a"]) != 1 {
		t.Errorf("picture is %+v", p)
	}
	if _, err := s.Edit(t.Context(), 1, note(0, "x")); !errors.Is(err, store.ErrAway) || !strings.Contains(fmt.Sprint(err), "upgrade") {
		t.Errorf("Edit: %v; want ErrAway, and to upgrade", err)
	}
	after := []any{server.Do("HGETALL", "{signpost}:directors"), server.Do("HGETALL", "{signpost}:changes")}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("a newer schema was written to (-before +after):\n%s", diff)
	}
	server.Do("SET", key, "1")
	if p := sync(t, s, o); p.Overlay.Revision != 5 {
		t.Errorf("revision %d once it may write again, want 5", p.Overlay.Revision)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	s := open(t, redisstore.Config{URL: server.URL()})
	large := note(0, strings.Repeat("x", 5<<20))
	if _, err := s.Edit(t.Context(), 0, large); err == nil || errors.Is(err, store.ErrAway) || !strings.Contains(err.Error(), "take back those") {
		t.Errorf("Edit of 5 MB: %v", err)
	}
	broken := note(0, "x")
	broken.Rules = []store.Rule{{ID: "r", Rule: json.RawMessage("{"), Stamp: store.Stamp{By: "anna", At: day}}}
	if _, err := s.Edit(t.Context(), 0, broken); err == nil || errors.Is(err, store.ErrAway) {
		t.Errorf("Edit of what is no JSON: %v", err)
	}
	o := offer("a")
	o.Reports = []*director.Report{{Node: "n1", Taken: time.Date(99999, 1, 1, 0, 0, 0, 0, time.UTC)}}
	if _, err := s.Sync(t.Context(), o); err == nil || errors.Is(err, store.ErrAway) {
		t.Errorf("Sync of a time that JSON cannot hold: %v", err)
	}
}
