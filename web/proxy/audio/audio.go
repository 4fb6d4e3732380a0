// Package audio takes live audio streams apart without decoding them: into the
// frames of MPEG audio and ADTS, or the pages of Ogg, so that listeners can join
// a stream, skip ahead in it and be handed from one server to another at places
// where a decoder does not stumble. It also takes ICY metadata out of a stream.
//
// A [Splitter] is fed what comes from the network:
//
//	s := audio.NewSplitter("audio/mpeg")
//	s.Write(received, func(u audio.Unit) { ring.add(u.Data, u.Duration, u.Start) })
//
// When a stream begins anew for a listener, at the start of a burst or behind
// another server's last frame, [Join] makes the first frame bear that. An Ogg
// stream begins with its header pages instead (see [Unit.Header]).
//
// Nothing here is safe for concurrent use; nothing starts a goroutine, panics on
// bad input or keeps what it was given beyond a call.
package audio

import (
	"fmt"
	"time"
)

// A Codec says how a stream is cut into units.
type Codec uint8

// The codecs. Opaque is whatever is not understood, and the zero value.
const (
	Opaque Codec = iota
	MPEG         // MPEG audio, layers I to III
	ADTS         // AAC in ADTS frames
	Ogg          // one logical stream at a time of Vorbis, Opus or FLAC
)

func (c Codec) String() string {
	return [...]string{"opaque", "MPEG", "ADTS", "Ogg"}[c]
}

// Params describe a stream as far as a player must know it beforehand. They can
// be compared: two streams can be joined on a frame boundary only if theirs are
// equal, and neither is Opaque or Ogg.
type Params struct {
	Codec    Codec
	Format   string // "MPEG-1 layer III", "AAC LC", "Vorbis"; "" if Opaque
	Layer    int    // MPEG: 1 to 3; otherwise 0
	Rate     int    // samples a second; HE-AAC tells half of what is played
	Channels int    // joint stereo has 2; 0 where the header leaves it to the data
}

func (p Params) String() string {
	if p.Codec == Opaque {
		return p.Codec.String()
	}
	channels := "channels unsaid"
	switch p.Channels {
	case 0:
	case 1:
		channels = "mono"
	case 2:
		channels = "stereo"
	default:
		channels = fmt.Sprintf("%d channels", p.Channels)
	}
	return fmt.Sprintf("%s, %d Hz, %s", p.Format, p.Rate, channels)
}

// A Unit is a piece of a stream that is never to be cut: a frame, a page, or
// whatever came if the stream is Opaque.
type Unit struct {
	Data     []byte // valid during the call that hands it out
	Params   Params
	Duration time.Duration // of its audio; 0 if unknown

	// Start is set where a listener may begin: at every frame, and at the pages
	// of Ogg that begin with a packet's beginning. An Opaque stream can only be
	// begun at its first byte.
	Start bool

	// Header is set for the header pages of an Ogg stream, which everyone who
	// joins it must be given before any other page. One that follows a unit
	// which is no header begins a new set, because a chained stream has begun,
	// and the set before is void for those who join later. A set has at most
	// 256 KB.
	Header bool
}
