package fetch

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/geo/geotest"
)

// publisher speaks the protocols of MaxMind and DB-IP, and serves plain files.
type publisher struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte // path -> content
	asked []string
}

const modified = "Mon, 02 Nov 2026 10:00:00 GMT"

func newPublisher(t *testing.T) *publisher {
	p := &publisher{files: map[string][]byte{}}
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the key was sent to another host")
		}
		p.serve(w, r)
	}))
	t.Cleanup(store.Close)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/geoip/") {
			if user, key, _ := r.BasicAuth(); user != "123" || key != "secret" {
				http.Error(w, "Invalid license key", http.StatusUnauthorized)
				return
			}
			if r.URL.Query().Get("suffix") == "tar.gz" && r.Header.Get("If-Modified-Since") != modified {
				// MaxMind leads to a store of another name.
				http.Redirect(w, r, strings.Replace(store.URL, "127.0.0.1", "localhost", 1)+r.URL.Path+"?suffix=tar.gz", http.StatusFound)
				return
			}
		}
		p.serve(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, r.URL.Path)
	if s := r.URL.Query().Get("suffix"); s != "" {
		r.URL.Path += "." + s
	}
	content, ok := p.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	var at time.Time
	if strings.HasPrefix(r.URL.Path, "/geoip/") {
		at, _ = http.ParseTime(modified)
	} else {
		w.Header().Set("ETag", `"`+sum(content)+`"`)
	}
	if r.URL.Query().Get("cut") != "" {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Write(content[:len(content)/2])
		return
	}
	http.ServeContent(w, r, "", at, bytes.NewReader(content))
}

func (p *publisher) put(path string, content []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files[path] = content
}

func packed(content []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(content)
	w.Close()
	return b.Bytes()
}

func archive(name string, content []byte) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct {
		name    string
		content []byte
	}{{"GeoLite2-City_20261102/LICENSE.txt", []byte("licence")}, {"GeoLite2-City_20261102/" + name, content}} {
		w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.content))})
		w.Write(f.content)
	}
	w.Close()
	return packed(b.Bytes())
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func database(t *testing.T, country string) []byte {
	return geotest.Database{Layout: geotest.Country, Rows: []geotest.Row{{Prefix: "81.2.69.0/24", Country: country}}}.Bytes(t)
}

var november = func() time.Time { return time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC) }

// once updates one file and returns what became of it.
func once(t *testing.T, s Source) Result {
	t.Helper()
	return New(Config{Sources: []Source{s}, Every: time.Hour, Now: november}).Update(t.Context())[0]
}

func changed(t *testing.T, r Result, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(r.Source.File); r.Err != nil || !r.Changed || err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s (read: %v); the content is as it should be: %v", r, err, bytes.Equal(got, want))
	}
}

func TestMaxMind(t *testing.T) {
	t.Parallel()
	p, dir := newPublisher(t), t.TempDir()
	account := filepath.Join(dir, "account")
	os.WriteFile(account, []byte("123:secret\n"), 0o600)
	s := Source{File: filepath.Join(dir, "city.mmdb"), MaxMind: "GeoLite2-City", AccountFile: account, Host: p.URL}
	first, second := database(t, "DE"), database(t, "FR")
	publish := func(db []byte) {
		a := archive("GeoLite2-City.mmdb", db)
		p.put("/geoip/databases/GeoLite2-City/download.tar.gz", a)
		p.put("/geoip/databases/GeoLite2-City/download.tar.gz.sha256", []byte(sum(a)+"  GeoLite2-City_20261102.tar.gz\n"))
	}
	publish(first)
	changed(t, once(t, s), first)
	if r := once(t, s); r.Changed || r.Err != nil {
		t.Errorf("the second time: %s", r)
	}
	publish(second)
	os.Remove(memoFile(s)) // what it remembers of the old one, whose date here is the same
	changed(t, once(t, s), second)
	if old, _ := os.ReadFile(s.File + ".old"); !bytes.Equal(old, first) {
		t.Error("the old one was not kept")
	}
	os.WriteFile(account, []byte("123:wrong"), 0o600)
	if r := once(t, s); r.Err == nil || !strings.Contains(r.String(), "check the account, its key") || strings.Contains(r.String(), "wrong") {
		t.Errorf("a wrong key: %s", r)
	}
	os.WriteFile(account, []byte("secret"), 0o600)
	if r := once(t, s); r.Err == nil || !strings.Contains(r.String(), "must hold one line, account:key") {
		t.Errorf("no account: %s", r)
	}
}

// DB-IP has one file a month; at its beginning there may be the last month's only.
func TestDBIP(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	s := Source{File: filepath.Join(t.TempDir(), "dbip.mmdb"), DBIP: "city", Host: p.URL}
	october, now := database(t, "DE"), database(t, "FR")
	if r := once(t, s); r.Err == nil || !strings.Contains(r.String(), "404") {
		t.Errorf("neither month is there: %s", r)
	}
	p.put("/free/dbip-city-lite-2026-10.mmdb.gz", packed(october))
	changed(t, once(t, s), october)
	p.put("/free/dbip-city-lite-2026-11.mmdb.gz", packed(now))
	changed(t, once(t, s), now)
	n := len(p.asked)
	if r := once(t, s); r.Changed || r.Err != nil || len(p.asked) != n {
		t.Errorf("a month's file was asked for again: %s", r)
	}
}

func TestURL(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	db, feed := database(t, "DE"), []byte("192.0.2.0/24,DE,,,\n")
	p.put("/db.mmdb", db)
	p.put("/db.mmdb.gz", packed(db))
	p.put("/db.tar.gz", archive("x.mmdb", db))
	p.put("/db.sha256", []byte(sum(db)+"  db.mmdb\n"))
	p.put("/feed.csv", feed)
	dir := t.TempDir()
	for i, s := range []Source{
		{URL: p.URL + "/db.mmdb", SHA256: p.URL + "/db.sha256"}, {URL: p.URL + "/db.mmdb", SHA256: strings.ToUpper(sum(db))},
		{URL: p.URL + "/db.mmdb.gz"}, {URL: p.URL + "/db.tar.gz"},
	} {
		s.File = filepath.Join(dir, fmt.Sprint(i))
		changed(t, once(t, s), db)
		if r := once(t, s); r.Changed || r.Err != nil {
			t.Errorf("unchanged: %s", r)
		}
	}
	changed(t, once(t, Source{File: filepath.Join(dir, "feed"), Feed: true, URL: p.URL + "/feed.csv"}), feed)
}

// Whatever is wrong with what comes, what was there stays, and one line says why.
func TestBadDownloads(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	good := database(t, "DE")
	p.put("/db.mmdb", good)
	p.put("/db.gz", packed(good)[:100])
	p.put("/page", []byte("<html>please log in</html>"))
	p.put("/feed", []byte("192.0.2.0/24,DE\n192.0.2.0/24,FR\n"))
	p.put("/sum", []byte(strings.Repeat("0", 64)))
	p.put("/none.tar.gz", archive("README", nil))
	for _, c := range []struct {
		source Source
		want   string
	}{
		{Source{URL: p.URL + "/db.mmdb?cut=1"}, "the download broke off after"},
		{Source{URL: p.URL + "/db.gz"}, "unexpected EOF"},
		{Source{URL: p.URL + "/page"}, "is a web page or a message"},
		{Source{URL: p.URL + "/none.tar.gz"}, "no .mmdb file in the archive"},
		{Source{URL: p.URL + "/feed", Feed: true}, "one of them is wrong"},
		{Source{URL: p.URL + "/db.mmdb", SHA256: p.URL + "/sum"}, "and should be 000000"},
		{Source{URL: p.URL + "/db.mmdb", SHA256: strings.Repeat("1", 64)}, "and should be 111111"},
		{Source{URL: p.URL + "/db.mmdb", SHA256: p.URL + "/nothing"}, "checksum: "},
		{Source{URL: p.URL + "/nothing"}, "404 Not Found"},
		{Source{URL: "http://127.0.0.1:1/"}, "connection refused"},
	} {
		dir := t.TempDir()
		c.source.File = filepath.Join(dir, "db.mmdb")
		if err := os.WriteFile(c.source.File, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		r := once(t, c.source)
		line := r.String()
		if r.Err == nil || r.Changed || !strings.Contains(line, c.want) || strings.Contains(line, "\n") || !strings.Contains(line, "what was there stays") {
			t.Errorf("%s: %s, want %q", c.source.URL, line, c.want)
		}
		if b, _ := os.ReadFile(c.source.File); string(b) != "old" {
			t.Errorf("%s: the old file is %q", c.source.URL, b)
		}
		if left, _ := os.ReadDir(dir); len(left) != 1 {
			t.Errorf("%s: left behind: %v", c.source.URL, left)
		}
	}
}

// Run asks at once for what is not there, and then again and again.
func TestRun(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	first, second := database(t, "DE"), database(t, "FR")
	p.put("/db.mmdb", first)
	s := Source{File: filepath.Join(t.TempDir(), "db.mmdb"), URL: p.URL + "/db.mmdb"}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { New(Config{Sources: []Source{s}, Every: time.Millisecond}).Run(ctx); close(done) }()
	defer func() { cancel(); <-done }()
	until := func(want []byte) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; {
			if b, _ := os.ReadFile(s.File); bytes.Equal(b, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("waited a minute in vain for the file")
			}
			time.Sleep(time.Millisecond)
		}
	}
	until(first)
	p.put("/db.mmdb", second)
	until(second)
}
