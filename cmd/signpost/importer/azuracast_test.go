package importer_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/cmd/signpost/azuracast"
	"github.com/signpost-fm/signpost/cmd/signpost/importer"
	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// answers is an AzuraCast that gives these answers, by path.
func answers(t *testing.T, by map[string]string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := by[r.URL.Path]
		switch {
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		case strings.HasPrefix(body, "403"):
			w.WriteHeader(http.StatusForbidden)
			body = strings.TrimPrefix(body, "403 ")
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

func mount(url, path string, isDefault bool) string {
	return fmt.Sprintf(`{"path":%q,"is_default":%v,"id":1,"name":"128kbps MP3","url":%q,"bitrate":128,"format":"mp3","listeners":{"total":3,"unique":3,"current":3}}`, path, isDefault, url)
}

func remote(url string) string {
	return fmt.Sprintf(`{"id":5,"name":"128kbps MP3 (Relay)","url":%q,"bitrate":null,"format":null,"listeners":{"total":0,"unique":0,"current":0}}`, url)
}

func station(id int, code, mounts, remotes string) string {
	return fmt.Sprintf(`{"station":{"id":%d,"name":"Example %s","shortcode":%q,"description":"","frontend":"icecast","backend":"liquidsoap","listen_url":"x","mounts":[%s],"remotes":[%s],"hls_enabled":false,"hls_url":null},"listeners":{"total":3},"is_online":true}`, id, code, code, mounts, remotes)
}

// TestAzuraCast: what is made of its API's answers, in the shapes that AzuraCast gives its
// mounts: below /listen behind its web server, or at a port of the station's own.
func TestAzuraCast(t *testing.T) {
	t.Parallel()
	const radio = "https://radio.example/listen/studio/radio.mp3"
	for _, c := range []struct {
		name, nowplaying, relays string
		only                     []string
		want                     string
		kind                     string // of the servers at radio.example, and of no others; empty: any
	}{
		{"one station and a relay", station(1, "studio", mount(radio, "/radio.mp3", true), remote("https://relay1.example/listen/studio/radio.mp3")), "", nil,
			`/listen/studio/radio.mp3 -> https://radio.example/listen/studio/radio.mp3 https://relay1.example/listen/studio/radio.mp3
/radio.mp3 -> https://radio.example/listen/studio/radio.mp3 https://relay1.example/listen/studio/radio.mp3
understood radio (AZURA): https://radio.example/listen/studio; /listen/studio/radio.mp3
understood relay1 (AZURA): https://relay1.example/listen/studio; /listen/studio/radio.mp3
`, ""},
		{"SHOUTcast, and a relay that may be none", strings.Replace(station(1, "studio", mount(radio, "/radio.mp3", true), remote("https://relay1.example/listen/studio/radio.mp3")), `"frontend":"icecast"`, `"frontend":"shoutcast2"`, 1), "", nil,
			`/listen/studio/radio.mp3 -> https://radio.example/listen/studio/radio.mp3 https://relay1.example/listen/studio/radio.mp3
/radio.mp3 -> https://radio.example/listen/studio/radio.mp3 https://relay1.example/listen/studio/radio.mp3
understood radio (AZURA): https://radio.example/listen/studio; /listen/studio/radio.mp3
understood relay1 (AZURA): https://relay1.example/listen/studio; /listen/studio/radio.mp3
`, "shoutcast"},
		{"a port for each station", station(1, "studio", mount("http://radio.example:8000/radio.mp3", "/radio.mp3", true), ""), "", nil,
			`/radio.mp3 -> http://radio.example:8000/radio.mp3
understood radio (AZURA): http://radio.example:8000; /radio.mp3
`, ""},
		{"two stations, one host", station(1, "studio", mount(radio, "/radio.mp3", true), "") + "," + station(2, "jazz", mount("https://radio.example/listen/jazz/radio.mp3", "/radio.mp3", true), ""), "", nil,
			`/listen/studio/radio.mp3 -> https://radio.example/listen/studio/radio.mp3
/listen/jazz/radio.mp3 -> https://radio.example/listen/jazz/radio.mp3
understood radio (AZURA): https://radio.example; /listen/jazz/radio.mp3 /listen/studio/radio.mp3
`, ""},
		{"two stations, two ports", station(1, "studio", mount("http://radio.example:8000/radio.mp3", "/radio.mp3", true), "") + "," + station(2, "jazz", mount("http://radio.example:8010/radio.mp3", "/radio.mp3", true), ""), "", nil,
			`/studio/radio.mp3 -> http://radio.example:8000/radio.mp3 http://radio.example:8010/studio/radio.mp3
/jazz/radio.mp3 -> http://radio.example:8000/jazz/radio.mp3 http://radio.example:8010/radio.mp3
understood radio.example-8000 (AZURA): http://radio.example:8000; /studio/radio.mp3
understood radio.example-8010 (AZURA): http://radio.example:8010; /jazz/radio.mp3
look at /studio/radio.mp3: only radio.example-8000 has it, and Signpost will show that the others lack it; take it out of ` + "`mounts`" + ` if listeners do not need it
look at /jazz/radio.mp3: only radio.example-8010 has it, and Signpost will show that the others lack it; take it out of ` + "`mounts`" + ` if listeners do not need it
`, ""},
		{"one of two", station(1, "studio", mount(radio, "/radio.mp3", true), "") + "," + station(2, "jazz", mount("https://radio.example/listen/jazz/radio.mp3", "/radio.mp3", true), ""), "", []string{"jazz"},
			`/listen/jazz/radio.mp3 -> https://radio.example/listen/jazz/radio.mp3
/radio.mp3 -> https://radio.example/listen/jazz/radio.mp3
understood radio (AZURA): https://radio.example/listen/jazz; /listen/jazz/radio.mp3
`, ""},
		{"a key shows more", station(1, "studio", mount(radio, "/radio.mp3", true), ""), `[{"id":1,"name":"Example studio","shortcode":"studio","description":null,"url":null,"genre":null,"type":"icecast","port":8000,"relay_pw":"r","admin_pw":"a","mounts":[` + mount(radio, "/radio.mp3", true) + "," + mount("https://radio.example/listen/studio/hidden.mp3", "/hidden.mp3", false) + `]}]`, nil,
			`/listen/studio/radio.mp3 -> https://radio.example/listen/studio/radio.mp3
/radio.mp3 -> https://radio.example/listen/studio/radio.mp3
/listen/studio/hidden.mp3 -> https://radio.example/listen/studio/hidden.mp3
/hidden.mp3 -> https://radio.example/listen/studio/hidden.mp3
understood radio (AZURA): https://radio.example/listen/studio; /listen/studio/hidden.mp3 /listen/studio/radio.mp3
`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := answers(t, map[string]string{"/api/nowplaying": "[" + c.nowplaying + "]", "/api/internal/relays": c.relays})
			client := &azuracast.Client{URL: s.URL}
			if c.relays != "" {
				client.Key = "a:b"
			}
			found, err := importer.AzuraCast(t.Context(), client, c.only)
			if err != nil {
				t.Fatal(err)
			}
			for _, own := range found.Servers {
				if kind := c.kind; kind != "" && (own.Kind == kind) != (own.Host() == "radio.example") {
					t.Errorf("%s is of kind %q", own.Host(), own.Kind)
				}
			}
			got := strings.ReplaceAll(outcome(t, importer.Combine(found)), s.URL, "AZURA")
			var lines []string
			for line := range strings.Lines(got) {
				if !strings.HasPrefix(line, "check warns no node has an http URL") {
					lines = append(lines, line)
				}
			}
			if diff := cmp.Diff(c.want, strings.Join(lines, "")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestAzuraCastRefused(t *testing.T) {
	t.Parallel()
	good := "[" + station(1, "studio", mount("http://radio.example:8000/radio.mp3", "/radio.mp3", true), "") + "]"
	for _, c := range []struct {
		name string
		by   map[string]string
		key  string
		only []string
		want string
	}{
		{"no station", map[string]string{"/api/nowplaying": "[]"}, "", nil, "it has no station that is public; with an API key in a file (--azuracast-key) others are read too"},
		{"no such station", map[string]string{"/api/nowplaying": good}, "", []string{"jaz"}, `there is no station "jaz"; there are studio`},
		{"a key without rights", map[string]string{"/api/nowplaying": good, "/api/internal/relays": "[]"}, "a:b", nil, `the key may relay no station; give its user a role with "Manage Station Broadcasting"`},
		{"a wrong key", map[string]string{"/api/nowplaying": good, "/api/internal/relays": `403 {"code":403,"type":"NotLoggedInException","message":"You must be logged in to access this page.","success":false}`}, "a:b", nil, "403 You must be logged in to access this page.; see that the file has an API key"},
		{"no AzuraCast", map[string]string{"/api/nowplaying": "<html>"}, "", nil, "the answer is not an AzuraCast's"},
		{"another server", map[string]string{}, "", nil, "404 Not Found; give the URL under which the AzuraCast's own page opens"},
		{"huge", map[string]string{"/api/nowplaying": "[" + strings.Repeat(" ", 5<<20)}, "", nil, "the answer is larger than 4 MB; is it an AzuraCast?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := answers(t, c.by)
			_, err := importer.AzuraCast(t.Context(), &azuracast.Client{URL: s.URL, Key: c.key}, c.only)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// An Icecast that refuses, is none, answers without end, or is not there: a line for each.
func TestAskRefused(t *testing.T) {
	t.Parallel()
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat(" ", 1<<16)); err != nil {
				return
			}
		}
	}))
	t.Cleanup(endless.Close)
	password := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	t.Cleanup(password.Close)
	for _, c := range []struct{ url, want string }{
		{password.URL, "401 Unauthorized; its status page wants a password: give that of its administrator, in a file with the line user:password, by --credentials"},
		{answers(t, map[string]string{"/status-json.xsl": "hello"}).URL, "what is neither Icecast nor SHOUTcast may be given as a list of its URLs"},
		{answers(t, map[string]string{"/status-json.xsl": `{"icestats":{"source":[{"listenurl"`}).URL, "not Icecast's status page: no colon behind a key"},
		{endless.URL, "see that it runs, and that this machine reaches it"},
		{proctest.Nowhere, "connection refused"},
		{"http://admin:hackme@" + strings.TrimPrefix(proctest.Nowhere, "http://"), "no password belongs in a URL"},
		{"ftp://x", "is no URL of a server"},
	} {
		_, err := importer.Ask(t.Context(), []importer.Running{{URL: c.url}})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hackme") {
			t.Errorf("%s:\ngot  %v\nwant %s", c.url, err, c.want)
		}
	}
}
