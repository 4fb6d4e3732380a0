package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// A real Icecast relays from the director. Its node dies, and nobody has probed it
// since: the relay comes straight back and is sent elsewhere, for after a refusal it
// would ask again in two minutes only.
func TestIcecastRelay(t *testing.T) {
	t.Parallel()
	fleet := nodes(t)
	s := directFile(t, strings.Replace(configuration(fleet, ""), quickProbes, seldomProbes, 1))
	port := relayOf(t, s)
	from := func() (at int) {
		at = -1
		for i, n := range fleet {
			if n.Listeners() > 0 {
				at = i
			}
		}
		return at
	}
	first := -1
	s.eventually(20*time.Second, "the relay pulls from a node", func() bool { first = from(); return first >= 0 })
	fleet[first].Kill()
	fleet = append(fleet[:first:first], fleet[first+1:]...)
	s.eventually(20*time.Second, "it pulls from another", func() bool { return from() >= 0 })
	resp, err := client.Get(fmt.Sprintf("http://127.0.0.1:%s/live.mp3", port))
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("the relay answers %v, %v", resp, err)
		return
	}
	resp.Body.Close()
}

// relayOf starts an Icecast that relays /live.mp3 from the director, and returns its port.
func relayOf(t *testing.T, s *signpost) string {
	t.Helper()
	proctest.Need(t, "icecast2")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	_, master, _ := net.SplitHostPort(strings.TrimPrefix(s.url, "http://"))
	dir, err := os.MkdirTemp("", "relay")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "icecast.xml")
	text := `<icecast><location>x</location><admin>a@localhost</admin><hostname>localhost</hostname><limits><clients>100</clients><sources>5</sources></limits>
<authentication><source-password>x</source-password><admin-user>admin</admin-user><admin-password>x</admin-password></authentication>
<listen-socket><port>` + port + `</port><bind-address>127.0.0.1</bind-address></listen-socket>
<relay><server>127.0.0.1</server><port>` + master + `</port><mount>/live.mp3</mount><local-mount>/live.mp3</local-mount><on-demand>0</on-demand></relay>
<paths><basedir>/usr/share/icecast2</basedir><logdir>/nonexistent</logdir><webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot></paths>
<logging><accesslog>-</accesslog><errorlog>-</errorlog><loglevel>3</loglevel></logging></icecast>`
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("icecast2", "-c", config)
	cmd.SysProcAttr = proctest.DieWithTest()
	if os.Getuid() == 0 { // which Icecast refuses
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return port
}
