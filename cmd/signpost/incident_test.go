package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/cmd/signpost/notify"
	"github.com/signpost-fm/signpost/store/redisstore/redistest"
)

// A station passes for Icecast 2.4 with one mount.
type station struct {
	*httptest.Server
	off       atomic.Bool // its source is gone
	listeners atomic.Int64
}

func newStation(t *testing.T) *station {
	t.Helper()
	s := new(station)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/status-json.xsl" && s.off.Load():
			_, _ = fmt.Fprint(w, `{"icestats":{"server_id":"Icecast 2.4.4"}}`)
		case r.URL.Path == "/status-json.xsl":
			_, _ = fmt.Fprintf(w, `{"icestats":{"server_id":"Icecast 2.4.4","source":{"listenurl":"http://%s/live.mp3","listeners":%d,"server_type":"audio/mpeg","bitrate":128}}}`, r.Host, s.listeners.Load())
		case s.off.Load():
			http.NotFound(w, r)
		default:
			w.Header().Set("Content-Type", "audio/mpeg")
			for i := 0; i < 200 && r.Context().Err() == nil && !s.off.Load(); i++ { // the prober leaves sooner
				_, _ = w.Write(bytes.Repeat([]byte{0xff, 0xfb, 0x90, 0x64}, 1000))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(50 * time.Millisecond)
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// posts collects what a webhook is told.
type posts struct {
	mu  sync.Mutex
	all []notify.Event
}

func (p *posts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var e notify.Event
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, e)
}

// find returns the newest event of a kind whose text has some words.
func (p *posts) find(kind notify.Kind, words string) (found notify.Event, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.all {
		if e.Kind == kind && strings.Contains(e.Text, words) {
			found, ok = e, true
		}
	}
	return found, ok
}

// putCertificate makes a certificate for 127.0.0.1 that ends after some time.
func putCertificate(t *testing.T, dir string, left time.Duration) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"radio.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(left)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"key.pem": {Type: "EC PRIVATE KEY", Bytes: keyDER}, "cert.pem": {Type: "CERTIFICATE", Bytes: der}} {
		next := filepath.Join(dir, name+".next")
		if err := os.WriteFile(next, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestIncident is a bad night: a source is lost at one node and then at all, a certificate
// ends, a node is full, and Redis is away. Each is posted, logged, and stands in status and
// on the first page, with its time and the remedy; and what is mended is told too.
func TestIncident(t *testing.T) {
	t.Parallel()
	enough := patience // from when the director knows, by the times that it tells
	if os.Getenv("SIGNPOST_SOAK") != "" {
		enough = 5 * time.Second
	}
	redis := redistest.Start(t, redistest.Options{})
	one, two := newStation(t), newStation(t)
	told := &posts{}
	hook := httptest.NewServer(told)
	t.Cleanup(hook.Close)
	dir := t.TempDir()
	putCertificate(t, dir, 1000*time.Hour)
	var log *os.File
	s := beside(t, fmt.Sprintf("store: {redis: {url: %q}}\nprobe: {interval: 200ms, recheck: 100ms}\nnotify: [{url: %q}]", redis.URL(), hook.URL), func(cmd *exec.Cmd) {
		edit(t, cmd, "shutdown_timeout", fmt.Sprintf("https: ['127.0.0.1:0'], cert_file: %s/cert.pem, key_file: %s/key.pem, public_urls: ['https://radio.example'], shutdown_timeout", dir, dir))
		edit(t, cmd, "nodes: [", fmt.Sprintf("nodes: [{id: fra1, urls: %q, target: 50, limit: 100}, {id: ams1, urls: %q, target: 50, limit: 100}, ", one.URL, two.URL))
		edit(t, cmd, "kind: http", "kind: http, drained: true, internal_url: 'http://127.0.0.1:1'")
		var err error
		if log, err = os.Create(filepath.Join(dir, "log")); err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = log
	})
	s.serves(1)
	for _, c := range []struct {
		kind, over    notify.Kind
		words         string // of the text
		remedy        string
		happens, ends func()
	}{
		{notify.MountLost, notify.MountBack, "node fra1 lacks /live.mp3", "connect its source", func() { one.off.Store(true) }, nil},
		{notify.OffAir, notify.OnAir, "/live.mp3 is off the air", "connect its source", func() { two.off.Store(true) }, func() { one.off.Store(false); two.off.Store(false) }},
		{notify.NodeFull, notify.NodeHasRoom, "node ams1 is full: its limit is 100 listeners", "raise its limit", func() { two.listeners.Store(120) }, func() { two.listeners.Store(3) }},
		{notify.Warning, notify.WarningOver, "the certificate of listen ends at", "renew it", func() { putCertificate(t, dir, 100*time.Hour) }, func() { putCertificate(t, dir, 1000*time.Hour) }},
		{notify.Warning, notify.WarningOver, "edits are refused: ", "start the store again", redis.Kill, func() { redis.Restart() }},
	} {
		c.happens()
		var e notify.Event
		s.await(fmt.Sprintf("%s: %s", c.kind, c.words), func() (ok bool) { e, ok = told.find(c.kind, c.words); return ok })
		if took := e.At.Sub(e.Since); e.Since.IsZero() || took > enough || !strings.Contains(e.Remedy, c.remedy) {
			t.Errorf("posted after %v: %+v, want its time, and %q", took, e, c.remedy)
		}
		// Once it is posted, it is everywhere else.
		since := e.Since.UTC().Format("15:04:05")
		status, err := exec.Command(filepath.Join(built.dir, "signpost"), "status", "--server", "http://"+s.oper).CombinedOutput()
		_, page := s.get(s.oper + "/")
		for where, text := range map[string]string{"status": string(status), "the first page": html.UnescapeString(page)} {
			if !strings.Contains(text, c.words) || !strings.Contains(text, since) || !strings.Contains(text, c.remedy) {
				t.Errorf("%s does not tell %q since %s with %q: %v\n%s", where, c.words, since, c.remedy, err, text)
			}
		}
		var at time.Time
		s.await("the log to tell "+c.words, func() bool {
			said, _ := os.ReadFile(log.Name())
			for line := range strings.Lines(string(said)) {
				stamp, rest, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
				if strings.Contains(rest, c.words) && strings.Contains(rest, "remedy=") && strings.Contains(rest, "since=") {
					at, _ = time.Parse(time.RFC3339, stamp)
				}
			}
			return !at.IsZero()
		})
		if took := at.Sub(e.Since); took > enough {
			t.Errorf("%q was logged after %v", c.words, took)
		}
		if c.ends == nil {
			continue
		}
		c.ends()
		s.await(string(c.over), func() bool { over, ok := told.find(c.over, ""); return ok && !over.At.Before(e.At) })
		s.await("status without "+c.words, func() bool { return !strings.Contains(s.problems(), c.words) })
	}
}
