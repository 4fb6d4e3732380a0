package main

import (
	"bufio"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/web"
)

// crowdPlaces are where the demo's listeners are made up to be: networks in the embedded
// database that are nobody's in the text that the demo prints, and how many of 142
// listeners live there. Longitudes are for their time of day.
var crowdPlaces = []struct {
	network, country string
	longitude        float64 // degrees east
	weight           float64
}{
	{"87.128.40.0/24", "DE", 9, 10}, {"91.64.12.0/24", "DE", 13, 6}, {"86.150.20.0/24", "GB", -1, 8}, {"90.0.30.0/24", "FR", 2, 7},
	{"84.104.50.0/24", "NL", 5, 4}, {"151.20.30.0/24", "IT", 12, 5}, {"83.40.20.0/24", "ES", -4, 4}, {"83.8.60.0/24", "PL", 20, 4},
	{"78.70.30.0/24", "SE", 17, 2}, {"62.178.10.0/24", "AT", 16, 3}, {"62.202.60.0/24", "CH", 8, 3}, {"94.64.20.0/24", "GR", 23, 1},
	{"85.96.30.0/24", "TR", 30, 2}, {"105.112.40.0/24", "NG", 5, 3}, {"102.65.10.0/24", "ZA", 25, 2}, {"41.32.10.0/24", "EG", 31, 2},
	{"41.90.60.0/24", "KE", 37, 1},
	{"73.10.20.0/24", "US", -75, 9}, {"68.40.30.0/24", "US", -87, 7}, {"76.90.40.0/24", "US", -118, 6}, {"24.48.20.0/24", "CA", -73, 3},
	{"70.24.30.0/24", "CA", -79, 2}, {"189.130.20.0/24", "MX", -99, 4}, {"177.32.10.0/24", "BR", -46, 7}, {"190.16.30.0/24", "AR", -58, 3},
	{"190.160.20.0/24", "CL", -70, 2}, {"186.80.20.0/24", "CO", -74, 2},
	{"126.10.20.0/24", "JP", 139, 6}, {"118.1.20.0/24", "JP", 135, 3}, {"49.36.20.0/24", "IN", 77, 4}, {"36.66.10.0/24", "ID", 107, 3},
	{"112.200.30.0/24", "PH", 121, 2}, {"121.6.20.0/24", "SG", 104, 2}, {"1.40.20.0/24", "AU", 151, 3}, {"121.72.20.0/24", "NZ", 175, 1},
	{"112.160.30.0/24", "KR", 127, 3}, {"27.64.20.0/24", "VN", 106, 2}, {"58.8.20.0/24", "TH", 100, 1},
}

// crowdPlayers are what the demo's listeners listen with. All of them follow a redirect.
var crowdPlayers = []string{
	"VLC/3.0.20 LibVLC/3.0.20",
	"AppleCoreMedia/1.0.0.21E236 (iPhone; U; CPU OS 17_4_1 like Mac OS X; en_us)",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36",
	"Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0",
	"ExampleRadio/4.2 (Linux;Android 14) ExoPlayerLib/2.19.1",
	"Lavf/60.16.100",
	"Winamp/5.91",
}

const (
	// crowdMost bounds the demo's listeners: each takes two descriptors and some 20 KB.
	crowdMost = 1000
	// crowdStay is how long a listener stays on average.
	crowdStay = 5 * time.Minute
	// crowdPatience bounds each step of asking and of connecting, all on this machine.
	crowdPatience = 2 * time.Second
)

// A crowd is listeners that are made up: they ask a director from addresses around the
// world, follow its redirect, and read the stream. They come and go, more by day where
// they live than by night. One goroutine serves all of them.
type crowd struct {
	url   string        // of the mount, at the director
	size  int           // how many there are on average
	sip   time.Duration // how often a listener reads, which is what it costs; the kernel keeps what comes meanwhile
	pause time.Duration // before a listener whose stream has ended asks again, on average
	fill  time.Duration // how soon the first ones are there

	people  []*crowdListener
	arrived int
	next    time.Time // when the next one comes
	buffer  [64 << 10]byte
}

type crowdListener struct {
	addr, player string
	leaves       time.Time
	due          time.Time // when it reads, or asks again
	conn         net.Conn  // its stream; nil: none
}

func newCrowd(url string, size int) *crowd {
	return &crowd{url: url, size: size, sip: 8 * time.Second, pause: 3 * time.Second, fill: 10 * time.Second}
}

// run serves the crowd until ctx ends. Nobody is connected when it returns.
func (c *crowd) run(ctx context.Context) {
	defer func() {
		for _, l := range c.people {
			l.hangUp()
		}
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			c.arrive(now)
			c.people = slices.DeleteFunc(c.people, func(l *crowdListener) bool {
				if now.Before(l.leaves) {
					return false
				}
				l.hangUp()
				return true
			})
			for _, l := range c.people {
				if !now.Before(l.due) {
					c.serve(ctx, l, now)
				}
			}
		}
	}
}

// arrive adds whoever has come by now: all in the beginning, and then as many as leave on
// average. Since stays are exponentially distributed, numbers vary as they do at a station.
func (c *crowd) arrive(now time.Time) {
	if at := now.Add(-time.Second); c.next.Before(at) { // whoever would have come while this machine slept does not
		c.next = at
	}
	for ; !c.next.After(now); c.arrived++ {
		pause := c.fill
		if c.arrived >= c.size {
			pause = times(crowdStay, rand.ExpFloat64())
		}
		c.next = c.next.Add(pause / time.Duration(c.size))
		if len(c.people) > c.size*5/4 {
			continue
		}
		c.people = append(c.people, &crowdListener{
			addr: someAddr(now), player: crowdPlayers[rand.IntN(len(crowdPlayers))],
			leaves: now.Add(times(crowdStay, rand.ExpFloat64())), due: now,
		})
	}
}

// serve lets a listener read what has come, or ask for the stream.
func (c *crowd) serve(ctx context.Context, l *crowdListener, now time.Time) {
	var err error
	if l.conn == nil {
		l.conn, err = c.open(ctx, l)
	} else if err = l.conn.SetReadDeadline(now.Add(100 * time.Millisecond)); err == nil {
		_, err = l.conn.Read(c.buffer[:])
	}
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded) && l.conn != nil: // a node that is silent is left when it hangs up
		l.due = now.Add(times(c.sip, .75+rand.Float64()/2))
	default: // turned away, or the node has died: as players do, it asks again
		l.hangUp()
		l.due = now.Add(times(c.pause, .5+rand.Float64()))
	}
}

// open asks the director for the stream, and returns the connection that it comes on.
func (c *crowd) open(ctx context.Context, l *crowdListener) (net.Conn, error) {
	conn, to, err := l.ask(ctx, c.url)
	if err == nil && to != "" {
		_ = conn.Close() // it has answered
		conn, to, err = l.ask(ctx, to)
		if err == nil && to != "" {
			_ = conn.Close()
			return nil, errors.New("redirected twice")
		}
	}
	return conn, err
}

// ask asks url for a stream. It returns the connection that the stream follows on, or
// where the listener is redirected to.
func (l *crowdListener) ask(ctx context.Context, url string) (net.Conn, string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, "", err
	}
	r.Header.Set("User-Agent", l.player)
	r.Header.Set("X-Forwarded-For", l.addr)
	r.Close = true
	conn, err := (&net.Dialer{Timeout: crowdPatience}).DialContext(ctx, "tcp", r.URL.Host)
	if err != nil {
		return nil, "", err
	}
	err = conn.SetDeadline(time.Now().Add(crowdPatience))
	if err == nil {
		err = r.Write(conn)
	}
	if err == nil {
		var a *http.Response
		if a, err = http.ReadResponse(bufio.NewReader(conn), r); err == nil { //nolint:bodyclose // the connection is the stream, and its caller closes it
			switch a.StatusCode {
			case http.StatusFound:
				return conn, a.Header.Get("Location"), nil
			case http.StatusOK: // what was read of the stream is not missed
				return conn, "", nil
			}
			err = errors.New(a.Status)
		}
	}
	_ = conn.Close() // of no use
	return nil, "", err
}

func (l *crowdListener) hangUp() {
	if l.conn != nil {
		_ = l.conn.Close() // a listener that leaves does not care
		l.conn = nil
	}
}

// someAddr returns an address of somebody who may be listening now.
func someAddr(now time.Time) string {
	sum := 0.0
	for _, p := range crowdPlaces {
		sum += p.weight * awake(now, p.longitude)
	}
	left := sum * rand.Float64()
	for _, p := range crowdPlaces {
		if left -= p.weight * awake(now, p.longitude); left < 0 {
			addr := netip.MustParsePrefix(p.network).Addr().As4()
			addr[3] = byte(1 + rand.IntN(254))
			return netip.AddrFrom4(addr).String()
		}
	}
	return someAddr(now) // sums in floating point differ: next to never
}

// awake is the part of the people at a longitude that may be listening: from 0.1 at 3 in
// the morning to 1 at 3 in the afternoon, local solar time.
func awake(now time.Time, longitude float64) float64 {
	now = now.UTC()
	hour := float64(now.Hour()) + float64(now.Minute())/60 + longitude/15
	return .55 - .45*math.Cos((hour-3)/24*2*math.Pi)
}

// ofCrowd says whether a record is of a listener that is made up.
func ofCrowd(r *web.Record) bool { return crowdNetworks[r.Client] }

var crowdNetworks = func() map[netip.Prefix]bool {
	out := map[netip.Prefix]bool{}
	for _, p := range crowdPlaces {
		out[netip.MustParsePrefix(p.network)] = true
	}
	return out
}()

// times multiplies a duration.
func times(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }
