// Package audio splits live audio streams without decoding them: into the frames of
// MPEG audio and ADTS, or the pages of Ogg. At their boundaries a listener can join a
// stream, skip ahead in it, or be handed from one server to another without upsetting
// its decoder. The package also takes ICY metadata out of a stream.
//
// A [Splitter] is fed what arrives from the network:
//
//	s := audio.NewSplitter("audio/mpeg")
//	s.Write(received, func(u audio.Unit) { ring.add(u.Data, u.Duration, u.Start) })
//
// Where a stream begins for a listener, at the start of a burst or after another server's
// last frame, [Join] makes the first frame decodable there. An Ogg stream begins with its
// header pages instead (see [Unit.Header]).
//
// Nothing here is safe for concurrent use. Nothing starts a goroutine, panics on bad
// input, or keeps its arguments beyond a call.
package audio

import (
	"fmt"
	"time"
)

// A Codec says how a stream is cut into units.
type Codec uint8

// The codecs. Opaque, the zero value, is any format that is not understood.
const (
	Opaque Codec = iota
	MPEG         // MPEG audio, layers I to III
	ADTS         // AAC in ADTS frames
	Ogg          // one logical stream at a time of Vorbis, Opus or FLAC
)

func (c Codec) String() string {
	return [...]string{"opaque", "MPEG", "ADTS", "Ogg"}[c]
}

// Params are what a player must know of a stream before it plays it. They can be
// compared: two streams can be joined on a frame boundary only if their Params are
// equal and neither is Opaque or Ogg.
type Params struct {
	Codec    Codec
	Format   string // "MPEG-1 layer III", "AAC LC", "Vorbis"; "" if Opaque
	Layer    int    // MPEG: 1 to 3; otherwise 0
	Rate     int    // samples a second; HE-AAC declares half of what is played
	Channels int    // joint stereo has 2; 0: the data say how many, not the header
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

// A Unit is a piece of a stream that must not be cut: a frame or a page. In an Opaque
// stream it is whatever bytes arrived.
type Unit struct {
	Data     []byte // valid during the call that hands it out
	Params   Params
	Duration time.Duration // of its audio; 0 if unknown

	// Start is set where a listener may begin: at every frame, and at every Ogg page that
	// does not begin within a packet and is no header page. A listener of an Opaque stream
	// can begin only at its first byte.
	Start bool

	// Header is set for the header pages of an Ogg stream. Every listener who joins must
	// get them before any other page. A header page after a unit that is none begins a new
	// set, because a chained stream has begun; the new set replaces the earlier one for
	// those who join later. A set has at most 256 KB.
	Header bool
}
