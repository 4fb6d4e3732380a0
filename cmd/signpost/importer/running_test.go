package importer_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/cmd/signpost/importer"
)

// dnas is a SHOUTcast with these pages. What it does not know it answers as SHOUTcast 1 does,
// with a status line of its own.
func dnas(t *testing.T, pages map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page, ok := pages[r.URL.RequestURI()]; ok && strings.HasPrefix(r.UserAgent(), "Mozilla/") {
			_, _ = io.WriteString(w, page)
			return
		}
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprint(c, "ICY 404 Resource Not Found\r\nicy-notice1:<BR>SHOUTcast Distributed Network Audio Server/Linux v1.9.8<BR>\r\n\r\n")
		c.Close()
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestAskShoutcast: what is made of running SHOUTcasts, by any URL of theirs. Listeners of a
// numbered stream come by a public name with an ending, and by SHOUTcast's own paths.
func TestAskShoutcast(t *testing.T) {
	t.Parallel()
	two := dnas(t, map[string]string{"/statistics?json=1": `{"totalstreams":3,"activestreams":3,"currentlisteners":15,"maxlisteners":512,"version":"2.6.1.777 (posix(linux x64))","streams":[` +
		`{"id":10,"currentlisteners":0,"maxlisteners":500,"servertitle":"Ten","streamstatus":1,"streampath":"\/stream\/10\/","bitrate":"64","content":"audio\/aacp"},` +
		`{"id":1,"currentlisteners":10,"maxlisteners":500,"servertitle":"One","streamstatus":1,"streampath":"\/","bitrate":"96","content":"audio\/mpeg"},` +
		`{"id":3,"currentlisteners":5,"maxlisteners":100,"servertitle":"Jazz","streamstatus":1,"streampath":"\/jazz","bitrate":"128","content":"audio\/aacp"}]}`})
	one := dnas(t, map[string]string{"/7.html?sid=1": "<html><body>7,1,80,320,6,64,F &amp; G, live</body></html>"})
	silent := dnas(t, map[string]string{"/7.html?sid=1": "<html><body>0,0,80,320,0,64,</body></html>"})
	for _, c := range []struct {
		name string
		urls []string
		want string
		has  []string
	}{
		{"SHOUTcast 2", []string{two + "/stream/1/"}, `/jazz -> TWO/jazz
/stream1.mp3 -> TWO/stream/1/
/stream10.aac -> TWO/stream/10/
understood 127.0.0.1 (TWO/stream/1/): TWO; SHOUTcast 2.6.1.777 (posix(linux x64)); limit 512; /jazz /stream1.mp3 /stream10.aac
look at TWO/stream/1/: 127.0.0.1 is this machine itself, wherever it is asked: write the name by which listeners reach it under ` + "`urls`" + ` of 127.0.0.1
`, []string{"kind: shoutcast\n", "sids:\n    \"1\": /stream1.mp3\n    \"10\": /stream10.aac\n", "target: 341 "}},
		{"SHOUTcast 1", []string{one + "/;"}, `/stream1 -> ONE/;
understood 127.0.0.1 (ONE/;): ONE; SHOUTcast; limit 320; /stream1
look at ONE/;: 127.0.0.1 is this machine itself, wherever it is asked: write the name by which listeners reach it under ` + "`urls`" + ` of 127.0.0.1
`, []string{"kind: shoutcast\n", "/stream1: \"/;\"\n", "limit: 320 # what its stream tells"}},
		{"no source", []string{silent}, `/any.mp3 -> SILENT/any.mp3
understood 127.0.0.1 (SILENT): SILENT; SHOUTcast; mounts not known
look at SILENT: it does not tell how many listeners it admits; write ` + "`target` and `limit`" + `, its MaxUser
look at SILENT: it plays nothing at present, so its streams are not known; give each a line of ` + "`paths`, as in /live.mp3: /stream/1/" + `
look at 127.0.0.1: its mounts are not known, so every mount that a node reports will be served under its own path
look at SILENT: 127.0.0.1 is this machine itself, wherever it is asked: write the name by which listeners reach it under ` + "`urls`" + ` of 127.0.0.1
`, nil},
		{"beside an Icecast", []string{answers(t, map[string]string{"/status-json.xsl": `{"icestats":{"server_id":"Icecast 2.4.4","source":{"listenurl":"http://h/live.mp3","listeners":3}}}`}).URL, two}, "", []string{"kind: shoutcast\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var all []importer.Running
			for _, u := range c.urls {
				all = append(all, importer.Running{URL: u, Admin: importer.Credentials{User: "admin", Password: "a"}})
			}
			found, err := importer.Ask(t.Context(), all)
			if err != nil {
				t.Fatal(err)
			}
			f := importer.Combine(found)
			got := strings.NewReplacer(two, "TWO", one, "ONE", silent, "SILENT").Replace(outcome(t, f))
			if diff := cmp.Diff(c.want, got); c.want != "" && diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, want := range c.has {
				if file := string(f.YAML()); !strings.Contains(file, want) {
					t.Errorf("no %q in\n%s", want, file)
				}
			}
		})
	}
}
