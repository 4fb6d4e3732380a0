package probe

import (
	"fmt"
	"time"
)

// Bytes that come in far too slowly mean silence for listeners, whose buffers run dry
// again and again; far too many bytes are not a stream of the expected kind. But few
// streams can be judged by their rate. With a variable bitrate, and with most AAC
// encoders even with a constant one, a minute of silence takes next to nothing; and the
// bitrate that a source reports may be wrong for ever. So a mount counts as not flowing
// only if it is MP3, has come in at its reported or declared bitrate, as only a constant
// one does, and has been far from it for long enough. For all others the report's detail
// names the odd rate.
const (
	// rateSpan is the time over which a rate is measured: Icecast updates its byte count
	// every 5 s, and both ends of a span are seen up to a probe interval late.
	rateSpan = 20 * time.Second
	// steadySpans is how many spans in a row establish a constant bitrate, and oddSpans
	// how many show that it is gone: one minute each.
	steadySpans, oddSpans = 3, 3
	// steadyWithin is how far a constant bitrate's measurement may be off, as a fraction:
	// two seconds of each span, and some metadata.
	steadyWithin = .15
	// rateLow and rateHigh bound a plausible rate, as fractions of the bitrate. A source
	// that cannot keep up is mostly far below; half the bitrate is not held against it.
	rateLow, rateHigh = .4, 2.5
)

// rate is how fast bytes come in from a mount's source.
type rate struct {
	from   int64 // the byte count when the span began
	at     time.Time
	kbit   float64 // kbit/s of the last span; 0: not measured yet
	steady int     // spans in a row near the bitrate, up to steadySpans
	odd    int     // spans in a row far from it
}

// note records a byte count that has changed. kbit is the mount's expected rate;
// 0: not known.
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

// pause discards the current span, in which the server itself stood still.
func (r *rate) pause(bytes int64, now time.Time) { r.from, r.at = bytes, now }

// implausible says whether a constant bitrate is gone: nothing of use comes in any more.
func (r *rate) implausible() bool { return r.steady >= steadySpans && r.odd >= oddSpans }

// describe describes a rate that is far from the expected one; empty: it is not.
func (r *rate) describe(path string, kbit float64) string {
	if r.odd < oddSpans {
		return ""
	}
	return fmt.Sprintf("%s comes in at %.0f kbit/s and should at %.0f", path, r.kbit, kbit)
}
