package probe

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// tape is a server with one mount, of which Icecast counts the bytes every 5 s.
type tape struct {
	began time.Time
	last  time.Time
	bytes float64
	kind  string                            // media type
	told  float64                           // kbit/s
	kbit  func(since time.Duration) float64 // what comes in
}

func (s *tape) play(context.Context) (answer, error) {
	now := time.Now()
	if s.began.IsZero() {
		s.began, s.last, s.bytes = now, now, 1
	}
	for ; s.last.Add(5 * time.Second).Before(now); s.last = s.last.Add(5 * time.Second) {
		for i := range 5 {
			s.bytes += s.kbit(s.last.Sub(s.began)+time.Duration(i)*time.Second) * 1000 / 8
		}
	}
	a := answer{detail: "fine", mounts: []director.MountReport{{Path: "/a", Type: s.kind}}, read: map[string]int64{"/a": int64(s.bytes)}}
	if s.told > 0 {
		a.told = map[string]float64{"/a": s.told}
	}
	return a, nil
}

// TestRate: five minutes all is well, then two are not, then all is well again.
func TestRate(t *testing.T) {
	const well, troubled = 5 * time.Minute, 2 * time.Minute
	const mp3 = "audio/mpeg"
	then := func(before, while float64) func(time.Duration) float64 {
		return func(since time.Duration) float64 {
			if since > well && since < well+troubled {
				return while
			}
			return before
		}
	}
	short := func(since time.Duration) float64 {
		if since > well && since < well+35*time.Second {
			return 1000
		}
		return 128
	}
	variable := func(since time.Duration) float64 {
		if since > well && since < well+troubled {
			return 20 // silence
		}
		return []float64{80, 190, 100, 160, 210, 70, 90}[int(since/(20*time.Second))%7]
	}
	for name, c := range map[string]struct {
		source tape
		kbit   int // declared
		told   bool
		gone   bool
	}{
		"all is well":             {tape{kind: mp3, told: 128, kbit: then(128, 128)}, 0, false, false},
		"it starves":              {tape{kind: mp3, told: 128, kbit: then(128, 30)}, 0, true, true},
		"by what is declared":     {tape{kind: mp3, kbit: then(64, 10)}, 64, true, true},
		"nothing is known":        {tape{kind: mp3, kbit: then(64, 10)}, 0, false, false},
		"a little slow":           {tape{kind: mp3, told: 128, kbit: then(128, 70)}, 0, false, false},
		"it runs away":            {tape{kind: mp3, told: 128, kbit: then(128, 500)}, 0, true, true},
		"a backlog":               {tape{kind: mp3, told: 128, kbit: short}, 0, false, false},
		"AAC may be silent":       {tape{kind: "audio/aac", told: 64, kbit: then(64, 4)}, 0, true, false},
		"variable, and silent":    {tape{kind: mp3, told: 128, kbit: variable}, 0, true, false},
		"it never told the truth": {tape{kind: mp3, told: 128, kbit: then(32, 32)}, 0, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config{}, func(t *testing.T, f *fleet) {
				source := c.source
				f.play(urlOf("a"), source.play)
				f.SetNodes([]director.Node{node("a")}, []director.Mount{{Name: "/a", Kbit: c.kbit}})
				<-f.First()
				var gone, back, told time.Duration
				for begin := time.Now(); time.Since(begin) < well+troubled+2*time.Minute; time.Sleep(time.Second) {
					r := f.report("a")
					since := time.Since(begin)
					switch {
					case len(r.Mounts) == 0 && gone == 0:
						gone = since
					case len(r.Mounts) > 0 && gone > 0 && back == 0:
						back = since
					}
					if told == 0 && strings.Contains(r.Detail, "kbit/s and should at") {
						told = since
					}
				}
				if (gone > 0) != c.gone || (told > 0) != c.told {
					t.Fatalf("gone after %v, told of after %v", gone, told)
				}
				if c.gone && (gone < well+40*time.Second || gone > well+100*time.Second || back < well+troubled || back > well+troubled+45*time.Second) {
					t.Errorf("gone after %v, back after %v", gone, back)
				}
				if n := strings.Count(f.log.String(), `msg="mount does not play" node=a mount=/a why="nothing comes in (`); c.gone && n != 1 {
					t.Errorf("%d lines of it:\n%s", n, f.log)
				}
			})
		})
	}
}
