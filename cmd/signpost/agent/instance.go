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

// An identity is what directors know an agent by: its name, which they show, and what
// nobody else knows.
type identity struct{ instance, secret string }

// newIdentity names one run of an agent at this machine.
func newIdentity() identity {
	id := identity{instance: rand.Text()[:12], secret: rand.Text()}
	if host, err := os.Hostname(); err == nil {
		id.instance = hostLabel(host) + "-" + id.instance
	}
	return id
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

// What directors take, in bytes.
const (
	longestInstance = 64
	shortestSecret  = 16
	longestSecret   = 128
)

// An instanceFile hands an agent's identity, and so its registration, to the next agent:
// the instance, and in a second line the secret.
type instanceFile struct{ file *os.File }

// openInstance returns the identity in the file of that name, or a new one, which it
// writes there. The file is locked until the process ends. resumed says that another
// agent had the instance, and may have registered with it.
func openInstance(name string) (f *instanceFile, id identity, resumed bool, err error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, id, false, err
	}
	f = &instanceFile{file}
	id, err = f.claim()
	if resumed = err == nil && id.instance != ""; !resumed {
		id = newIdentity()
	}
	if err == nil && id.secret == "" { // an older agent had none
		id.secret = newIdentity().secret
	}
	if err == nil {
		err = f.write(id)
	}
	if err != nil {
		return nil, identity{}, false, errors.Join(fmt.Errorf("%s: %w", name, err), file.Close())
	}
	return f, id, resumed, nil
}

// claim locks the file and returns the identity in it; empty: there is none.
func (f *instanceFile) claim() (id identity, err error) {
	switch err := syscall.Flock(int(f.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return id, errors.New("another agent runs with it; stop that one, or give this one its own file")
	case err != nil:
		return id, fmt.Errorf("cannot be locked: %w; use a file system with locks", err)
	}
	const most = longestInstance + longestSecret + 2
	text, err := io.ReadAll(io.LimitReader(f.file, int64(most)+1))
	if err != nil || len(text) > most {
		return id, err
	}
	id.instance, id.secret, _ = strings.Cut(string(text), "\n")
	id.secret = strings.TrimSuffix(id.secret, "\n")
	badSecret := id.secret != "" && (len(id.secret) < shortestSecret || len(id.secret) > longestSecret)
	if len(id.instance) > longestInstance || badSecret || strings.ContainsFunc(id.instance+id.secret, notInInstance) {
		return identity{}, nil
	}
	return id, nil
}

// write replaces what stands in the file, which is nobody else's to read.
func (f *instanceFile) write(id identity) error {
	text := id.instance + "\n" + id.secret + "\n"
	_, err := f.file.WriteAt([]byte(text), 0)
	return errors.Join(err, f.file.Truncate(int64(len(text))), f.file.Chmod(0o600))
}

// clear makes the next agent a new instance.
func (f *instanceFile) clear() error { return f.file.Truncate(0) }
