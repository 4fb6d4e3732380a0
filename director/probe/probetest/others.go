//go:build unix

package probetest

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// Liquidsoap starts a harbor that plays a tone on /live.mp3, and returns its URL. If
// liquidsoap is not installed, ok is false and the test does not fail: it is large, and
// not everybody has it.
func Liquidsoap(t testing.TB) (url string, ok bool) {
	t.Helper()
	if _, err := exec.LookPath("liquidsoap"); err != nil {
		return "", false
	}
	addr := freePort(t, "127.0.0.1")
	_, port, _ := net.SplitHostPort(addr)
	script := filepath.Join(ownDir(t), "radio.liq")
	write(t, script, `settings.harbor.bind_addrs.set(["127.0.0.1"])
settings.log.file.set(false)
settings.init.allow_root.set(true)
output.harbor(%mp3(bitrate=64), port=`+port+`, mount="live.mp3", mksafe(sine(440.)))
`)
	p := startProcess(t, "liquidsoap", script)
	awaitHTTP(t, p, "http://"+addr+"/")
	return "http://" + addr, true
}

// Nginx starts nginx with server as lines of its server block, and returns its URL.
func Nginx(t testing.TB, server string) (url string) {
	t.Helper()
	proctest.Need(t, "nginx")
	addr, dir := freePort(t, "127.0.0.1"), ownDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "nginx.conf")
	write(t, file, fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events { worker_connections 200; }
http {
 access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
 server { listen %[2]s; default_type audio/mpeg; proxy_buffering off; %[3]s }
}
`, dir, addr, server))
	p := startProcess(t, "nginx", "-p", dir, "-e", "stderr", "-c", file)
	awaitHTTP(t, p, "http://"+addr+"/")
	return "http://" + addr
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// awaitHTTP returns when a server answers, whatever the answer.
func awaitHTTP(t testing.TB, p *process, url string) {
	t.Helper()
	for deadline := time.Now().Add(3 * patience); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
			return
		}
		if p.ended() || time.Now().After(deadline) {
			t.Fatalf("no answer at %s: %v: %v", url, err, p)
		}
	}
}

// MPD is a Music Player Daemon whose httpd output plays a tone, at any path.
type MPD struct {
	t      testing.TB
	addr   string
	socket string
	p      *process
}

// StartMPD starts an MPD that plays.
func StartMPD(t testing.TB) *MPD {
	t.Helper()
	proctest.Need(t, "mpd", "ffmpeg")
	dir := ownDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	m := &MPD{t: t, addr: freePort(t, "127.0.0.1"), socket: filepath.Join(dir, "socket")}
	tone, file := filepath.Join(dir, "tone.wav"), filepath.Join(dir, "mpd.conf")
	if out, err := exec.Command("ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "sine=440:duration=5", tone).CombinedOutput(); err != nil {
		t.Fatalf("a tone: %v\n%s", err, out)
	}
	_, port, _ := net.SplitHostPort(m.addr)
	write(t, file, fmt.Sprintf(`bind_to_address "%[1]s"
zeroconf_enabled "no"
audio_output {
 type "httpd"
 name "stream"
 encoder "lame"
 bitrate "64"
 format "44100:16:1"
 bind_to_address "127.0.0.1"
 port "%[2]s"
}
`, m.socket, port))
	m.p = startProcess(t, "mpd", "--no-daemon", "--stderr", file)
	m.do(`add "file://`+tone+`"`, "repeat 1")
	m.Play()
	return m
}

// URL returns the base URL of its stream.
func (m *MPD) URL() string { return "http://" + m.addr }

// Stop makes it play nothing: listeners' connections are then closed at once.
func (m *MPD) Stop() { m.t.Helper(); m.do("stop") }

// Play makes it play again, and returns when it does.
func (m *MPD) Play() { m.t.Helper(); m.do("play"); awaitHTTP(m.t, m.p, m.URL()+"/") }

// do sends commands of MPD's protocol.
func (m *MPD) do(commands ...string) {
	m.t.Helper()
	var c net.Conn
	for deadline := time.Now().Add(3 * patience); ; time.Sleep(20 * time.Millisecond) {
		var err error
		if c, err = net.Dial("unix", m.socket); err == nil {
			break
		}
		if m.p.ended() || time.Now().After(deadline) {
			m.t.Fatalf("mpd: %v: %v", err, m.p)
		}
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(3 * patience))
	in := bufio.NewScanner(c)
	for _, command := range append([]string{""}, commands...) { // MPD speaks first
		if command != "" {
			fmt.Fprintln(c, command)
		}
		if !in.Scan() || !strings.HasPrefix(in.Text(), "OK") {
			m.t.Fatalf("mpd: %s: %q, %v", command, in.Text(), in.Err())
		}
	}
}
