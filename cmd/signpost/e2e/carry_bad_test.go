package e2e

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/director/probe/probetest"
)

// A node that is up, by all that it tells, and does not play: the listener gets the
// next one, and the operator is told what it did.
func TestInlineNodeDoesNotPlay(t *testing.T) {
	t.Parallel()
	good := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3"}}})
	const ok, mpeg = "HTTP/1.0 200 OK\r\n", "Content-Type: audio/mpeg\r\n"
	noise := make([]byte, 200<<10)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	cases := map[string]struct {
		says   string // to who wants the stream; "{self}" is the URL that is asked for
		why    string
		detail string
	}{
		"a page":                       {ok + "Content-Type: text/html\r\n\r\n<html>Sign in to this hotel's network</html>", "not_audio", "text/html"},
		"a page, said to be audio":     {ok + mpeg + "\r\n<!DOCTYPE html><html></html>", "not_audio", "a page"},
		"another type":                 {ok + "Content-Type: application/pdf\r\n\r\n%PDF", "not_audio", "application/pdf"},
		"an endless head":              {ok + strings.Repeat("X-More: of the same\r\n", 10_000), "header", "longer than"},
		"a metaint that lies":          {ok + mpeg + "icy-metaint: 1000\r\n\r\n" + string(noise), "metadata", "no metadata where"},
		"gzip":                         {ok + mpeg + "Content-Encoding: gzip\r\n\r\n\x1f\x8b", "not_audio", "gzip"},
		"a redirect to itself":         {"HTTP/1.0 302 Found\r\nLocation: {self}\r\n\r\n", "redirect", "itself"},
		"a redirect to another fleet":  {"HTTP/1.0 302 Found\r\nLocation: http://radio.invalid/live.mp3\r\n\r\n", "redirect", "no node of the fleet"},
		"random bytes":                 {ok + mpeg + "\r\n" + string(noise), "not_audio", "64 KB without a frame"},
		"random bytes, and no head":    {string(noise), "header", ""},
		"frames of bitrate 0 (free)":   {ok + mpeg + "\r\n" + strings.Repeat("\xff\xfb\x00\x64"+strings.Repeat("\x00", 413), 200), "not_audio", "64 KB without a frame"},
		"an icy-br of 0, and no sound": {ok + mpeg + "icy-br: 0\r\n\r\n", "ended", "EOF"},
	}
	names := slices.Sorted(maps.Keys(cases))
	says, config := map[string]string{}, ""
	for i, name := range names {
		path := fmt.Sprintf("/bad%d.mp3", i)
		says[path] = cases[name].says
		config += "'" + path + "': /live.mp3, "
	}
	mounts := "'" + strings.Join(slices.Collect(maps.Keys(says)), "', '") + "'"
	s := directFile(t, fmt.Sprintf("listen: {http: ['127.0.0.1:0'], max_per_key: 0, max_per_address: 0}\nadmin: {listen: '127.0.0.1:0'}\n%s"+
		"mounts: [%s]\nnodes:\n  - {id: n1, urls: ['%s']}\n  - {id: n2, urls: ['%s'], paths: {%s}}\n"+
		"regions:\n  - {id: first, match: default, weights: {n1: 1}, overflow: [second]}\n  - {id: second, weights: {n2: 1}}\n%s",
		quickProbes, mounts, liar(t, says), good.URL(), config, inline))
	failures := map[string]int{}
	for i, name := range names {
		failures[cases[name].why]++
		path := fmt.Sprintf("/bad%d.mp3", i)
		t.Run(name, func(t *testing.T) {
			bad := cases[name]
			resp := s.get(path, "", "synthetic listener")
			defer resp.Body.Close()
			if n, err := io.CopyN(io.Discard, resp.Body, 20_000); err != nil || resp.Header.Get("icy-name") != "Signpost test /live.mp3" {
				t.Errorf("the listener got %d bytes, %v, with %v", n, err, resp.Header)
			}
			explained := strings.Join(strings.Fields(s.adminBody("/api/v1/explain?addr=203.0.113.9&mount="+path)), "")
			if !strings.Contains(explained, `"failing":[{"node":"n1","why":"`+bad.why+`","detail":"GET`) {
				t.Errorf("explain does not say that n1 did not play: %s", explained)
			}
			said := regexp.MustCompile(`does not play for inline listeners" part=proxy mount=` + path + ` node=n1 why=` + bad.why + ` detail="GET .*` + bad.detail)
			s.eventually(patience, "the log says "+said.String(), func() bool { return said.MatchString(s.log.String()) })
		})
	}
	for why, n := range failures {
		if want := fmt.Sprintf(`signpost_inline_node_failures_total{why=%q} %d`, why, n); !strings.Contains(s.metrics(), want) {
			t.Errorf("metrics do not say %s", want)
		}
	}
}

func (s *signpost) adminBody(path string) string {
	s.t.Helper()
	resp, err := client.Get(s.admin + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// liar starts a node that tells of mounts and says something else in their place.
func liar(t *testing.T, says map[string]string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url = "http://" + l.Addr().String()
	var sources []string
	for path := range says {
		sources = append(sources, fmt.Sprintf(`{"listeners":0,"listenurl":"%s%s","server_type":"audio/mpeg"}`, url, path))
	}
	status := `{"icestats":{"server_id":"Icecast 2.4.4","source":[` + strings.Join(sources, ",") + `]}}`
	srv := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lie, ok := says[r.URL.Path]
		if !ok {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, status)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, strings.ReplaceAll(lie, "{self}", url+r.URL.Path))
	})}
	t.Cleanup(func() { srv.Close() })
	go srv.Serve(l)
	return url
}
