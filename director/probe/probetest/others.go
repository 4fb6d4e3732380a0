//go:build unix

package probetest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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
