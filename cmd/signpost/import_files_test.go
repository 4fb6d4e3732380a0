package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An administrator's password that an icecast.xml has is written where that is asked for, for
// its owner alone, and nothing is written over what is there.
func TestImportWritesCredentials(t *testing.T) {
	t.Parallel()
	const xml = `<icecast><hostname>fra1.radio.invalid</hostname><listen-socket><port>8000</port></listen-socket><mount><mount-name>/live.mp3</mount-name></mount><authentication><admin-user>boss</admin-user><admin-password>p:w</admin-password></authentication></icecast>`
	for _, c := range []struct {
		name     string
		options  importOptions
		there    map[string]string
		want     map[string]string // what the files begin with
		mode     os.FileMode
		says, no string
	}{
		{name: "asked for", options: importOptions{WriteSecrets: true}, want: map[string]string{"fra1.secret": "boss:p:w\n", "signpost.yaml": "# Made by"}, mode: 0o600, no: "p:w"},
		{name: "not asked for", want: map[string]string{"signpost.yaml": "# Made by"}, says: "fra1.xml: the administrator's password, with which more is known of fra1; --write-credentials writes it", no: "p:w"},
		{name: "the same is there", options: importOptions{WriteSecrets: true}, there: map[string]string{"fra1.secret": "boss:p:w"}, want: map[string]string{"fra1.secret": "boss:p:w", "signpost.yaml": "# Made by"}, mode: 0o640},
		{name: "another one is there", options: importOptions{WriteSecrets: true}, there: map[string]string{"fra1.secret": "boss:old"}, want: map[string]string{"fra1.secret": "boss:old"}, says: "fra1.secret exists, and stays as it is"},
		{name: "by force", options: importOptions{WriteSecrets: true, Force: true}, there: map[string]string{"fra1.secret": "boss:old", "signpost.yaml": "old"}, want: map[string]string{"fra1.secret": "boss:p:w\n", "signpost.yaml": "# Made by"}, mode: 0o600},
		{name: "the configuration is there", options: importOptions{WriteSecrets: true}, there: map[string]string{"signpost.yaml": "old"}, want: map[string]string{"signpost.yaml": "old"}, says: "signpost.yaml exists"},
		{name: "only shown", options: importOptions{WriteSecrets: true, DryRun: true}, want: map[string]string{}, says: "credentials_file: fra1.secret\n", no: "p:w"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, source := t.TempDir(), filepath.Join(t.TempDir(), "fra1.xml")
			if err := os.WriteFile(source, []byte(xml), 0o600); err != nil {
				t.Fatal(err)
			}
			for name, text := range c.there {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			c.options.Out = filepath.Join(dir, "signpost.yaml")
			var said bytes.Buffer
			cmd := importCmd{Sources: []string{source}, importOptions: c.options}
			err := cmd.Run(t.Context(), &console{strings.NewReader(""), &said, &said})
			if err != nil {
				said.WriteString(err.Error())
			}
			if !strings.Contains(said.String(), c.says) || c.no != "" && strings.Contains(said.String(), c.no) {
				t.Errorf("it says\n%s\nand is to say %q, not %q", said.String(), c.says, c.no)
			}
			got := map[string]string{}
			all, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range all {
				b, err := os.ReadFile(filepath.Join(dir, e.Name()))
				if err != nil {
					t.Fatal(err)
				}
				got[e.Name()] = string(b)
				if i, _ := e.Info(); e.Name() == "fra1.secret" && c.mode != 0 && i.Mode().Perm() != c.mode {
					t.Errorf("%s has mode %v", e.Name(), i.Mode())
				}
				if e.Name() == "signpost.yaml" && len(b) > 9 {
					got[e.Name()] = string(b[:9])
					if strings.Contains(string(b), "\n    credentials_file: fra1.secret\n") != (c.options.WriteSecrets) {
						t.Errorf("%s", b)
					}
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// What fails at the last file takes back the ones before.
func TestWriteFilesTakesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	last := filepath.Join(dir, "signpost.yaml")
	if err := os.Mkdir(last, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, force := range []bool{false, true} {
		err := writeFiles([]newFile{{path: filepath.Join(dir, "a.secret"), content: []byte("a"), mode: 0o600, group: -1}, {path: last, content: []byte("b"), mode: 0o644, group: -1}}, force)
		all, _ := os.ReadDir(dir)
		if err == nil || len(all) != 1 {
			t.Errorf("force %t: %v, and there are %v", force, err, all)
		}
	}
}

// A command without a named file reads the one beside it, and only without that the packages'.
func TestConfigFile(t *testing.T) {
	t.Chdir(t.TempDir())
	packaged := filepath.Join(t.TempDir(), "packaged.yaml")
	for _, c := range []struct{ makes, named, want string }{
		{"", "", "signpost.yaml"},
		{packaged, "", packaged},
		{"", "other.yaml", "other.yaml"},
		{"signpost.yaml", "", "signpost.yaml"},
	} {
		if c.makes != "" {
			if err := os.WriteFile(c.makes, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := configToRead(c.named, packaged); got != c.want {
			t.Errorf("after %q is there, %q: %q, want %q", c.makes, c.named, got, c.want)
		}
	}
}
