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

// newInstance returns a name for this run of the agent.
func newInstance() string {
	run := rand.Text()[:12]
	if host, err := os.Hostname(); err == nil {
		return hostLabel(host) + "-" + run
	}
	return run
}

// hostLabel returns the host's name in the alphabet of ids.
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

// longestInstance is what directors accept, in bytes.
const longestInstance = 64

// An instanceFile hands an agent's instance, and so its registration, to the next agent.
type instanceFile struct{ file *os.File }

// openInstance returns the instance in the file of that name, or a new one, which it
// writes there. The file is locked until the process ends. resumed says that another
// agent had the instance, and may have registered with it.
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

// claim locks the file and returns the instance in it, if any.
func (f *instanceFile) claim() (string, error) {
	switch err := syscall.Flock(int(f.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return "", errors.New("another agent runs with it; stop that one, or give this one its own file")
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

// clear makes the next agent a new instance.
func (f *instanceFile) clear() error { return f.file.Truncate(0) }
