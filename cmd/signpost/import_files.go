package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/signpost-fm/signpost/cmd/signpost/importer"
	"github.com/signpost-fm/signpost/director/wording"
)

// secrets returns files with the administrators' passwords, if they are to be written, and
// names them in the fleet. Otherwise it notes whose are left out. A file that has the same
// password already is named and not written.
func (c *importOptions) secrets(f *importer.Fleet) (files []newFile, err error) {
	var from, left []string
	for i := range f.Nodes {
		n := &f.Nodes[i]
		line := n.Admin.Line()
		if line == "" || !c.WriteSecrets && n.AdminFile != "" {
			continue
		}
		if !c.WriteSecrets {
			from, left = append(from, n.From), append(left, n.ID)
			continue
		}
		n.AdminFile = n.ID + ".secret"
		path := filepath.Join(filepath.Dir(c.Out), n.AdminFile)
		if had, err := os.ReadFile(path); err == nil && string(bytes.TrimSpace(had)) == line {
			continue
		} else if !c.Force && !c.DryRun && !errors.Is(err, fs.ErrNotExist) {
			return nil, exists(path)
		}
		one := newFile{path: path, content: []byte(line + "\n"), mode: 0o600, group: -1}
		if c.Out == packaged { // the director there is another user, as docs/installing.md has it
			if g, err := user.LookupGroup("signpost"); err == nil {
				one.group, _ = strconv.Atoi(g.Gid)
				one.mode = 0o640
			}
		}
		files = append(files, one)
	}
	if len(left) > 0 {
		f.Notes = append(f.Notes, importer.Note{At: strings.Join(from, ", "), Text: fmt.Sprintf("the administrator's password, with which more is known of %s; --write-credentials writes it to a file that only you may read", strings.Join(left, ", "))})
	}
	return files, nil
}

// A newFile is one that is to be written.
type newFile struct {
	path    string
	content []byte
	mode    fs.FileMode
	group   int // -1: the user's own

	temporary string // where its content is until all files' is
	made      bool   // it is at path, and nothing was there before
}

// writeFiles puts all files in their places, each as a whole and the last one last. Without
// force it fails if one of them exists, even if it came in between. If it fails, what was
// there stays, and the files that it had made are gone.
func writeFiles(files []newFile, force bool) (err error) {
	defer func() {
		for _, f := range files {
			if f.temporary != "" {
				os.Remove(f.temporary) // it is renamed, linked, or not wanted
			}
			if err != nil && f.made {
				os.Remove(f.path)
			}
		}
	}()
	fail := func(f newFile, err error) error {
		if errors.Is(err, fs.ErrExist) {
			return exists(f.path)
		}
		return fmt.Errorf("%s: %s; nothing is changed", f.path, wording.Text(pathCause(err)))
	}
	for i := range files {
		if err := files[i].stage(); err != nil {
			return fail(files[i], err)
		}
	}
	for i := range files {
		f := &files[i]
		if _, err := os.Lstat(f.path); force && err == nil {
			if err := os.Rename(f.temporary, f.path); err != nil {
				return fail(*f, err)
			}
			continue
		}
		if err := moveNew(f.temporary, f.path); err != nil {
			return fail(*f, err)
		}
		f.made = true
	}
	return nil
}

// stage writes the content to a temporary file beside the one that it is to be.
func (f *newFile) stage() error {
	tmp, err := os.CreateTemp(filepath.Dir(f.path), ".signpost-*") // 0600
	if err != nil {
		return err
	}
	f.temporary = tmp.Name()
	_, err = tmp.Write(f.content)
	if err == nil && f.group >= 0 {
		err = tmp.Chown(-1, f.group)
	}
	return errors.Join(err, tmp.Chmod(f.mode), tmp.Sync(), tmp.Close())
}

// moveNew renames a file, and fails with [fs.ErrExist] if the new name is taken.
func moveNew(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) || !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	// Without hard links, as on some mounted volumes, the name is taken first.
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Rename(from, to))
}
