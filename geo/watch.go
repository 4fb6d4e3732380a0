package geo

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Run watches the databases until ctx is done, and then returns nil. A file that
// is renamed over, written in place or reached through another symbolic link is
// loaded anew and put in use; one that cannot be used is refused, the old
// database stays, and the next change of the file is tried again. Call it at most
// once.
//
// Directories are watched and, for file systems that give no notice of changes,
// files are looked at every minute. A file written in place counts as complete
// when it has been left alone for half a second, so that renaming a complete file
// over the old one is the better way.
func (l *Locator) Run(ctx context.Context) error {
	var (
		events <-chan fsnotify.Event
		faults <-chan error
	)
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		l.log.Warn("geo databases are looked at every minute only: no notice of changes", "err", err)
	} else {
		defer watcher.Close()
		events, faults = watcher.Events, watcher.Errors
	}
	poll := time.NewTicker(l.poll)
	defer poll.Stop()
	quiet := time.NewTimer(0) // look at once: a file may have changed since Open
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-events:
			if e.Op != fsnotify.Chmod {
				quiet.Reset(l.settle)
			}
		case err := <-faults:
			l.log.Warn("some notices of changed files were lost: all geo databases are looked at", "err", err)
			quiet.Reset(l.settle)
		case <-quiet.C:
			l.watch(watcher)
			if !l.reload() {
				quiet.Reset(l.settle)
			}
		case <-poll.C:
			l.watch(watcher)
			if !l.reload() {
				quiet.Reset(l.settle)
			}
		}
	}
}

// watch has the directories of all files watched, and those that links lead to.
// It is repeated, for directories are replaced too. Errors do not matter: what
// cannot be watched is polled.
func (l *Locator) watch(w *fsnotify.Watcher) {
	if w == nil {
		return
	}
	for _, f := range l.files {
		_ = w.Add(filepath.Dir(f.path))
		if target, err := filepath.EvalSymlinks(f.path); err == nil {
			_ = w.Add(filepath.Dir(target))
		}
	}
}

// reload loads the files that have changed. It returns false if one of them may
// still be being written.
func (l *Locator) reload() (complete bool) {
	complete, loaded := true, false
	for _, f := range l.files {
		changed, settled := f.look(l.settle)
		if !changed {
			continue
		}
		if !settled {
			complete = false
			continue
		}
		switch err := f.load(l.log, "replaced"); {
		case err == nil:
			loaded = true
		case errors.Is(err, errChanging):
			complete = false
		default:
			l.log.Error(f.kind()+" refused, the old one stays in use", "err", err,
				"in_use_built", f.source.Built.Format(time.DateOnly))
		}
	}
	if loaded {
		if err := l.publish(); err != nil {
			l.log.Error("geo databases cannot be put in use", "err", err)
		}
	}
	return complete
}
