package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInitAsks: a conversation, from a server that cannot be read to the file, with every
// question answered or left at its default.
func TestInitAsks(t *testing.T) {
	t.Parallel()
	icecast := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"icestats":{"server_id":"Icecast 2.4.4","source":[{"listenurl":"http://%s/live.mp3","server_type":"audio/mpeg","listeners":0},{"listenurl":"http://%s/jazz.mp3","server_type":"audio/mpeg","listeners":0}]}}`, r.Host, r.Host)
	}))
	t.Cleanup(icecast.Close)
	dir := t.TempDir()
	xml := filepath.Join(dir, "ams1.xml")
	if err := os.WriteFile(xml, []byte(`<icecast><hostname>ams1.radio.invalid</hostname><listen-socket><port>8000</port></listen-socket><mount><mount-name>/live.mp3</mount-name></mount></icecast>`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name           string
		answers        []string
		exists         bool
		said, has, not []string
		refused        string
	}{
		{
			name: "all", answers: []string{
				filepath.Join(dir, "no.xml"), strings.TrimPrefix(icecast.URL, "http://"), xml, "", // servers
				"http://x/", "fra1.radio.invalid", // the name of 127.0.0.1
				"Germany", "de", "", // countries
				"8010", "http://listen.radio.invalid/", "/live.mp3",
			},
			said: []string{"no such file", "/jazz.mp3 /live.mp3", `"http://x/" is not a host's name`, `"GERMANY" is not a country's two letters`, "By which name do listeners reach the server at 127.0.0.1? [127.0.0.1]", "[:8000]"},
			has:  []string{"- id: fra1\n", "urls: [\"http://fra1.radio.invalid:", "place: DE\n", "- id: ams1\n", "http: [\":8010\"]", "public_urls: [\"http://listen.radio.invalid\"]", "default_mount: /live.mp3"},
			not:  []string{"urls: [\"http://127.0.0.1"},
		},
		{name: "defaults", answers: []string{icecast.URL, "", "", "", "", "", ""}, has: []string{"urls: [\"" + icecast.URL, "- name: /jazz.mp3"}, not: []string{"default_mount", "place:"}},
		{name: "nobody answers any more", answers: []string{icecast.URL}, has: []string{"urls: [\"" + icecast.URL}},
		{name: "no server", refused: "without a server there is nothing to write"},
		{name: "stays", exists: true, answers: []string{"maybe", "no"}, said: []string{"Please answer yes or no."}, refused: "exists, and stays as it is"},
		{name: "replaced", exists: true, answers: []string{"yes", icecast.URL}, has: []string{icecast.URL}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "signpost.yaml")
			if c.exists {
				if err := os.WriteFile(file, []byte("before"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := initCmd{importOptions: importOptions{Out: file, Locate: false}}
			var out, said bytes.Buffer
			err := cmd.run(t.Context(), &console{strings.NewReader(strings.Join(c.answers, "\n") + "\n"), &out, &said}, true)
			got, _ := os.ReadFile(file)
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) || c.exists && string(got) != "before" {
					t.Errorf("%v, %q; want %q", err, got, c.refused)
				}
			} else if err != nil {
				t.Fatalf("%v\n%s", err, said.String())
			}
			for _, want := range c.said {
				if !strings.Contains(said.String(), want) {
					t.Errorf("it did not say %q:\n%s", want, said.String())
				}
			}
			for _, want := range c.has {
				if !strings.Contains(string(got), want) {
					t.Errorf("the file has no %q:\n%s", want, got)
				}
			}
			for _, not := range c.not {
				if strings.Contains(string(got), not) {
					t.Errorf("the file has %q:\n%s", not, got)
				}
			}
		})
	}
}

// Two servers at one host are asked about.
func TestInitAsksWhichOfOneHost(t *testing.T) {
	t.Parallel()
	list := filepath.Join(t.TempDir(), "list.m3u")
	if err := os.WriteFile(list, []byte("http://radio.invalid:8000/live.mp3\nhttp://radio.invalid:8010/live.mp3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "signpost.yaml")
	cmd := initCmd{Sources: []string{list}, importOptions: importOptions{Out: file}}
	var out, said bytes.Buffer
	if err := cmd.run(t.Context(), &console{strings.NewReader("no\nyes\nno\n"), &out, &said}, true); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(file)
	if !strings.Contains(string(got), ":8000\"]") || strings.Contains(string(got), "radio.invalid:8010") || !strings.Contains(said.String(), "radio.invalid has 2 servers") {
		t.Errorf("%s\n%s", got, said.String())
	}
}

// Nobody sits at the null device, which services and scripts give.
func TestInitAsksNobodyAtTheNullDevice(t *testing.T) {
	t.Parallel()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var out, said bytes.Buffer
	cmd := initCmd{importOptions: importOptions{Out: filepath.Join(t.TempDir(), "signpost.yaml")}}
	if err := cmd.Run(t.Context(), &console{null, &out, &said}); err == nil || !strings.Contains(err.Error(), "nobody is at the terminal") || said.Len() > 0 {
		t.Errorf("%v, and it asked %q", err, said.String())
	}
}
