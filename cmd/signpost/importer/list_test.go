package importer_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/cmd/signpost/importer"
)

// TestLists: what is made of tables and playlists, as in TestIcecastXML. All nodes are
// taken to play all mounts.
func TestLists(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, content, want string }{
		{"one a line", "# our servers\nhttp://fra1.example:8000/live.mp3\nhttps://fra1.example/live.mp3\nhttp://ams1.example:8000/live.mp3\n", `/live.mp3 -> http://ams1.example:8000/live.mp3 http://fra1.example:8000/live.mp3 https://fra1.example/live.mp3
understood fra1 (f): http://fra1.example:8000, https://fra1.example; /live.mp3
understood ams1 (f): http://ams1.example:8000; /live.mp3
`},
		{"the same stream elsewhere", "http://fra1.example/live.mp3\nhttp://ams1.example/radio/live.mp3\n", `/live.mp3 -> http://ams1.example/radio/live.mp3 http://fra1.example/live.mp3
understood fra1 (f): http://fra1.example; /live.mp3
understood ams1 (f): http://ams1.example; /live.mp3
look at f: http://ams1.example/radio/live.mp3 is taken for the same stream as /live.mp3 elsewhere; correct ` + "`paths`" + ` of the node if it is another
`},
		{"two streams", "http://fra1.example/a.mp3\nhttp://fra1.example/b.mp3\nhttp://ams1.example/a.mp3\n", `/a.mp3 -> http://ams1.example/a.mp3 http://fra1.example/a.mp3
/b.mp3 -> http://ams1.example/b.mp3 http://fra1.example/b.mp3
understood fra1 (f): http://fra1.example; /a.mp3 /b.mp3
understood ams1 (f): http://ams1.example; /a.mp3
look at /b.mp3: only fra1 has it, and Signpost will show that the others lack it; take it out of ` + "`mounts`" + ` if listeners do not need it
`},
		{"a table", "name;url;https;country;limit;weight;contact;enabled\nfrankfurt;http://fra1.example:8000/live.mp3;https://fra1.example;de;1000;3;x@y;1\namsterdam;http://ams1.example:8000/live.mp3;;NL;500;1;x@y;1\nold;http://old.example/live.mp3;;;;;;0\n", `/live.mp3 -> http://ams1.example:8000/live.mp3 http://fra1.example:8000/live.mp3 https://fra1.example/live.mp3
understood frankfurt (f): http://fra1.example:8000, https://fra1.example; in DE; limit 1000; /live.mp3
understood amsterdam (f): http://ams1.example:8000; in NL; limit 500; /live.mp3
left out f:1: the column "contact"
left out f:4: http://old.example/live.mp3, which is not enabled
`},
		{"M3U", "#EXTM3U\r\n#EXTINF:-1,Example Radio\r\nhttp://fra1.example:8000/live.mp3?x=1\r\n", `/live.mp3 -> http://fra1.example:8000/live.mp3
understood fra1 (f): http://fra1.example:8000; /live.mp3
left out f:3: the query of http://fra1.example:8000/live.mp3?x=1; listeners' own queries are passed on
`},
		{"PLS", "[playlist]\nFile1=http://fra1.example:80/live.mp3\nTitle1=Example Radio\nFile2=http://[2001:db8::1]:8000/live.mp3\n", `/live.mp3 -> http://[2001:db8::1]:8000/live.mp3 http://fra1.example/live.mp3
understood fra1 (f): http://fra1.example; /live.mp3
understood 2001-db8--1 (f): http://[2001:db8::1]:8000; /live.mp3
`},
		{"XSPF", `<?xml version="1.0"?><playlist xmlns="http://xspf.org/ns/0/" version="1"><trackList><track><location>http://fra1.example:8000/live.ogg</location><title>R</title></track></trackList></playlist>`, `/live.ogg -> http://fra1.example:8000/live.ogg
understood fra1 (f): http://fra1.example:8000; /live.ogg
`},
		{"ASX", `<ASX version="3.0"><ENTRY><REF HREF="http://fra1.example:8000/live.mp3"/></ENTRY></ASX>`, `/live.mp3 -> http://fra1.example:8000/live.mp3
understood fra1 (f): http://fra1.example:8000; /live.mp3
`},
		{"HLS at a CDN", "https://cdn.example/radio/master.m3u8\nhttp://cdn.example/radio/master.m3u8\n", `/radio/master.m3u8 -> http://cdn.example/radio/master.m3u8 https://cdn.example/radio/master.m3u8
understood cdn (f): http://cdn.example, https://cdn.example; /radio/master.m3u8
`},
		{"servers without streams", "http://fra1.example:8000/\nhttp://ams1.example:8000\n", `/any.mp3 -> http://ams1.example:8000/any.mp3 http://fra1.example:8000/any.mp3
understood fra1 (f): http://fra1.example:8000; mounts not known
understood ams1 (f): http://ams1.example:8000; mounts not known
look at ams1: its mounts are not known, so every mount that a node reports will be served under its own path
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			found, err := importer.File("f", []byte(c.content), "")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, outcome(t, importer.Combine(found))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
