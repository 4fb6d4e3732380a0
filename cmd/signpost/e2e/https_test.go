package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/security"

	"github.com/signpost-fm/signpost/director/probe/probetest"
	"github.com/signpost-fm/signpost/director/probe/proctest"
	"github.com/signpost-fm/signpost/web/admin/dashboard/browsertest"
)

// A browser that opens the plain page is sent to https, speaks HTTP/2 there, and plays a
// stream that is carried inline. Players stay where they are, and speak HTTP/1.1, unless
// HTTP/2 is for all.
func TestBrowsersByHTTPS(t *testing.T) {
	t.Parallel()
	proctest.Need(t, "curl")
	node := probetest.Icecast(t, probetest.Options{Mounts: []probetest.Mount{{Path: "/live.mp3", Hz: 440, Kbit: 128, Title: "Tone"}}})
	dir := t.TempDir()
	cert := filepath.Join(dir, "cert.pem")
	pair := probetest.NewAuthority(t).Issue("localhost", time.Now().Add(24*time.Hour))
	if err := os.WriteFile(cert, probetest.Bundle(t, pair), 0o600); err != nil {
		t.Fatal(err)
	}
	door := newDoorman(t)
	config := func(http2 string) string {
		c := configuration([]*probetest.Node{node}, "rules: {list: [{name: browsers, answer: https}]}\n")
		return strings.Replace(c, "listen: {", fmt.Sprintf("listen: {https: ['127.0.0.1:0'], cert_file: '%s', key_file: '%s', public_urls: ['https://localhost:%d'], page: true, tls: {http2: %s, hsts: 1h}, ", cert, cert, door.port, http2), 1)
	}
	s := directFile(t, config("browsers"))
	door.leadTo(s.secure)
	s.eventually(10*time.Second, "the node plays", func() bool { return s.status("/live.mp3") == 302 })

	if head := s.curl(t, "--http2", "https://"+s.secure+"/live.mp3"); !strings.HasPrefix(head, "HTTP/1.") || strings.Contains(strings.ToLower(head), "transfer-encoding") {
		t.Errorf("curl, which asks for HTTP/2, is answered by https\n%s", head)
	}
	for _, agent := range []string{"curl/7.88.1", "Lavf/59.27.100", "VLC/3.0.24 LibVLC/3.0.24"} {
		if head := s.curl(t, "-A", agent, s.url+"/live.mp3"); !strings.Contains(head, "Location: "+node.URL()+"/live.mp3") {
			t.Errorf("%s is answered\n%s", agent, head)
		}
	}

	tab := browsertest.Start(t)
	browsertest.Call(tab, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
	tab.Go(s.url + "/")
	at := fmt.Sprintf("https://localhost:%d/", door.port)
	tab.Await("it is sent to https", fmt.Sprintf("location.href === %q", at))
	if protocol := browsertest.Eval[string](tab, "performance.getEntriesByType('navigation')[0].nextHopProtocol"); protocol != "h2" {
		t.Errorf("the browser speaks %s", protocol)
	}
	browsertest.Eval[bool](tab, "window.player = new Audio('/live.mp3'), player.play(), true")
	tab.Await("it plays a stream by HTTP/2", "player.currentTime > 1")
	// An element of a plain page is sent on, too: to the same URL by https.
	tab.Go(s.url + "/healthz")
	browsertest.Eval[bool](tab, fmt.Sprintf("window.player = new Audio('%s/live.mp3'), player.play(), true", s.url))
	tab.Await("what a plain page plays", "player.currentTime > 1")
	if lines := regexp.MustCompile(`"path":"/live.mp3","answer":"https","rule":"browsers"[^\n]*"user_agent":"Mozilla`).FindAllString(s.log.String(), -1); len(lines) < 1 {
		t.Errorf("no record of a browser that was sent to https")
	}

	all := directFile(t, config("all"))
	all.eventually(10*time.Second, "the node plays", func() bool { return all.status("/live.mp3") == 302 })
	head := all.curl(t, "--http2", "https://"+all.secure+"/live.mp3")
	if !strings.HasPrefix(head, "HTTP/2 200") || strings.Contains(strings.ToLower(head), "transfer-encoding") || strings.Contains(strings.ToLower(head), "\nconnection") || !strings.Contains(head, "strict-transport-security: max-age=3600") {
		t.Errorf("curl by HTTP/2 is answered\n%s", head)
	}
}

// curl returns the header that curl gets. What it gets of a stream must be audio.
func (s *signpost) curl(t *testing.T, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	head, body := filepath.Join(dir, "head"), filepath.Join(dir, "body")
	c := exec.Command("curl", append([]string{"-sk", "--max-time", "20", "--max-filesize", "100000000", "-D", head, "-o", body}, args...)...)
	c.SysProcAttr = proctest.DieWithTest()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	s.eventually(10*time.Second, "curl has an answer", func() bool {
		b, err := os.ReadFile(head)
		if err != nil || !strings.Contains(string(b), "\r\n\r\n") {
			return false
		}
		info, err := os.Stat(body)
		return strings.Contains(string(b), " 302") || err == nil && info.Size() > 20_000
	})
	_ = c.Process.Kill()
	_ = c.Wait() // it was killed
	b, err := os.ReadFile(body)
	if h := mustRead(t, head); !strings.Contains(h, " 302") && (err != nil || string(b[:3]) != "ID3" && (b[0] != 0xff || b[1]&0xe0 != 0xe0)) {
		t.Errorf("curl %v: no audio: %.20q, %v", args, b, err)
	}
	return mustRead(t, head)
}
