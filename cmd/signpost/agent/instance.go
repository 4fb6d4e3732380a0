package agent

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// newInstance names one run of an agent at this machine.
func newInstance() string {
	run := rand.Text()[:12]
	if host, err := os.Hostname(); err == nil {
		return hostLabel(host) + "-" + run
	}
	return run
}

// hostLabel is a host's name as part of an instance, which has the alphabet of ids.
func hostLabel(host string) string {
	const most = 40
	label := strings.Map(func(r rune) rune {
		if notInInstance(r) {
			return '_'
		}
		return r
	}, host)
	return label[:min(len(label), most)]
}

func notInInstance(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
}

// longestInstance is how much directors take, in bytes.
const longestInstance = 64

// An instanceFile keeps an agent's instance for the one that comes after it, which
// goes on with the same registration.
type instanceFile struct{ file *os.File }

// openInstance returns the instance in the file of that name, or a new one, which
// stands in it from then on. The file is locked until the process ends. resumed says
// that another agent had the instance, and may have registered with it.
func openInstance(name string) (f *instanceFile, instance string, resumed bool, err error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, "", false, err
	}
	f = &instanceFile{file}
	if instance, err = f.claim(); err == nil && instance == "" {
		instance = newInstance()
		err = errors.Join(f.clear(), f.write(instance))
	} else {
		resumed = err == nil
	}
	if err != nil {
		return nil, "", false, errors.Join(fmt.Errorf("%s: %w", name, err), file.Close())
	}
	return f, instance, resumed, nil
}

// claim locks the file and returns the instance in it; empty: there is none.
func (f *instanceFile) claim() (string, error) {
	switch err := syscall.Flock(int(f.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return "", errors.New("another agent that runs has it; end that one, or give this one a file of its own")
	case err != nil:
		return "", fmt.Errorf("cannot be locked: %w; use a file system with locks", err)
	}
	text, err := io.ReadAll(io.LimitReader(f.file, longestInstance+1))
	if err != nil || len(text) > longestInstance || strings.ContainsFunc(string(text), notInInstance) {
		return "", err
	}
	return string(text), nil
}

func (f *instanceFile) write(instance string) error {
	_, err := f.file.WriteAt([]byte(instance), 0)
	return err
}

// clear lets the next agent be another instance: this one does not come back.
func (f *instanceFile) clear() error { return f.file.Truncate(0) }
