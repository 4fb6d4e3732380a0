package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/signpost-fm/signpost/web/admin/ring"
)

const (
	// plotsEvery is how often plots are written: what a crash loses, against what a disk
	// is asked to write (0.3 MB for 200 nodes).
	plotsEvery = 5 * time.Minute
	maxPlots   = 32 << 20 // bytes that are read of a file; the largest has some 8 MB
	plotsName  = "plots.ring"
	plotsTemp  = ".plots.ring.tmp-*"
)

// A plotFile keeps plots over a restart. It is a side output: whatever becomes of the
// file, plots go on in memory.
type plotFile struct {
	path    string // empty: they are not kept
	log     *slog.Logger
	ring    *ring.Ring
	spoiled string                 // what became of a file that could not be used; empty: nothing
	trouble atomic.Pointer[string] // why the file cannot be written; nil: it can
}

// openPlots reads the plots in a directory; empty: there is none. A file that is damaged
// is set aside.
func openPlots(dir string, log *slog.Logger) *plotFile {
	f := &plotFile{log: log, ring: ring.New()}
	if dir == "" {
		return f
	}
	f.path = filepath.Join(dir, plotsName)
	left, _ := filepath.Glob(filepath.Join(dir, plotsTemp)) // the pattern is valid
	for _, name := range left {
		_ = os.Remove(name) // the next start tries again
	}
	b, err := readPlots(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f
	}
	var kept *ring.Ring
	if err == nil {
		kept, err = ring.Decode(b)
	}
	if err == nil {
		f.ring = kept
		return f
	}
	aside := f.path + ".corrupt-" + time.Now().UTC().Format("20060102T150405.000000000Z")
	f.spoiled = fmt.Sprintf("the file of plots %s cannot be used (%v) and was set aside as %s: plots begin anew; remove it", f.path, err, aside)
	if err := os.Rename(f.path, aside); err != nil {
		f.spoiled = fmt.Sprintf("the file of plots %s cannot be used, nor set aside (%v): plots begin anew, and the next ones are written in its place", f.path, err)
	}
	log.Error("plots begin anew", "why", f.spoiled)
	return f
}

// readPlots reads a regular file, and does not wait for anything else.
func readPlots(path string) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("it is not a regular file"))
	}
	b, err := io.ReadAll(io.LimitReader(file, maxPlots+1))
	if err == nil && len(b) > maxPlots {
		err = fmt.Errorf("it has more than %d MB", maxPlots>>20)
	}
	return b, err
}

// run writes the plots now and then, and when ctx is done.
func (f *plotFile) run(ctx context.Context) error {
	if f.path == "" {
		<-ctx.Done()
		return nil
	}
	err := every(ctx, plotsEvery, f.save)
	f.save()
	return err
}

// save replaces the file. Why it cannot is told once, until it can.
func (f *plotFile) save() {
	err := f.write(f.ring.Encode())
	was := f.trouble.Load()
	if err == nil {
		f.trouble.Store(nil)
		if was != nil {
			f.log.Info("plots are kept again", "path", f.path)
		}
		return
	}
	f.trouble.Store(new("plots are not kept over a restart: " + err.Error() + "; let this user write to state_dir, and make room there"))
	if was == nil {
		f.log.Warn("plots are not kept over a restart; it is tried again", "err", err)
	}
}

func (f *plotFile) write(b []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(f.path), plotsTemp)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(b)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), f.path)
}

// troubles returns what operators should know of the file.
func (f *plotFile) troubles() []string {
	var all []string
	if f == nil {
		return nil
	}
	if f.spoiled != "" {
		all = append(all, f.spoiled)
	}
	if t := f.trouble.Load(); t != nil {
		all = append(all, *t)
	}
	if n := f.ring.Left(); n > 0 {
		all = append(all, fmt.Sprintf("plots have %d series, and %d more have no place: those of nodes that are gone make room after an hour", ring.MaxSeries, n))
	}
	return all
}
