package demonode

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const patience = 2 * time.Minute

func start(t *testing.T, o Options) *Node {
	t.Helper()
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	n := New(o)
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func get(t *testing.T, url string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// TestStream reads the burst and some more: whole frames in order.
func TestStream(t *testing.T) {
	t.Parallel()
	n := start(t, Options{Name: "fra1", Tune: Tunes()[2]})
	resp := get(t, n.URL()+"/live.mp3")
	if resp.Header.Get("Content-Type") != "audio/mpeg" || resp.Header.Get("icy-name") != "Signpost demo: fra1, Bells in A" ||
		resp.Header.Get("icy-metaint") != "" || len(resp.TransferEncoding) > 0 || resp.ContentLength != -1 {
		t.Errorf("head %v, %v, length %d", resp.Header, resp.TransferEncoding, resp.ContentLength)
	}
	got := make([]byte, (burst+20)*frameBytes)
	if _, err := io.ReadFull(resp.Body, got); err != nil {
		t.Fatal(err)
	}
	if !isTune(Tunes()[2], got) {
		t.Error("what came is not the tune from a frame on")
	}
}

// frames returns what is played from one frame to another.
func frames(tune *Tune, from, to int) (all []byte) {
	for i := from; i < to; i++ {
		all = append(all, tune.frame(i)...)
	}
	return all
}

// isTune says whether audio is a part of the tune from some frame on.
func isTune(tune *Tune, audio []byte) bool {
	first := bytes.Index(frames(tune, 0, 2*len(tune.loop)/frameBytes+len(audio)/frameBytes), audio)
	return first >= 0 && first%frameBytes == 0
}

// TestPace has a minute pass: after the burst, a listener gets what the clock says.
func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := New(Options{Name: "fra1"})
		n.began = time.Now()
		ctx, leave := context.WithCancel(t.Context())
		w := &listener{}
		go n.play(w, httptest.NewRequestWithContext(ctx, "GET", "/live.mp3", nil), n.mounts["/live.mp3"])
		for _, after := range []time.Duration{0, pace, time.Minute - pace} {
			time.Sleep(after)
			synctest.Wait()
			got, due := w.heard(), int(time.Since(n.began)/frameTime)
			if !bytes.Equal(got, frames(Tunes()[0], -burst, due)) {
				t.Errorf("after %v: %d frames, want %d", time.Since(n.began), len(got)/frameBytes, burst+due)
			}
		}
		leave()
	})
}

// A listener keeps what it is sent.
type listener struct {
	httptest.ResponseRecorder
	mu    sync.Mutex
	audio []byte
}

func (l *listener) heard() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.audio)
}

func (l *listener) Header() http.Header              { return http.Header{} }
func (l *listener) SetWriteDeadline(time.Time) error { return nil }
func (l *listener) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.audio = append(l.audio, b...)
	return len(b), nil
}

// TestMetadata takes the metadata out again, and finds the same audio and a title.
func TestMetadata(t *testing.T) {
	t.Parallel()
	n := start(t, Options{Name: "it's", Tune: Tunes()[2]})
	resp := get(t, n.URL()+"/live.mp3", "Icy-MetaData", "1")
	if got := resp.Header.Get("icy-metaint"); got != "4000" {
		t.Fatalf("icy-metaint %q", got)
	}
	br := bufio.NewReader(resp.Body)
	var audio, titles []byte
	for range 4 {
		piece := make([]byte, metaint)
		if _, err := io.ReadFull(br, piece); err != nil {
			t.Fatal(err)
		}
		audio = append(audio, piece...)
		units, err := br.ReadByte()
		if err != nil {
			t.Fatal(err)
		}
		block := make([]byte, 16*int(units))
		if _, err := io.ReadFull(br, block); err != nil {
			t.Fatal(err)
		}
		titles = append(titles, strings.TrimRight(string(block), "\x00")...)
	}
	if want := "StreamTitle='it’s - Bells in A, round 1';"; string(titles) != want {
		t.Errorf("metadata %q, want %q, once", titles, want)
	}
	if !isTune(Tunes()[2], audio) {
		t.Error("without the metadata, it is not the tune from a frame on")
	}
}

func TestTitleChanges(t *testing.T) {
	t.Parallel()
	n := New(Options{Name: "fra1", Tune: Tunes()[2]})
	round := len(Tunes()[2].loop) / frameBytes
	for frame, want := range map[int]string{
		-5: "fra1 - Bells in A, round 1", round - 1: "fra1 - Bells in A, round 1", round: "fra1 - Bells in A, round 2",
	} {
		if got := n.title(frame); got != want {
			t.Errorf("at frame %d: %q, want %q", frame, got, want)
		}
	}
	var out strings.Builder
	s := sink{w: recorder{&out}, metadata: true, left: 10}
	for _, title := range []string{"a", "a", "b"} {
		if err := s.write(make([]byte, metaint), title); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.ReplaceAll(out.String(), "\x00", ""); got != "\x01StreamTitle='a';\x01StreamTitle='b';" {
		t.Errorf("metadata %q", got)
	}
}

type recorder struct{ io.Writer }

func (recorder) Header() http.Header { return nil }
func (recorder) WriteHeader(int)     {}

type source struct {
	Listeners int
	Peak      int `json:"listener_peak"`
	ListenURL string
	Name      string `json:"server_name"`
	Type      string `json:"server_type"`
	Title     string
}

func sourceOf(t *testing.T, n *Node) source {
	t.Helper()
	var page struct{ Icestats struct{ Source source } }
	if err := json.NewDecoder(get(t, n.URL()+"/status-json.xsl?mount=/live.mp3").Body).Decode(&page); err != nil {
		t.Fatal(err)
	}
	return page.Icestats.Source
}

func TestListenersAreCounted(t *testing.T) {
	t.Parallel()
	n := start(t, Options{Name: "fra1", Mounts: []string{"/live.mp3", "/b.mp3"}})
	a, b := get(t, n.URL()+"/live.mp3"), get(t, n.URL()+"/live.mp3")
	want := source{Listeners: 2, Peak: 2, ListenURL: n.URL() + "/live.mp3", Name: "Signpost demo: fra1", Type: "audio/mpeg", Title: n.title(0)}
	if diff := cmp.Diff(want, sourceOf(t, n)); diff != "" {
		t.Errorf("two listeners (-want +got):\n%s", diff)
	}
	_, _ = a.Body.Close(), b.Body.Close()
	for deadline := time.Now().Add(patience); ; {
		s := sourceOf(t, n)
		if s.Listeners == 0 && s.Peak == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after both left: %+v", s)
		}
	}
}

func TestStatusShapes(t *testing.T) {
	t.Parallel()
	n := start(t, Options{Mounts: []string{"/b.mp3", "/a.mp3"}})
	for query, want := range map[string]string{"": `[{"genre"`, "?mount=/a.mp3": `{"genre"`, "?mount=/none": ""} {
		body, _ := io.ReadAll(get(t, n.URL()+"/status-json.xsl"+query).Body)
		_, value, _ := strings.Cut(string(body), `"source":`)
		if !json.Valid(body) || !strings.HasPrefix(value, want) || want == "" && value != "" {
			t.Errorf("%q: %s", query, body)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	n := start(t, Options{})
	playlist := get(t, n.URL()+"/live.mp3.m3u")
	if body, _ := io.ReadAll(playlist.Body); string(body) != n.URL()+"/live.mp3\r\n" || playlist.Header.Get("Content-Type") != "audio/x-mpegurl" {
		t.Errorf("playlist %q, %v", body, playlist.Header)
	}
	for _, path := range []string{"/", "/none.mp3", "/none.mp3.m3u"} {
		if resp := get(t, n.URL()+path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

func TestPortIsTaken(t *testing.T) {
	t.Parallel()
	taken := start(t, Options{Name: "a"})
	addr := strings.TrimPrefix(taken.URL(), "http://")
	next := start(t, Options{Name: "b", Addr: addr})
	if next.URL() == taken.URL() {
		t.Error("both have the same port")
	}
	for _, bad := range []string{"", "127.0.0.1", "127.0.0.1:http", "192.0.2.1:8001"} {
		if err := New(Options{Addr: bad}).Start(); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestCloseDropsListeners(t *testing.T) {
	t.Parallel()
	n := start(t, Options{})
	resp := get(t, n.URL()+"/live.mp3")
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the stream ended with %v", err)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL(), "http://")); err == nil {
		_ = conn.Close()
		t.Error("the port still answers")
	}
}
