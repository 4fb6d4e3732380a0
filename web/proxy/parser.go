package proxy

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/signpost-fm/signpost/web/proxy/audio"
)

const (
	// readSize is how much is read from a node at once, in bytes.
	readSize = 16 << 10
	// readSizeAlone is the same for an upstream that is one listener's own: a second at
	// 32 kbit/s.
	readSizeAlone = 4 << 10
	// maxAhead is how far a node may run ahead of real time before it is read more
	// slowly: bursts are some seconds long.
	maxAhead = time.Minute
	// settling is how long after its first audio a source publishes at once what arrives,
	// so that its first listeners get the node's burst without delay.
	settling = time.Second
)

// A parser takes the audio and the titles out of what a node sends. It is used by the
// goroutine that reads from the node, unless a method says otherwise.
type parser struct {
	s     *source
	up    *upstream
	meta  *audio.Deinterleaver
	split *audio.Splitter
	found chan struct{} // closed with the first frame
	codec audio.Codec

	framed bool  // the type promises frames
	passed int64 // bytes of audio that have arrived
	bad    error
	first  time.Duration // when the first frame arrived
	took   time.Duration // duration of the audio since then

	// until is when the node counts as silent, by the Proxy's clock. Each second of audio
	// postpones it by two, up to the source's patience from now: a node that only trickles
	// falls behind, and a node whose clock is slow does not.
	until atomic.Int64
	heard atomic.Int64 // when the last audio arrived
	held  atomic.Int64 // since when the node is kept waiting; 0: it is being read
	now   time.Duration
}

func (p *parser) begin(up *upstream) {
	p.up, p.found = up, make(chan struct{})
	typ := mediaType(up.head.get("Content-Type"))
	p.split, p.framed = audio.NewSplitter(typ), isFramed(typ)
	interval, _ := strconv.Atoi(up.head.get("icy-metaint")) // judge has checked it
	p.meta = audio.NewDeinterleaver(interval)
}

// write processes what arrived from the node.
func (p *parser) write(b []byte, now time.Duration) error {
	p.now = now
	if err := p.meta.Write(b, p.audio, p.title); err != nil {
		return refuse(WhyMetadata, "%v", err)
	}
	return p.bad
}

func (p *parser) audio(b []byte) {
	if p.passed == 0 {
		if typ := http.DetectContentType(b); hasPrefixFold(typ, "text/html") || hasPrefixFold(typ, "text/xml") {
			p.bad = refuse(WhyNotAudio, "the body is a page, though it is said to be %.100q", p.up.head.get("Content-Type"))
			return
		}
	}
	p.passed += int64(len(b))
	p.split.Write(b, p.unit)
}

// unit processes one unit of the stream.
func (p *parser) unit(u audio.Unit) {
	if p.bad != nil {
		return
	}
	if u.Params.Codec == audio.Opaque && (p.first > 0 && p.codec != audio.Opaque || p.framed) {
		p.bad = refuse(WhyNotAudio, "64 KB without a frame, though it is said to be %.100q", p.up.head.get("Content-Type"))
		return
	}
	s := p.s
	p.heard.Store(int64(p.now))
	if p.first == 0 {
		p.first, p.codec = p.now, u.Params.Codec
		p.until.Store(int64(p.now + s.patience()))
		defer close(p.found)
	}
	p.took += u.Duration
	most := int64(p.now + s.patience())
	if until := p.until.Load() + 2*int64(u.Duration); u.Duration > 0 && until < most {
		p.until.Store(until)
	} else {
		p.until.Store(most)
	}
	s.ring.add(u, p.now)
}

// title processes the content of a metadata block.
func (p *parser) title(content []byte) {
	p.s.ring.setTitle(&title{audio.NewBlock(content)}, p.now)
}

// ahead returns how far the node is ahead of real time.
func (p *parser) ahead(now time.Duration) time.Duration { return p.took - (now - p.first) }

// slack returns how long the node may still be silent. Safe for concurrent use.
func (p *parser) slack(now time.Duration) time.Duration {
	return time.Duration(p.until.Load()) - p.listening(now)
}

// quiet returns for how long no audio has arrived. Safe for concurrent use.
func (p *parser) quiet(now time.Duration) time.Duration {
	return p.listening(now) - time.Duration(p.heard.Load())
}

// listening returns when the node was last read: now, unless it is kept waiting.
func (p *parser) listening(now time.Duration) time.Duration {
	if held := time.Duration(p.held.Load()); held > 0 {
		return held
	}
	return now
}

// hold keeps the node waiting while wait runs. This time does not count as silence of the
// node.
func (p *parser) hold(wait func()) {
	since := p.s.p.now()
	p.held.Store(int64(since))
	wait()
	waited := int64(p.s.p.now() - since)
	p.until.Add(waited)
	p.heard.Add(waited)
	p.held.Store(0)
}

// read reads what the node sends until that fails.
func (s *source) read(up *upstream) error {
	size := readSize
	if s.alone {
		size = readSizeAlone
	}
	buf := make([]byte, size)
	p := s.parser
	for {
		n, err := up.Read(buf)
		if n > 0 {
			s.arrived.Add(int64(n))
			now := s.p.now()
			opening := p.first == 0
			if bad := p.write(buf[:n], now); bad != nil {
				return bad
			}
			if opening && p.first > 0 { // HeaderTimeout is over; the next Read may be after it
				_ = up.conn.SetDeadline(time.Time{})
			}
			if p.first > 0 && now-p.first < settling {
				s.publish()
			}
			if p.codec == audio.Opaque && p.first > 0 {
				p.hold(s.awaitSpace)
			} else if ahead := p.ahead(now); ahead > maxAhead {
				p.hold(func() { s.rest(ahead - maxAhead) })
			}
		}
		if err != nil {
			if p.first == 0 {
				return openingError(WhyEnded, err)
			}
			return err
		}
	}
}

// rest keeps a node waiting that sends faster than real time.
func (s *source) rest(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
	}
}
