package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// apart is the environment variable of a bench that runs in its own network namespace.
const apart = "SIGNPOST_BENCH_APART"

// inOwnNetwork runs the bench again in its own network namespace, unless it is there
// already, and says whether it did so. Outside one, the loopback may pass through
// rules of a firewall or of Docker that track each connection: this takes 7 to 14 %
// more CPU, and the table is full after some 15 seconds of closed connections.
func inOwnNetwork() (ran bool, err error) {
	if os.Getenv(apart) != "" {
		return false, prepareNetwork()
	}
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), apart+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: no network namespace of its own (%v; it takes root): whatever tracks connections here is measured too\n", err)
		return false, nil
	}
	return true, cmd.Wait()
}

// prepareNetwork brings the loopback up, and widens the range of client ports.
func prepareNetwork() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return errors.Join(
		unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo),
		os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("10000 65535"), 0),
	)
}
