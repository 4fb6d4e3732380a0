package proxy

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/web/proxy/audio"
)

// opaqueRing has chunks of n random bytes each, with a title every third.
func opaqueRing(sizes []int, dice *rand.Rand) (*ring, []byte) {
	r := newRing(0, 128, 0)
	var all []byte
	for i, n := range sizes {
		if i%3 == 1 {
			r.setTitle(&title{audio.NewBlock(fmt.Appendf(nil, "StreamTitle='T%c';", 'a'+i))}, 1)
		}
		b := make([]byte, n)
		for j := range b {
			b[j] = byte(dice.Uint32())
		}
		all = append(all, b...)
		r.add(audio.Unit{Data: b, Start: i == 0}, 1)
		r.publish(1)
	}
	return r, all
}

// TestCursor writes in pieces of all sizes, and gets what a listener must get.
func TestCursor(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		dice := rand.New(rand.NewPCG(seed, 1))
		sizes := make([]int, 1+dice.IntN(20))
		for i := range sizes {
			sizes[i] = 1 + dice.IntN(5000)
		}
		r, all := opaqueRing(sizes, dice)
		metadata := seed%2 == 0
		c := newCursor(r.oldest, []byte("head"), metadata)
		var got []byte
		for {
			pieces := c.gather(make([][]byte, 0, 1+dice.IntN(8)))
			if len(pieces) == 0 {
				break
			}
			flat := bytes.Join(pieces, nil)
			n := 1 + dice.IntN(len(flat))
			got = append(got, flat[:n]...)
			c.advance(n)
		}
		if !bytes.HasPrefix(got, []byte("head")) {
			t.Fatalf("seed %d: no head", seed)
		}
		got = got[len("head"):]
		if metadata {
			got = withoutMetadata(t, got)
		}
		if want := all[len(all)-len(got):]; !bytes.Equal(got, want) || len(got) < min(len(all), defaultBurst) {
			t.Fatalf("seed %d: got %d bytes, not the last of %d", seed, len(got), len(all))
		}
		if c.due() != nil || c.audio != int64(len(got)) {
			t.Fatalf("seed %d: due %v, %d of audio", seed, c.due(), c.audio)
		}
	}
}

// withoutMetadata takes out the blocks of a listener's stream.
func withoutMetadata(t *testing.T, b []byte) []byte {
	t.Helper()
	var sound []byte
	if err := audio.NewDeinterleaver(metaint).Write(b, func(a []byte) { sound = append(sound, a...) }, func([]byte) {}); err != nil {
		t.Fatal(err)
	}
	return sound
}

// mpegRing has seconds chunks of about a second each, published a second apart.
func mpegRing(seconds int) *ring {
	r := newRing(0, 128, 0)
	fill(r, 0, seconds)
	return r
}

func fill(r *ring, from, to int) {
	split := audio.NewSplitter("audio/mpeg")
	now := time.Duration(0)
	split.Write([]byte(numbered(38*from, 38*(to-from))), func(u audio.Unit) {
		r.add(u, now)
		if r.open != nil && len(r.open.ends) == 38 {
			from++
			now = time.Duration(from) * time.Second
			r.publish(now)
		}
	})
}

// TestSlow has a listener that takes less than the bitrate: it skips a bounded
// number of times, always on a frame boundary, and is cut then.
func TestSlow(t *testing.T) {
	t.Parallel()
	p := New(quick())
	r := mpegRing(6)
	s := session{p: p, src: &source{p: p, codec: audio.MPEG, mount: p.mountOf("/a"), ring: r}, cur: newCursor(r.oldest, nil, false)}
	var got []byte
	take := func(n int) {
		for n > 0 {
			piece := s.cur.piece()
			k := min(n, len(piece))
			if k == 0 {
				return
			}
			got = append(got, piece[:k]...)
			s.cur.took(k)
			n -= k
		}
	}
	end, second, skips := End(""), 6, uint64(0)
	for ; end == "" && second < 500; second++ {
		fill(r, second, second+1)
		take(5000) // of some 16,000
		end = s.overdue(time.Duration(second) * time.Second)
		skips = s.src.mount.skips.Load()
	}
	if end != EndListenerSlow || skips != maxSkips {
		t.Errorf("after %d s: %q with %d skips, want %q with %d", second, end, skips, EndListenerSlow, maxSkips)
	}
	if jumps := checkFrames(t, got); jumps != maxSkips {
		t.Errorf("%d jumps in what it got", jumps)
	}
	if held := second - int(s.cur.at.at/time.Second); held > int((2*late)/time.Second) {
		t.Errorf("it held on to %d s", held)
	}

	// Who keeps up for long enough is forgiven.
	s.skips, s.skipped = maxSkips, 0
	fill(r, second, second+1)
	if end := s.overdue(s.skipped + forgiven + time.Duration(second)*time.Second); end != "" {
		t.Errorf("after a long time: %s", end)
	}
}

// TestSkipIntoAnotherLink has a listener of a chained Ogg stream skip, who gets the
// header pages of the link in which it ends up, if that is another one.
func TestSkipIntoAnotherLink(t *testing.T) {
	t.Parallel()
	ogg := audio.Params{Codec: audio.Ogg}
	for name, c := range map[string]struct {
		pages []string // header pages are in capitals
		taken int
		want  string
	}{
		"same link":             {[]string{"HEAD", "first", "second", "third"}, 6, "rst" + "third"},
		"another link":          {[]string{"HEAD", "first", "TITLES", "second", "third"}, 6, "rst" + "TITLES" + "third"},
		"between the pages":     {[]string{"HEAD", "first", "TITLES", "second", "third"}, 9, "TITLES" + "third"},
		"the header is not all": {[]string{"HEAD", "TITLES", "first", "second"}, 0, "HEADTITLES" + "second"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRing(0, 128, 1)
			for _, page := range c.pages {
				header := page == strings.ToUpper(page)
				r.add(audio.Unit{Data: []byte(page), Params: ogg, Header: header, Start: !header}, 1)
				if !header {
					r.publish(1)
				}
			}
			cur := newCursor(r.begin(1), nil, false)
			cur.advance(c.taken)
			_ = cur.due()
			cur.skip(r.latest())
			if got := string(bytes.Join(cur.gather(make([][]byte, 0, maxMore)), nil)); got != c.want {
				t.Errorf("after %d bytes it got %q, want %q", c.taken, got, c.want)
			}
		})
	}
}

// TestGrace has listeners of a director that has run for long. None of them is
// forgiven more than the age of what it began with, not the first either, nor one
// for whom there is nothing to begin with yet.
func TestGrace(t *testing.T) {
	t.Parallel()
	p := New(quick())
	p.epoch = p.epoch.Add(-24 * time.Hour)
	for name, prepare := range map[string]func(*ring){
		"first":          func(*ring) {},
		"second":         func(r *ring) { fillAt(r, p.now()) },
		"nothing begins": func(r *ring) { r.oldest.start = false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := &source{p: p, codec: audio.MPEG, mount: &mount{p: p}, ring: newRing(0, 128, p.now())}
			prepare(src.ring)
			s, at := src.join()
			s.cur = newCursor(at, nil, false)
			fillAt(src.ring, p.now())
			fillAt(src.ring, p.now())
			_ = s.overdue(p.now() + time.Hour)
			if skips := src.mount.skips.Load(); skips != 1 {
				t.Errorf("an hour behind, with a grace of %v, it has skipped %d times, want 1", s.grace, skips)
			}
		})
	}
}

// fillAt adds a chunk that is published now.
func fillAt(r *ring, now time.Duration) {
	audio.NewSplitter("audio/mpeg").Write([]byte(frames(38)), func(u audio.Unit) { r.add(u, now) })
	r.publish(now)
}

// checkFrames checks that b is whole frames of numbered, the last perhaps cut
// short, and counts how often the numbers do not go on.
func checkFrames(t testing.TB, b []byte) (jumps int) {
	t.Helper()
	last := -1
	for len(b) >= 417 {
		n := frameNumber(t, b[:417])
		if last >= 0 && n != last+1 {
			jumps++
		}
		last, b = n, b[417:]
	}
	return jumps
}

func frameNumber(t testing.TB, f []byte) int {
	t.Helper()
	if !bytes.HasPrefix(f, []byte("\xff\xfb\x90\x64")) {
		t.Fatalf("no frame: %q", f[:40])
	}
	n := 0
	for _, c := range f[len(f)-9:] {
		n = 10*n + int(c-'0')
	}
	return n
}

// TestBurst begins a burst behind, wherever that is.
func TestBurst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		burst time.Duration
		want  int // chunks of a second
	}{{0, 5}, {2 * time.Second, 3}, {time.Nanosecond, 1}} {
		r := newRing(c.burst, 128, 0)
		fill(r, 0, 30)
		n := 0
		for at := r.begin(0); at != nil; at = at.next.Load() {
			n++
		}
		if n != c.want {
			t.Errorf("burst %v: %d chunks, want %d", c.burst, n, c.want)
		}
		if len, took, rate := r.measured(); len != c.want*38*417 || took.Seconds()/float64(c.want) < 0.99 || took.Seconds()/float64(c.want) > 1 || rate/1000 != 127 {
			t.Errorf("burst %v: measured %d bytes, %v, %d bit/s", c.burst, len, took, rate)
		}
	}
}
