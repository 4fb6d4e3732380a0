package probe

import (
	"fmt"
	"time"
)

// Bytes that come in far too slowly are silence to listeners, whose buffers run dry
// again and again, and far too many are no stream of that kind. But few streams can
// be judged by it: with a variable bitrate, and with most AAC encoders also with a
// constant one, a minute of silence takes next to nothing; and a bitrate that a
// source tells of itself may be wrong for ever. So a mount counts as not flowing only
// if it is MP3, did come in at the bitrate that it tells or that is declared, as only
// a constant one does, and no longer does for long enough. All others are told of.
const (
	// rateSpan is over what the rate is measured: Icecast counts bytes every 5 s, and
	// both ends are seen up to an interval late.
	rateSpan = 20 * time.Second
	// steadySpans is how many spans in a row show a constant bitrate, and oddSpans how
	// many that it is no longer there: one minute.
	steadySpans, oddSpans = 3, 3
	// steadyWithin is how far from its bitrate a constant one may be measured: two
	// seconds of each span, and some metadata.
	steadyWithin = .15
	// rateLow and rateHigh bound what is plausible, in parts of the bitrate. A source
	// that cannot keep up is mostly far below, and half of it is left to doubt.
	rateLow, rateHigh = .4, 2.5
)

// rate is how fast bytes come in from a mount's source.
type rate struct {
	from   int64 // what the number was
	at     time.Time
	kbit   float64 // of the last span; 0: not measured yet
	steady int     // spans in a row near the bitrate, up to steadySpans
	odd    int     // spans in a row far from it
}

// note takes in the number of bytes when it has changed. kbit is what the mount is to
// have; 0: not known.
func (r *rate) note(bytes int64, now time.Time, kbit float64) {
	switch span := now.Sub(r.at); {
	case r.at.IsZero(), bytes < r.from: // another source
		*r = rate{from: bytes, at: now}
		return
	case span < rateSpan:
		return
	default:
		r.kbit = float64(bytes-r.from) * 8 / 1000 / span.Seconds()
		r.from, r.at = bytes, now
	}
	part := r.kbit / kbit // NaN or infinite where kbit is 0
	switch {
	case kbit <= 0:
		r.steady, r.odd = 0, 0
	case part < rateLow || part > rateHigh:
		r.odd++
	default:
		r.odd = 0
		if part >= 1-steadyWithin && part <= 1+steadyWithin {
			r.steady = min(r.steady+1, steadySpans)
		} else if r.steady < steadySpans {
			r.steady = 0
		}
	}
}

// pause forgets the span under way, in which the server itself stood still.
func (r *rate) pause(bytes int64, now time.Time) { r.from, r.at = bytes, now }

// implausible says whether nothing of use comes in any more.
func (r *rate) implausible() bool { return r.steady >= steadySpans && r.odd >= oddSpans }

// describe tells of a rate that is far from what it should be; empty: it is not.
func (r *rate) describe(path string, kbit float64) string {
	if r.odd < oddSpans {
		return ""
	}
	return fmt.Sprintf("%s comes in at %.0f kbit/s and should at %.0f", path, r.kbit, kbit)
}
