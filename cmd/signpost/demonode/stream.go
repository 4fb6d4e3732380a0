package demonode

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// burst is how much a listener gets at once, in frames: 4 s, as Icecast's 64 KB
	// are at 128 kbit/s.
	burst = int(4 * time.Second / frameTime)
	// metaint is the audio between two blocks of metadata, in bytes: 1 s, as
	// Icecast's 16000 bytes are at 128 kbit/s.
	metaint = bitRate / 8
	// pace is how often a listener gets audio: rarely, for each time costs; the burst is longer.
	pace = 50 * frameTime
	// stall is how long a write to a listener may block.
	stall = 15 * time.Second
)

// play sends the mount to one listener until the listener leaves. All listeners hear the
// same point of the node's tune.
func (n *Node) play(w http.ResponseWriter, r *http.Request, m *mount) {
	h := w.Header()
	h.Set("Content-Type", "audio/mpeg")
	h.Set("Connection", "close")
	h.Set("Transfer-Encoding", "identity") // not chunked, ends with the connection; not sent itself
	h["icy-name"] = []string{"Signpost demo: " + n.opts.Name + ", " + n.opts.Tune.Name}
	h["icy-description"] = []string{"A melody of four bars, again and again"}
	h["icy-genre"] = []string{"Demo"}
	h["icy-br"] = []string{strconv.Itoa(bitRate / 1000)}
	h["icy-pub"] = []string{"0"}
	s := sink{w: w}
	if r.Header.Get("Icy-MetaData") == "1" {
		h["icy-metaint"] = []string{strconv.Itoa(metaint)}
		s.left, s.metadata = metaint, true
	}
	m.peak.Store(max(m.peak.Load(), m.listeners.Add(1)))
	defer m.listeners.Add(-1)

	control := http.NewResponseController(w)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for next := n.live() - burst; ; {
		due := n.live()
		_ = control.SetWriteDeadline(time.Now().Add(stall))
		for ; next < due; next++ {
			title := ""
			if s.metadata {
				title = n.title(next)
			}
			if s.write(n.opts.Tune.frame(next), title) != nil {
				return
			}
		}
		if control.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// sink writes audio, with blocks of metadata in between if the listener asked for them.
type sink struct {
	w        http.ResponseWriter
	metadata bool
	left     int    // bytes of audio until the next block of metadata
	told     string // the title sent last
}

func (s *sink) write(audio []byte, title string) error {
	for s.metadata && len(audio) >= s.left {
		if _, err := s.w.Write(audio[:s.left]); err != nil {
			return err
		}
		block := []byte{0} // nothing new
		if title != s.told {
			block, s.told = metadataBlock(title), title
		}
		if _, err := s.w.Write(block); err != nil {
			return err
		}
		audio, s.left = audio[s.left:], metaint
	}
	_, err := s.w.Write(audio)
	s.left -= len(audio)
	return err
}

// metadataBlock returns a block with the title: the number of units of 16 bytes, and the
// units. It replaces quotes, which would end the title: the format has no escape.
func metadataBlock(title string) []byte {
	text := "StreamTitle='" + strings.ReplaceAll(title, "'", "’") + "';"
	units := min(255, (len(text)+15)/16)
	block := make([]byte, 1+16*units)
	block[0] = byte(units)
	copy(block[1:], text)
	return block
}
