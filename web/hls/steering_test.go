package hls

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSteering(t *testing.T) {
	t.Parallel()
	s := Steering{TTL: 10, Reload: "https://dir.test/live.steer?s=a&t=1", Priority: []string{"n1", "n2"}}
	want := `{"VERSION":1,"TTL":10,"RELOAD-URI":"https://dir.test/live.steer?s=a&t=1","PATHWAY-PRIORITY":["n1","n2"]}`
	if got := string(s.Append([]byte("x"), false)); got != "x"+want {
		t.Error(got)
	}
	want = strings.TrimSuffix(want, "}") + `,"SERVICE-LOCATION-PRIORITY":["n1","n2"]}`
	if got := string(s.Append(nil, true)); got != want {
		t.Error(got)
	}
}

// TestAllocations: an answer to a player allocates nothing here.
func TestAllocations(t *testing.T) {
	s := Steering{TTL: 10, Reload: "https://dir.test/live.steer?s=a&t=1", Priority: []string{"n1", "n2"}}
	buf := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { buf = s.Append(buf[:0], true) }); n > 0 {
		t.Errorf("Append: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { ParseAsked("s=tok&_HLS_pathway=n1&_HLS_throughput=5140000") }); n > 0 {
		t.Errorf("ParseAsked: %v allocations", n)
	}
	pathways := nodes(t, film, film)
	buf = make([]byte, 0, 8<<10)
	if n := testing.AllocsPerRun(100, func() { buf, _ = Merge(buf[:0], pathways, server) }); n > 10 {
		t.Errorf("Merge: %v allocations", n)
	}
}

// TestAsked: what players were seen to send, and what nobody should.
func TestAsked(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]Asked{
		"": {},
		"s=tok&_HLS_pathway=n1&_HLS_throughput=5140000": {Pathway: "n1", Throughput: 5140000, Session: "tok"}, // hls.js, VHS
		"_HLS_pathway=%22n1%22&_HLS_throughput=5140000": {Pathway: "n1", Throughput: 5140000},                 // as specified
		"s=tok": {Session: "tok"}, // Shaka's first question
		"s=tok&_DASH_pathway=%22n1%22&_DASH_throughput=700":                          {Pathway: "n1", Throughput: 700, Dash: true, Session: "tok"},
		"_DASH_pathway=%22n1%2Cn2%22&_DASH_throughput=700%2C900":                     {Pathway: "n2", Several: `"n1,n2"`, Throughput: 900, Dash: true}, // dash.js after a change
		"_DASH_pathway=\"n1,n2\"&_DASH_throughput=,":                                 {Pathway: "n2", Several: `"n1,n2"`, Dash: true},
		"_DASH_pathway=%22n1%22%2C%22n2%22&_DASH_throughput=700%2C":                  {Pathway: "n2", Several: `"n1","n2"`, Dash: true}, // 700 was at n1
		"_DASH_pathway=n1,&_DASH_throughput=":                                        {Pathway: "n1", Dash: true},
		"_HLS_pathway=n1&_HLS_pathway=n2&_HLS_throughput=1&_HLS_throughput=2":        {Pathway: "n2", Throughput: 2},
		"_HLS_pathway=n1&_HLS_pathway=":                                              {Pathway: "n1"},
		"_HLS_throughput=1234.56":                                                    {Throughput: 1234},
		"_HLS_throughput=-5&_HLS_pathway=%":                                          {},
		"_HLS_throughput=NaN":                                                        {},
		"_HLS_throughput=99999999999999999999":                                       {},
		"_HLS_throughput=9999999999999":                                              {},
		"&&=&_HLS_pathway&s":                                                         {},
		"_hls_pathway=n1":                                                            {},
		"s=a%2Bb+c&s=":                                                               {Session: "a+b c"},
		"_DASH_pathway=" + url.QueryEscape(`"a","b",`) + "&_DASH_throughput=1,2,3,,": {Pathway: "b", Several: `"a","b",`, Dash: true},
	} {
		if got := ParseAsked(query); got != want {
			t.Errorf("%s: %+v, want %+v", query, got, want)
		}
	}
	for list, want := range map[string]bool{`"a,b"`: true, `"b","a"`: true, "a": false, "b,c": false, ",": false, "b,aa": false} {
		if a := ParseAsked("_DASH_pathway=" + url.QueryEscape(list)); a.Names("a") != want || a.Names("") {
			t.Errorf("%s: %+v", list, a)
		}
	}
}

// TestLeast: what a player needs to play the smallest of what there is.
func TestLeast(t *testing.T) {
	t.Parallel()
	const variant, frames = "#EXT-X-STREAM-INF:BANDWIDTH=%s\n%s.m3u8\n", "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9000,URI=\"i.m3u8\"\n"
	for _, c := range []struct {
		bandwidths []string
		want       int64
	}{
		{[]string{"128000"}, 128_000},
		{[]string{"256000", "64000", "128000"}, 64_000},
		{[]string{"0", "128000"}, 128_000},
		{[]string{"128000", "-5"}, 128_000},
		{[]string{"0"}, 0},
	} {
		text, sets := "#EXTM3U\n"+frames, ""
		for _, b := range c.bandwidths {
			text += fmt.Sprintf(variant, b, b)
			sets += fmt.Sprintf(`<Representation id="r%s" bandwidth="%[1]s"/>`, b)
		}
		at := &url.URL{Scheme: "http", Host: "a.test", Path: "/live.m3u8"}
		m, err := ParseMultivariant([]byte(text), at)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Least(); got != c.want {
			t.Errorf("HLS with %v: %d, want %d", c.bandwidths, got, c.want)
		}
		d, err := ParseMPD([]byte("<MPD><Period><AdaptationSet>"+sets+"</AdaptationSet></Period></MPD>"), at)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Least(); got != c.want {
			t.Errorf("DASH with %v: %d, want %d", c.bandwidths, got, c.want)
		}
	}
}

func FuzzAsked(f *testing.F) {
	f.Add("s=tok&_HLS_pathway=n1&_HLS_throughput=5140000")
	f.Add("_DASH_pathway=%22n1%2Cn2%22&_DASH_throughput=700%2C900")
	f.Fuzz(func(t *testing.T, query string) {
		if got := ParseAsked(query); got.Throughput < 0 || got.Throughput > maxThroughput || strings.Contains(got.Pathway, ",") {
			t.Errorf("%+v", got)
		}
	})
}

// FuzzSteering: whatever is in it, a manifest is JSON that says the same.
func FuzzSteering(f *testing.F) {
	f.Add("https://dir.test/?a=\"\\\x00", "n1")
	f.Fuzz(func(t *testing.T, reload, id string) {
		s := Steering{TTL: 5, Reload: reload, Priority: []string{id}}
		var got struct {
			Reload   string   `json:"RELOAD-URI"`
			Priority []string `json:"PATHWAY-PRIORITY"`
		}
		if err := json.Unmarshal(s.Append(nil, true), &got); err != nil {
			t.Fatal(err)
		}
		if utf8.ValidString(reload) && utf8.ValidString(id) && (got.Reload != reload || got.Priority[0] != id) {
			t.Errorf("%q, %q", got.Reload, got.Priority)
		}
	})
}
