package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// startIcecast starts an Icecast with a source. It runs on the measured core only if it
// is itself measured, or if there is no other core.
func startIcecast(dir string, clients, kbit int, measured bool) (*party, func(), error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, nil, err
	}
	host, port, _ := net.SplitHostPort(addr)
	conf := fmt.Sprintf("<icecast><limits><clients>%d</clients><sources>2</sources><burst-size>65535</burst-size></limits>"+
		"<authentication><source-password>bench</source-password><admin-user>admin</admin-user><admin-password>bench</admin-password></authentication>"+
		"<hostname>localhost</hostname><listen-socket><port>%s</port><bind-address>%s</bind-address></listen-socket>"+
		"<paths><logdir>%s</logdir><webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot></paths>"+
		"<logging><accesslog>-</accesslog><errorlog>-</errorlog><loglevel>1</loglevel></logging></icecast>", clients, port, host, dir)
	file := filepath.Join(dir, "icecast.xml")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		return nil, nil, err
	}
	p, err := startSilent("icecast", addr, "icecast2", "-c", file)
	if err != nil {
		return nil, nil, err
	}
	source := exec.Command("ffmpeg", "-loglevel", "error", "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100",
		"-c:a", "libmp3lame", "-b:a", strconv.Itoa(kbit)+"k", "-content_type", "audio/mpeg", "-f", "mp3", "icecast://source:bench@"+addr+"/live.mp3")
	source.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := source.Start(); err != nil {
		p.stop()
		return nil, nil, err
	}
	stop := func() {
		source.Process.Kill() //nolint:errcheck // it may be gone already
		source.Wait()         //nolint:errcheck // killed
		p.stop()
	}
	if !measured {
		unix.SchedSetaffinity(p.cmd.Process.Pid, otherCores()) //nolint:errcheck // a single core is shared then
	}
	if err := awaitStream(tuneIn, addr); err != nil {
		stop()
		return nil, nil, err
	}
	return p, stop, nil
}

// otherCores returns the cores on which nothing is measured.
func otherCores() *unix.CPUSet {
	var all unix.CPUSet
	unix.SchedGetaffinity(0, &all) //nolint:errcheck // then it stays empty, and nothing is set
	if all.Count() > 1 {
		all.Clear(proxyServerCore)
	}
	return &all
}

func nobody() *syscall.Credential { return &syscall.Credential{Uid: 65534, Gid: 65534} }

// listeners returns how many listeners Icecast counts.
func listeners(addr string) (int, error) {
	req, _ := http.NewRequest(http.MethodGet, "http://"+addr+"/admin/stats", nil)
	req.SetBasicAuth("admin", "bench")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(bufio.NewReader(resp.Body))
	_, rest, _ := strings.Cut(string(text), "<listeners>")
	number, _, _ := strings.Cut(rest, "<")
	n, bad := strconv.Atoi(number)
	return n, errors.Join(err, bad)
}
