package hls

import (
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// mpds returns MPDs as read from nodes n1, n2, ... at hosts of the same name.
func mpds(t testing.TB, texts ...string) (out []MPDPathway) {
	t.Helper()
	for i, text := range texts {
		id := fmt.Sprintf("n%d", i+1)
		m, err := ParseMPD([]byte(text), at(t, "https://"+id+".test/dash/live.mpd?x=1"))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, MPDPathway{id, m})
	}
	return out
}

const (
	dashServer = "https://dir.test/live.mpd.steer?s=a&t=b"
	location   = "https://dir.test/live.mpd?s=a&t=b"
)

func mergedMPD(t testing.TB, p []MPDPathway) string {
	t.Helper()
	out, err := MergeMPD(nil, p, dashServer, location)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestMergeMPD: what players need in order to be moved is added to the first choice's MPD,
// and the rest stays as it is.
func TestMergeMPD(t *testing.T) {
	t.Parallel()
	text := string(sample(t, "ffmpeg-5.1.9-timeline.mpd"))
	p := mpds(t, text, text)
	p[0], p[1] = p[1], p[0]
	got := mergedMPD(t, p)
	added := `<BaseURL serviceLocation="n2">https://n2.test/dash/</BaseURL>` +
		`<BaseURL serviceLocation="n1">https://n1.test/dash/</BaseURL>` +
		`<Location>https://dir.test/live.mpd?s=a&amp;t=b</Location>` +
		`<ContentSteering defaultServiceLocation="n2">https://dir.test/live.mpd.steer?s=a&amp;t=b</ContentSteering>`
	if strings.Count(got, added) != 1 {
		t.Fatalf("no %s in\n%s", added, got)
	}
	squeeze := func(s string) string { return strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s) }
	if rest := squeeze(strings.Replace(got, added, "", 1)); rest != squeeze(text) {
		t.Errorf("the rest is\n%s\ninstead of\n%s", rest, squeeze(text))
	}
	if strings.Index(got, added) < strings.Index(got, "</ProgramInformation>") || strings.Index(got, added) > strings.Index(got, "<Period") {
		t.Errorf("at the wrong place:\n%s", got)
	}
}

// TestMPDOfPackagers: what ffmpeg writes is understood.
func TestMPDOfPackagers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 11, 42, 31, 0, time.UTC)
	const near = "its suggestedPresentationDelay is less than its minBufferTime: players have next to nothing in their buffers, and stall"
	for _, c := range []struct {
		name      string
		dynamic   bool
		published string
		update    time.Duration
		last      string
		ends      string
		warning   string
	}{
		{"ffmpeg-5.1.9-timeline.mpd", true, "2026-11-30T11:42:30.931Z", 2 * time.Second, "chunk-stream0-00004.m4s", "2026-11-30T11:42:30.882Z", near},
		{"ffmpeg-5.1.9-number.mpd", true, "2026-11-30T11:42:30.692Z", 500 * time.Second, "chunk-stream0-00004.m4s", "2026-11-30T11:42:30.678Z", ""},
		{"ffmpeg-5.1.9-ended.mpd", false, "0001-01-01T00:00:00Z", 0, "chunk-stream0-00007.m4s", "0001-01-01T00:00:13Z", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := mpds(t, string(sample(t, c.name)))[0].MPD
			if m.Dynamic != c.dynamic || m.Published.Format(time.RFC3339Nano) != c.published || m.Update != c.update || strings.Join(m.Warnings, "\n") != c.warning {
				t.Errorf("dynamic %v, published %v, update %v, warnings %q", m.Dynamic, m.Published, m.Update, m.Warnings)
			}
			s, ok := m.Newest(now)
			if !ok || s.URI != "https://n1.test/dash/"+c.last || s.Init != "https://n1.test/dash/init-stream0.m4s" || s.Ends.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano) != c.ends {
				t.Errorf("%+v, %v", s, ok)
			}
		})
	}
}

// dash is a live MPD; %s is put into the MPD before its Period, into the Period, and into the
// SegmentTemplate.
func dash(root, period, template, timeline string) string {
	return `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" xmlns:xlink="http://www.w3.org/1999/xlink" type="dynamic" availabilityStartTime="2026-01-01T00:00:00Z">` +
		root + `<Period id="p" start="PT0S">` + period + `<AdaptationSet mimeType="audio/mp4"><Representation id="a" bandwidth="64000" codecs="mp4a.40.2">` +
		`<SegmentTemplate timescale="1000" initialization="i.mp4" ` + template + `>` + timeline + `</SegmentTemplate></Representation></AdaptationSet></Period></MPD>`
}

const numbered = `media="$RepresentationID$-$Number%05d$.m4s"`

// TestMPDTolerated: what fits one node only is replaced or made to fit all, and told.
func TestMPDTolerated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want, not, warning string }{
		{"an own steering", dash(`<ContentSteering>https://other.test/s</ContentSteering>`, "", numbered, ""), "", "other.test", "other.test/s is replaced"},
		{"an own steering of a service", dash(`<ServiceDescription id="0"><ContentSteering>/s</ContentSteering><Latency target="1"/></ServiceDescription>`, "", numbered, ""),
			`<Latency target="1"/>`, ">/s<", "/s is replaced"},
		{"an own location", dash(`<Location>https://n1.test/live.mpd</Location>`, "", numbered, ""), "", "https://n1.test/live.mpd", ""},
		{"a patch", dash(`<PatchLocation>patch.mpp</PatchLocation>`, "", numbered, ""), "", "patch.mpp", "PatchLocation is left out"},
		{"an own base", dash(`<BaseURL availabilityTimeOffset="1.9" serviceLocation="x">media/</BaseURL>`, "", numbered, ""),
			`<BaseURL serviceLocation="n1" availabilityTimeOffset="1.9">https://n1.test/dash/media/</BaseURL>`, `"x"`, ""},
		{"a base that is a file", dash(`<BaseURL>../m/x.mp4?a&amp;b</BaseURL>`, "", numbered, ""), `<BaseURL serviceLocation="n1">https://n1.test/m/</BaseURL>`, "x.mp4", ""},
		{"two bases", dash(`<BaseURL>https://cdn.test/</BaseURL><BaseURL>https://cdn2.test/</BaseURL>`, "", numbered, ""),
			`<BaseURL serviceLocation="n1">https://cdn.test/</BaseURL>`, "cdn2", "only the first is used"},
		{"a base of a period", dash("", `<BaseURL>https://n1.test/dash/p1/</BaseURL>`, numbered, ""), `<BaseURL>p1/</BaseURL>`, "", ""},
		{"a base of a period from the root", dash("", `<BaseURL>/dash/p1/</BaseURL>`, numbered, ""), `<BaseURL>p1/</BaseURL>`, "", ""},
		{"a base of a period without a scheme", dash("", `<BaseURL>//n1.test/dash/p1/</BaseURL>`, numbered, ""), `<BaseURL>p1/</BaseURL>`, "", ""},
		{"another server", dash("", `<BaseURL>https://cdn.test/p1/</BaseURL>`, numbered, ""), `<BaseURL>https://cdn.test/p1/</BaseURL>`, "", "leads players to cdn.test"},
		{"absolute segments", dash("", "", `media="https://n1.test/dash/a/$Number$.m4s"`, ""), `media="a/$Number$.m4s"`, "", ""},
		{"a clock", dash("", "", numbered, "") + "", "", "", ""},
		{"clocks", dash(`<UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-iso:2014" value="time /t?a&amp;b"/>`, "", numbered, ""), `value="https://n1.test/dash/time https://n1.test/t?a&amp;b"`, "", ""},
		{"a delay as long as the buffer", strings.Replace(dash("", "", numbered, ""), "<MPD ", `<MPD suggestedPresentationDelay="PT4S" minBufferTime="PT4S" `, 1), `suggestedPresentationDelay="PT4S"`, "", ""},
		{"a delay of nonsense", strings.Replace(dash("", "", numbered, ""), "<MPD ", `<MPD suggestedPresentationDelay="soon" minBufferTime="PT4S" `, 1), `suggestedPresentationDelay="soon"`, "", ""},
		{"another clock", dash(`<UTCTiming schemeIdUri="urn:mpeg:dash:utc:ntp:2014" value="ntp.test"/>`, "", numbered, ""), `value="ntp.test"`, "", ""},
		{"a remote element", dash(`<Period xlink:href="ad.xml"/>`, "", numbered, ""), `xlink:href="https://n1.test/dash/ad.xml"`, "", ""},
		{"a resolved remote element", dash(`<Period xlink:href="urn:mpeg:dash:resolve-to-zero:2013"/>`, "", numbered, ""), `xlink:href="urn:mpeg:dash:resolve-to-zero:2013"`, "", ""},
		{"DRM and what is not known", dash("", `<ContentProtection schemeIdUri="urn:x"><cenc:pssh xmlns:cenc="urn:y">AAA=</cenc:pssh></ContentProtection><new:thing xmlns:new="urn:z" a="1 &lt; 2"/>`, numbered, ""),
			`<ContentProtection schemeIdUri="urn:x"><cenc:pssh xmlns:cenc="urn:y">AAA=</cenc:pssh></ContentProtection><new:thing xmlns:new="urn:z" a="1 &lt; 2"/>`, "", ""},
		{"the mark", dash("<!--here-->", "", numbered, ""), "<!--here-->", "", ""},
		{"a prefix", `<m:MPD xmlns:m="urn:mpeg:dash:schema:mpd:2011"><m:Period/></m:MPD>`, `<m:BaseURL serviceLocation="n1">`, "<BaseURL", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := mpds(t, c.text)
			got := mergedMPD(t, p)
			if !strings.Contains(got, c.want) || c.not != "" && strings.Contains(strings.ReplaceAll(got, location, ""), c.not) {
				t.Errorf("want %s and no %q in\n%s", c.want, c.not, got)
			}
			if w := strings.Join(p[0].MPD.Warnings, "\n"); !strings.Contains(w, c.warning) || c.warning == "" && w != "" {
				t.Errorf("warnings: %q, want %q", w, c.warning)
			}
		})
	}
}

func TestMPDRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, why string }{
		{"empty", " \n", "empty"},
		{"HTML", "<!doctype html>", "HTML"},
		{"a playlist", "#EXTM3U", "is XML"},
		{"no XML", "<MPD>", "no XML"},
		{"another root", "<x/>", "root"},
		{"a DOCTYPE", `<!DOCTYPE MPD [<!ENTITY a "b">]>` + dash("", "", numbered, ""), "DOCTYPE"},
		{"an entity", dash("&lol;", "", numbered, ""), "no XML"},
		{"Latin-1", "<MPD a='\xe9'/>", "UTF-8"},
		{"deep", strings.Repeat("<MPD>", 100_000) + strings.Repeat("</MPD>", 100_000), "depth"},
		{"endless", "<MPD>" + strings.Repeat("<!-- -->", MaxText/8), "more than 4 MiB"},
		{"no start", `<MPD type="dynamic"><Period/></MPD>`, "availabilityStartTime"},
		{"no period", `<MPD/>`, "no Period"},
		{"no duration", `<MPD minimumUpdatePeriod="P1M"><Period/></MPD>`, "minimumUpdatePeriod"},
		{"a start that is none", `<MPD><Period start="soon"/></MPD>`, "@start"},
		{"a base of this node", dash("", "<BaseURL>/other/</BaseURL>", numbered, ""), "at this node only"},
		{"segments of this node", dash("", "", `media="https://n1.test/$Number$.m4s"`, ""), "at this node only"},
		{"a file", dash("", "<BaseURL>file:///etc/</BaseURL>", numbered, ""), "http or https only"},
		{"a file of all", dash("<BaseURL>file:///etc/</BaseURL>", "", numbered, ""), "http or https only"},
		{"no scale", dash("", "", numbered+` presentationTimeOffset="-1"`, ""), "presentationTimeOffset"},
		{"no times", dash("", "", numbered, `<SegmentTimeline><S t="0" d="0"/></SegmentTimeline>`), "S 1"},
		{"times that are too many", dash("", "", numbered, `<SegmentTimeline><S t="0" d="1" r="99999999999"/></SegmentTimeline>`), "S 1"},
		{"times that overflow", dash("", "", numbered, `<SegmentTimeline><S t="0" d="9223372036854775807" r="5"/></SegmentTimeline>`), "S 1"},
		{"too many representations", `<MPD><Period><AdaptationSet>` + strings.Repeat(`<Representation id="x"/>`, 10_000) + `</AdaptationSet></Period></MPD>`, "more than 2000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseMPD([]byte(c.text), at(t, "https://n1.test/dash/live.mpd"))
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(e.Reason, c.why) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestAgreeMPD: nodes whose segments are others under the same names are left out, and one whose
// MPD is only older or newer is not.
func TestAgreeMPD(t *testing.T) {
	t.Parallel()
	line := func(s string) string { return "<SegmentTimeline>" + s + "</SegmentTimeline>" }
	first := dash("", "", numbered+` startNumber="7"`, line(`<S t="14000" d="2000" r="2"/>`)) // 7: 14000, 8: 16000, 9: 18000
	timed := dash("", "", `media="$Time$.m4s"`, line(`<S t="14000" d="2000" r="2"/>`))
	plain := dash("", "", numbered+` duration="2000"`, "")
	for _, c := range []struct{ name, a, b, why string }{
		{"the same", first, first, ""},
		{"newer", first, dash("", "", numbered+` startNumber="8"`, line(`<S t="16000" d="2000" r="2"/>`)), ""},
		{"much newer", first, dash("", "", numbered+` startNumber="99"`, line(`<S t="216000" d="2000" r="2"/>`)), ""},
		{"in other runs", first, dash("", "", numbered+` startNumber="8"`, line(`<S t="16000" d="2000"/><S d="2000"/>`)), ""},
		{"other numbers", first, dash("", "", numbered+` startNumber="8"`, line(`<S t="14000" d="2000" r="2"/>`)), "others under the same names"},
		{"other boundaries", first, dash("", "", numbered+` startNumber="7"`, line(`<S t="15000" d="2000" r="2"/>`)), "others under the same names"},
		{"numbers that do not count", timed, dash("", "", `media="$Time$.m4s" startNumber="5"`, line(`<S t="16000" d="2000" r="2"/>`)), ""},
		{"other times", timed, dash("", "", `media="$Time$.m4s"`, line(`<S t="16001" d="2000" r="2"/>`)), "others under the same names"},
		{"plain", plain, plain, ""},
		{"plain, from another number", plain, dash("", "", numbered+` duration="2000" startNumber="0"`, ""), "others under the same names"},
		{"another start", first, strings.Replace(first, "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", 1), "@availabilityStartTime"},
		{"the same start in other words", first, strings.Replace(first, "2026-01-01T00:00:00Z", "2026-01-01T01:00:00.000+01:00", 1), ""},
		{"another codec", first, strings.Replace(first, "mp4a.40.2", "opus", 1), "codecs=opus"},
		{"another bandwidth", first, strings.Replace(first, "64000", "96000", 1), "96000 bit/s"},
		{"another period", first, strings.Replace(first, `id="p"`, `id="q"`, 1), "no Period"},
		{"ended", first, strings.Replace(first, "dynamic", "static", 1), "live"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := mpds(t, c.a, c.a, c.b)
			agreed, odd := AgreeMPD(p)
			if c.why == "" {
				if len(odd) > 0 {
					t.Error(odd)
				}
				return
			}
			if len(agreed) != 2 || len(odd) != 1 || odd[0].ID != "n3" || !strings.Contains(odd[0].Why, c.why) || !strings.Contains(odd[0].Why, "n1") {
				t.Errorf("%v, %v", agreed, odd)
			}
			if _, err := MergeMPD(nil, p, dashServer, location); err == nil || !strings.Contains(err.Error(), "n3") {
				t.Errorf("MergeMPD: %v", err)
			}
		})
	}
}

// TestNewest: the newest segment is told by a timeline, or by the time.
func TestNewest(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, template, timeline string
		since                    time.Duration
		want                     string // empty: none is known
		listed                   bool
	}{
		{"by time", numbered + ` duration="2000"`, "", 20 * time.Second, "a-00010.m4s 20s", false},
		{"by time, a little earlier", numbered + ` duration="2000"`, "", 19999 * time.Millisecond, "a-00009.m4s 18s", false},
		{"by time, from 0", numbered + ` duration="2000" startNumber="0"`, "", 20 * time.Second, "a-00009.m4s 20s", false},
		{"by time, too early", numbered + ` duration="2000"`, "", time.Second, "", false},
		{"before the start", numbered + ` duration="2000"`, "", -time.Hour, "", false},
		{"by a timeline", `media="x$$$Time$.m4s" presentationTimeOffset="1000"`, `<SegmentTimeline><S t="5000" d="2000" r="1"/><S d="1000"/></SegmentTimeline>`, time.Hour, "x$9000.m4s 9s", true},
		{"by a timeline without an end", numbered, `<SegmentTimeline><S t="0" d="2000" r="-1"/></SegmentTimeline>`, 21 * time.Second, "a-00010.m4s 20s", false},
		{"by a timeline whose last run has not begun", numbered, `<SegmentTimeline><S t="0" d="2000" r="4"/><S d="3000" r="-1"/></SegmentTimeline>`, 11 * time.Second, "a-00005.m4s 10s", false},
		{"until the next", numbered, `<SegmentTimeline><S t="0" d="2000" r="-1"/><S t="10000" d="1000"/></SegmentTimeline>`, time.Hour, "a-00006.m4s 11s", true},
		{"an empty timeline", numbered, `<SegmentTimeline/>`, time.Hour, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, ok := mpds(t, dash("", "", c.template, c.timeline))[0].MPD.Newest(start.Add(c.since))
			got := ""
			if ok {
				got = strings.TrimPrefix(s.URI, "https://n1.test/dash/") + " " + s.Ends.Sub(start).String()
			}
			if got != c.want || s.Listed != c.listed {
				t.Errorf("%s, listed %v, want %s", got, s.Listed, c.want)
			}
		})
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"PT2.5S": 2500 * time.Millisecond, "PT1H2M3S": time.Hour + 2*time.Minute + 3*time.Second, "P1DT1M": 24*time.Hour + time.Minute, "PT0S": 0, "PT0H0M8.00S": 8 * time.Second,
	} {
		if got, err := parseDuration(text); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "P", "PT", "2S", "PT2", "PTS", "P1Y", "P1M", "-PT2S", "PT2S3M", "PT1e9S", "P999999999D"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func FuzzMPD(f *testing.F) {
	for _, name := range []string{"ffmpeg-5.1.9-timeline.mpd", "ffmpeg-5.1.9-number.mpd", "ffmpeg-5.1.9-ended.mpd"} {
		f.Add(sample(f, name))
	}
	f.Add([]byte(dash(`<BaseURL>media/</BaseURL>`, "", numbered, `<SegmentTimeline><S t="0" d="2000" r="4"/><S d="3000" r="-1"/></SegmentTimeline>`)))
	here := at(f, "https://n1.test/dash/live.mpd")
	now := time.Date(2026, 11, 30, 11, 42, 31, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseMPD(text, here)
		if err != nil {
			return
		}
		if s, ok := m.Newest(now); ok && s.Length < 0 {
			t.Fatalf("%+v", s)
		}
		out, err := MergeMPD(nil, []MPDPathway{{"a", m}, {"b", m}}, dashServer, location)
		if err != nil {
			t.Fatal(err)
		}
		if err := xml.Unmarshal(out, new(struct{})); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	})
}
