package web

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// TestBehindHAProxy has a real HAProxy terminate TLS in TCP mode: who came by https is
// sent to https, and who came by http is not.
func TestBehindHAProxy(t *testing.T) {
	t.Parallel()
	proctest.Need(t, "haproxy")
	w := newWorld(t, func(c *Config) { c.Policy.Trusted, c.Policy.Entries = nil, EntriesDirector })
	backend := w.serve(netip.MustParsePrefix("127.0.0.1/32"))
	dir := t.TempDir()
	pair := filepath.Join(dir, "pair.pem")
	writePair(t, pair)
	config := filepath.Join(dir, "haproxy.cfg")
	text := fmt.Sprintf("defaults\n mode tcp\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n"+
		"frontend all\n bind fd@3 ssl crt %s\n bind fd@4\n default_backend one\nbackend one\n server one %s send-proxy-v2-ssl\n", pair, backend)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command("haproxy", "-db", "-f", config)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &said, &said, proctest.DieWithTest()
	var urls []string
	for _, scheme := range []string{"https", "http"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		urls = append(urls, scheme+"://"+l.Addr().String())
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("haproxy: %s", &said)
		}
	}()
	client := &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}
	for _, url := range urls {
		scheme, _, _ := strings.Cut(url, "://")
		resp, err := client.Get(url + "/live.mp3")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Location"); !strings.HasPrefix(got, scheme+"://") {
			t.Errorf("by %s: %s, Location %q", scheme, resp.Status, got)
		}
		if resp, err = client.Get(url + "/live.mp3.m3u"); err != nil {
			t.Fatal(err)
		}
		var list bytes.Buffer
		_, _ = list.ReadFrom(resp.Body)
		resp.Body.Close()
		if !strings.Contains(list.String(), "\n"+url+"/live.mp3\n") {
			t.Errorf("by %s: the playlist leads to\n%s", scheme, &list)
		}
	}
}

// writePair writes the certificate of package httptest and its key into one file.
func writePair(t *testing.T, name string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
