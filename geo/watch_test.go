package geo

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/proctest"
	"github.com/signpost-fm/signpost/geo/geotest"
)

var watched = netip.MustParseAddr("81.2.69.1")

// saying is a database that has the watched address in a country.
func saying(country string, built int) geotest.Database {
	return geotest.Database{
		Layout: geotest.Country,
		Built:  time.Date(2026, 2, built, 0, 0, 0, 0, time.UTC),
		Rows:   []geotest.Row{{Prefix: "81.2.69.0/24", Country: country}},
	}
}

// watcher is a Locator that runs, and what it logs.
type watcher struct {
	*Locator
	log *proctest.Output
}

// run watches path until the test ends.
func run(t *testing.T, poll time.Duration, path string) watcher {
	t.Helper()
	return runConfig(t, poll, Config{Databases: []string{path}})
}

func runConfig(t *testing.T, poll time.Duration, c Config) watcher {
	t.Helper()
	w := watcher{log: new(proctest.Output)}
	c.Log = slog.New(slog.NewTextHandler(w.log, nil))
	var err error
	w.Locator, err = Open(c)
	if err != nil {
		t.Fatal(err)
	}
	w.settle, w.poll = 20*time.Millisecond, poll
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return w
}

// until waits for a condition, with a deadline for what hangs.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (w watcher) untilCountry(t *testing.T, want string) {
	t.Helper()
	until(t, "the country "+want, func() bool { return w.Locate(watched).Country.String() == want })
}

func (w watcher) untilLogged(t *testing.T, want string) {
	t.Helper()
	until(t, want+" in the log", func() bool { return strings.Contains(w.log.String(), want) })
}

// put renames a complete file over the one at path.
func put(t *testing.T, path string, data []byte) {
	t.Helper()
	whole := filepath.Join(t.TempDir(), "whole")
	overwrite(t, whole, data)
	if err := os.Rename(whole, path); err != nil {
		t.Fatal(err)
	}
}

// overwrite writes in place, which others see as an empty file first.
func overwrite(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A file that is about to be fetched is taken up when it comes; until then the
// embedded database serves.
func TestAwaited(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "geo.mmdb")
	w := runConfig(t, time.Hour, Config{Databases: []string{path}, Awaited: []string{path}})
	w.untilCountry(t, "GB") // as the embedded database has it
	put(t, path, saying("DE", 1).Bytes(t))
	w.untilCountry(t, "DE")
	if s := w.Sources(); len(s) != 1 || s[0].Embedded {
		t.Errorf("sources: %+v", s)
	}
}

// A feed that is replaced is taken up, and one with a mistake is not.
func TestFeedReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "feed.csv")
	overwrite(t, path, []byte("81.2.69.0/24,DE\n"))
	w := runConfig(t, time.Hour, Config{Feeds: []string{path}})
	w.untilCountry(t, "DE")
	put(t, path, []byte("81.2.69.0/24,FR\n"))
	w.untilCountry(t, "FR")
	put(t, path, []byte("81.2.69.0/24,IT\n81.2.69.0/24,ES\n"))
	w.untilLogged(t, "geo feed refused, the old one stays in use")
	w.untilLogged(t, "one of them is wrong")
	w.untilCountry(t, "FR")
}

func TestReplacedByRename(t *testing.T) {
	t.Parallel()
	path := saying("DE", 1).Write(t, filepath.Join(t.TempDir(), "geo.mmdb"))
	w := run(t, time.Hour, path)
	for i, country := range []string{"FR", "AT", "PE"} {
		saying(country, i+2).Write(t, path)
		w.untilCountry(t, country)
		if s := w.Sources(); s[0].Built.Day() != i+2 {
			t.Errorf("source built %v after the replacement of day %d", s[0].Built, i+2)
		}
	}
	w.untilLogged(t, "built=2026-02-04")
	if log := w.log.String(); strings.Count(log, "geo database loaded") != 1 || strings.Count(log, "geo database replaced") != 3 ||
		!strings.Contains(log, "built_before=2026-02-03") {
		t.Errorf("log:\n%s", log)
	}
}

// Kubernetes mounts files as links through ..data, and swaps that link.
func TestReplacedByLinkSwap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, version := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	saying("DE", 1).Write(t, filepath.Join(dir, "v1", "geo.mmdb"))
	saying("FR", 2).Write(t, filepath.Join(dir, "v2", "geo.mmdb"))
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, "tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "tmp"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("v1", "..data")
	link("..data/geo.mmdb", "geo.mmdb")
	w := run(t, time.Hour, filepath.Join(dir, "geo.mmdb"))
	w.untilCountry(t, "DE")
	link("v2", "..data")
	w.untilCountry(t, "FR")
	// The directory behind the link is watched too.
	saying("AT", 3).Write(t, filepath.Join(dir, "v2", "geo.mmdb"))
	w.untilCountry(t, "AT")
}

// On a network file system nobody tells of changes. Here the file is written
// through another name in a directory that is not watched.
func TestReplacedUnnoticed(t *testing.T) {
	t.Parallel()
	elsewhere := saying("DE", 1).Write(t, filepath.Join(t.TempDir(), "geo.mmdb"))
	path := filepath.Join(t.TempDir(), "geo.mmdb")
	if err := os.Link(elsewhere, path); err != nil {
		t.Skip(err)
	}
	w := run(t, 20*time.Millisecond, path)
	for _, country := range []string{"FR", "AT"} { // the first might be found by the look that Run begins with
		overwrite(t, elsewhere, saying(country, 2).Bytes(t))
		w.untilCountry(t, country)
	}
}

// A bad replacement is refused once, the old database answers on, and the next
// change is tried again.
func TestBrokenReplacementRefused(t *testing.T) {
	t.Parallel()
	good := saying("FR", 2).Bytes(t)
	for name, bad := range map[string][]byte{
		"empty":      nil,
		"half":       good[:len(good)/2],
		"web page":   []byte("<html>"),
		"wrong type": geotest.Database{Layout: geotest.AnonymousIP, Rows: []geotest.Row{{Prefix: "81.2.69.0/24"}}}.Bytes(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := saying("DE", 1).Write(t, filepath.Join(t.TempDir(), "geo.mmdb"))
			w := run(t, 20*time.Millisecond, path)
			put(t, path, bad)
			w.untilLogged(t, "refused, the old one stays in use")
			if got := w.Locate(watched).Country.String(); got != "DE" || w.Sources()[0].Built.Day() != 1 {
				t.Errorf("after the refusal: %s, %+v", got, w.Sources())
			}
			put(t, path, good)
			w.untilCountry(t, "FR")
			w.untilLogged(t, "geo database replaced")
			if n := strings.Count(w.log.String(), "refused"); n != 1 || !strings.Contains(w.log.String(), path) {
				t.Errorf("refused %d times, want once:\n%s", n, w.log)
			}
		})
	}
}

func TestRemovedFile(t *testing.T) {
	t.Parallel()
	path := saying("DE", 1).Write(t, filepath.Join(t.TempDir(), "geo.mmdb"))
	w := run(t, 20*time.Millisecond, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w.untilLogged(t, "no such file")
	w.untilCountry(t, "DE")
	saying("FR", 2).Write(t, path)
	w.untilCountry(t, "FR")
	if n := strings.Count(w.log.String(), "refused"); n != 1 {
		t.Errorf("refused %d times, want once:\n%s", n, w.log)
	}
}

// Lookups go on, and see either the old or the new database, while files are
// renamed over, truncated in place and torn.
func TestSwapUnderLookups(t *testing.T) {
	t.Parallel()
	path := saying("DE", 1).Write(t, filepath.Join(t.TempDir(), "geo.mmdb"))
	w := run(t, 10*time.Millisecond, path)
	stop := make(chan struct{})
	var lookups sync.WaitGroup
	for range 2 {
		lookups.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if c := w.Locate(watched).Country; c != code("DE") && c != code("FR") {
					t.Errorf("country %q in between", c)
					return
				}
				if len(w.Sources()) != 1 {
					t.Error("no source in between")
					return
				}
			}
		})
	}
	de, fr := saying("DE", 1).Bytes(t), saying("FR", 2).Bytes(t)
	for range 3 {
		overwrite(t, path, fr)
		w.untilCountry(t, "FR")
		overwrite(t, path, fr[:len(fr)/3])
		saying("DE", 1).Write(t, path)
		w.untilCountry(t, "DE")
		if err := os.Truncate(path, 10); err != nil {
			t.Fatal(err)
		}
		overwrite(t, path, de)
	}
	close(stop)
	lookups.Wait()
}

// A file that changes while it is read is neither used nor refused, and one that
// was just written is left for later.
func TestFileBeingWritten(t *testing.T) {
	t.Parallel()
	path := saying("DE", 1).Write(t, filepath.Join(t.TempDir(), "geo.mmdb"))
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(path, before); err != nil {
		t.Fatal(err)
	}
	for what, data := range map[string][]byte{"shorter": []byte("x"), "longer": make([]byte, before.Size()+1), "empty": nil} {
		overwrite(t, path, data)
		if _, err := read(path, before); !errors.Is(err, errChanging) {
			t.Errorf("%s than before: error %v", what, err)
		}
	}
	f := &file{path: path, tried: before}
	for what, settle := range map[string]time.Duration{"at once": time.Hour, "in the end": 0} {
		if changed, settled := f.look(settle); !changed || settled != (settle == 0) {
			t.Errorf("%s: changed %v, settled %v", what, changed, settled)
		}
	}
	f.since = f.since.Add(-time.Hour)
	if _, settled := f.look(time.Hour); !settled {
		t.Error("not settled after it has looked the same for an hour")
	}
	overwrite(t, path, []byte("other"))
	if _, settled := f.look(time.Hour); settled {
		t.Error("settled although it has changed again")
	}
}

func TestRunWithoutFiles(t *testing.T) {
	t.Parallel()
	l := &Locator{settle: time.Second, poll: time.Minute, log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Error(err)
	}
}
