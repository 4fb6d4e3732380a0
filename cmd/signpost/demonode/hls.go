package demonode

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The tune in segments, for players of HLS: a multivariant playlist with one variant, which
// lists MP3 as it is ("packed audio", RFC 8216, 3.4). Segments are counted since 1970, so
// that all nodes have the same numbers and times, and a node that comes back goes on where
// the others are.
const (
	// HLSPath is the path of the multivariant playlist at each node.
	HLSPath  = "/live.m3u8"
	hlsMedia = "/live/audio.m3u8"
	hlsType  = "application/vnd.apple.mpegurl"

	// hlsCodec is MP3, by the name that Apple's authoring specification gives it.
	hlsCodec = "mp4a.40.34"

	segmentFrames = 80
	segmentTime   = segmentFrames * frameTime // 1.92 s
	// segmentsListed is how many segments the playlist names; as many again can still be had.
	segmentsListed = 6
)

// serveHLS answers what belongs to the HLS stream, and says whether it does.
func (n *Node) serveHLS(w http.ResponseWriter, r *http.Request) bool {
	live := int64(time.Duration(time.Now().UnixNano()) / segmentTime) // the one that is being played
	switch r.URL.Path {
	case HLSPath:
		w.Header().Set("Content-Type", hlsType)
		_, _ = fmt.Fprintf(w, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-STREAM-INF:BANDWIDTH=%d,CODECS=%q\n%s\n",
			int64(segmentSize*8*1000)/segmentTime.Milliseconds(), hlsCodec, strings.TrimPrefix(hlsMedia, "/"))
		return true
	case hlsMedia:
		w.Header().Set("Content-Type", hlsType)
		_, _ = w.Write(mediaPlaylist(live))
		return true
	}
	name, is := strings.CutPrefix(r.URL.Path, "/live/")
	name, isMP3 := strings.CutSuffix(name, ".mp3")
	number, err := strconv.ParseInt(name, 10, 64)
	if !is || !isMP3 || err != nil || number >= live || number < live-2*segmentsListed {
		return false
	}
	w.Header().Set("Content-Type", "audio/mpeg")
	w.Header().Set("Cache-Control", "max-age=60")
	_, _ = w.Write(n.opts.Tune.segment(number))
	return true
}

// mediaPlaylist lists the segments before the one that is being played.
func mediaPlaylist(live int64) []byte {
	first := live - segmentsListed
	b := fmt.Appendf(nil, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-PROGRAM-DATE-TIME:%s\n",
		first, time.Unix(0, first*int64(segmentTime)).UTC().Format("2006-01-02T15:04:05.000Z"))
	for i := first; i < live; i++ {
		b = fmt.Appendf(b, "#EXTINF:%.3f,\n%d.mp3\n", segmentTime.Seconds(), i)
	}
	return b
}

// id3Size is the size of the tag that says when a segment begins: the tag's header, a
// frame's header, the owner of that frame, and a time of 8 bytes.
const (
	id3Owner    = "com.apple.streaming.transportStreamTimestamp\x00"
	id3Size     = 10 + 10 + len(id3Owner) + 8
	segmentSize = id3Size + segmentFrames*frameBytes
)

// segment returns a segment: an ID3 tag with the time of its first sample, as the
// specification wants for packed audio, and MP3 frames.
func (t *Tune) segment(number int64) []byte {
	const clock, wrap = 90_000, 1 << 33 // of MPEG's time stamps, in Hz, and where they begin anew
	b := make([]byte, 0, segmentSize)
	b = append(b, "ID3\x04\x00\x00\x00\x00\x00"...)
	b = append(b, byte(id3Size-10)) // "sync-safe": less than 128
	b = append(b, "PRIV\x00\x00\x00"...)
	b = append(b, byte(id3Size-20), 0, 0)
	b = append(b, id3Owner...)
	b = binary.BigEndian.AppendUint64(b, uint64(number*int64(clock*segmentTime/time.Second)%wrap))
	for i := range segmentFrames {
		b = append(b, t.frame(int(number)*segmentFrames+i)...)
	}
	return b
}
