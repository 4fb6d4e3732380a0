package importer_test

import (
	"strings"
	"testing"

	"github.com/signpost-fm/signpost/cmd/signpost/importer"
)

// TestBadFiles: one clear line, with the place and the remedy.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	const good = `<icecast><hostname>fra1.radio.example</hostname><listen-socket><port>8000</port></listen-socket></icecast>`
	for _, c := range []struct{ name, content, want string }{
		{"empty", " \n", "f: the file is empty"},
		{"NUL", "a\x00b", "f: the file is no text; give an icecast.xml, a playlist, or a list of URLs"},
		{"entities", "<?xml version=\"1.0\"?>\n<!DOCTYPE icecast [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>\n<icecast>&x;</icecast>", "f:2: it defines entities, which are not read; write the values where they are used"},
		{"billion laughs", `<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><icecast><hostname>&c;</hostname></icecast>`, "f:1: it defines entities"},
		{"an entity that nobody defines", "<icecast>\n<hostname>&host;</hostname></icecast>", "f:2: invalid character entity &host;; entities are not read: write the value itself, and & as &amp;"},
		{"half", "<icecast>\n<listen-socket>\n<port>8000</port>", "f:3: the file ends within <listen-socket>, which begins in line 2; is it cut off?"},
		{"crossed", "<icecast>\n<limits></icecast></limits>", "f:2: it is no XML: element <limits> closed by </icecast>; Icecast would refuse it too"},
		{"another root", "<html><body/></html>", "f:1: its first element is <html>, and an icecast.xml begins with <icecast>; is it the right file?"},
		{"unknown encoding", "<?xml version=\"1.0\" encoding=\"EBCDIC-X\"?>\n" + good, `f:1: the encoding "EBCDIC-X" is not known; save the file as UTF-8, and say so on its first line`},
		{"Latin-1 that does not say so", "<icecast>\n<location>K\xf6ln</location></icecast>", `f:2: it is not UTF-8; if it is Latin-1, its first line must say so: <?xml version="1.0" encoding="ISO-8859-1"?>`},
		{"deep", strings.Repeat("<icecast>", 100), "more or deeper elements than any configuration has"},
		{"no socket for anybody", `<icecast><hostname>h.example</hostname><listen-socket><port>8000</port><bind-address>127.0.0.1</bind-address></listen-socket></icecast>`, "f:1: no <listen-socket> takes listeners from elsewhere; give one a <port>, and no <bind-address> of this machine alone"},
		{"huge", "<icecast>" + strings.Repeat(" ", 5<<20), "f: it is larger than 4 MB; is it the right file?"},
		{"a list with a line that is no URL", "http://fra1.example:8000/live.mp3\nfra2\nhttp://fra3.example:8000/live.mp3\n", `f:2: "fra2" is no URL of a stream or server; write it as in http://fra1.example:8000/live.mp3`},
		{"a playlist with a path", "#EXTM3U\n/music/a.mp3\n", `f:2: "/music/a.mp3" is no URL`},
		{"a table without URLs", "id,country\nfra1,DE\n", "f:1: no column is called url; there are id, country"},
		{"a table with a wrong number", "url,limit\nhttp://fra1.example/a,many\n", `f:2: limit: "many" is not a number of listeners`},
		{"prose", "Dear sir,\nplease find\n", "f:1: "},
		{"a playlist without entries", "[playlist]\nNumberOfEntries=0\n", "f: there is no URL in it"},
		{"a password in a URL", "http://admin:pw@fra1.example:8000/\n", "is no URL of a stream"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := importer.File("f", []byte(c.content), "")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// Latin-1 and its kin are common, and UTF-16 is what some editors write.
func TestEncodings(t *testing.T) {
	t.Parallel()
	body := func(name string) string {
		return `<icecast><hostname>k.example</hostname><listen-socket><port>8000</port></listen-socket><mount><mount-name>/a</mount-name><stream-name>` + name + `</stream-name></mount></icecast>`
	}
	utf16 := []byte{0xff, 0xfe}
	for _, r := range `<?xml version="1.0" encoding="UTF-16"?>` + body("Köln") {
		utf16 = append(utf16, byte(r), byte(r>>8))
	}
	for name, content := range map[string]string{
		"ISO-8859-1":   `<?xml version="1.0" encoding="ISO-8859-1"?>` + body("K\xf6ln"),
		"latin1":       `<?xml version="1.0" encoding="latin1"?>` + body("K\xf6ln"),
		"windows-1252": `<?xml version="1.0" encoding="Windows-1252"?>` + body("K\xf6ln"),
		"a mark":       "\ufeff" + body("Köln"),
		"UTF-16":       string(utf16),
	} {
		found, err := importer.File("f.xml", []byte(content), "")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := found.Servers[0].Mounts[0].Title; got != "Köln" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Whatever a file has, it is refused or becomes a configuration that is read back.
func FuzzFile(f *testing.F) {
	for _, s := range []string{
		"<icecast><hostname>a</hostname><listen-socket><port>1</port></listen-socket><mount><mount-name>/a b</mount-name></mount></icecast>",
		"#EXTM3U\n#EXTINF:-1,Radio\nhttp://a:8000/x\n", "[playlist]\nFile1=http://a/x\n", "url;limit\nhttp://a/x;3\n",
		"<playlist><trackList><track><location>http://a/x</location></track></trackList></playlist>", `<asx><entry><ref href="http://a/x"/></entry></asx>`,
		"\xa0\n", // no-break space of Latin-1
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		found, err := importer.File("f", b, "")
		if err != nil {
			return
		}
		fleet := importer.Combine(found)
		fleet.Command = "test"
		if len(fleet.YAML()) == 0 || len(fleet.Nodes) == 0 {
			t.Errorf("nothing of %q", b)
		}
		for _, n := range fleet.Nodes {
			if n.ID == "" || len(n.URLs) == 0 {
				t.Errorf("%+v of %q", n, b)
			}
		}
	})
}
