package geo

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Run watches the databases and geofeeds until ctx is done, and then returns nil. A file
// that is renamed over, written in place or reached through another symbolic link is
// loaded again and put in use. A file that cannot be used is refused: the old one stays
// in use, and the file is tried again when it changes. Call Run at most once.
//
// Run watches directories and, for file systems that do not report changes, checks the
// files every minute. A file written in place counts as complete when it has not changed
// for half a second, so it is better to rename a complete file over the old one.
func (l *Locator) Run(ctx context.Context) error {
	var (
		events <-chan fsnotify.Event
		faults <-chan error
	)
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		l.log.Warn("geo databases are checked only once a minute: the system reports no changes of files", "err", err)
	} else {
		defer watcher.Close()
		events, faults = watcher.Events, watcher.Errors
	}
	poll := time.NewTicker(l.poll)
	defer poll.Stop()
	quiet := time.NewTimer(0) // check at once: a file may have changed since Open
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
			l.log.Warn("some notices of changed files were lost: all geo databases are checked", "err", err)
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

// watch watches the directories of all files, and those that symbolic links lead to.
// It is called again and again, since directories are replaced, too. Errors do not
// matter: what cannot be watched is polled.
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

// reload loads the files that have changed. It returns false if one of them may not be
// completely written yet.
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
			l.log.Error("geo databases cannot be used", "err", err)
		}
	}
	return complete
}
