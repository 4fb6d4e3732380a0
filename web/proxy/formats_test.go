package proxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// encode makes some seconds of a tone.
func encode(t *testing.T, seconds string, args ...string) []byte {
	t.Helper()
	proctest.Need(t, "ffmpeg")
	args = append([]string{"-v", "error", "-f", "lavfi", "-i", "sine=frequency=440:duration=" + seconds + ":sample_rate=44100"}, append(args, "-")...)
	out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).Output()
	if err != nil {
		t.Fatalf("ffmpeg: %v", err)
	}
	return out
}

// TestJoinFormats lets a listener join each format in the midst of the stream, and
// a decoder find nothing wrong with what it gets.
func TestJoinFormats(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		typ, demuxer string
		args         []string
	}{
		"MPEG": {"audio/mpeg", "mp3", []string{"-c:a", "libmp3lame", "-b:a", "128k", "-write_xing", "0", "-id3v2_version", "0", "-f", "mp3"}},
		"ADTS": {"audio/aac", "aac", []string{"-c:a", "aac", "-b:a", "96k", "-f", "adts"}},
		"Ogg":  {"application/ogg", "ogg", []string{"-c:a", "libvorbis", "-b:a", "96k", "-page_duration", "100000", "-f", "ogg"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stream := encode(t, "30", c.args...)
			goOn := make(chan struct{})
			n := startNode(t, func(conn net.Conn) {
				_, _ = io.WriteString(conn, "HTTP/1.0 200 OK\r\nContent-Type: "+c.typ+"\r\n\r\n")
				_, _ = conn.Write(stream[:len(stream)/2])
				<-goOn
				_, _ = conn.Write(stream[len(stream)/2:])
				_, _ = io.Copy(io.Discard, conn)
			})
			cfg := quick()
			cfg.Burst = 3 * time.Second
			f := startFront(t, cfg, Request{Upstreams: upstreams(n), Kbit: 96, Metadata: true})
			first := f.hear(t, getRequest)
			until(t, "the first half is published", func() bool { return published(f.proxy) >= int64(len(stream)/2) })
			var got [2]bytes.Buffer
			late := f.hear(t, getRequest)
			close(goOn)
			both := []*heard{first, late}
			// The last frame stays where it is found until another follows.
			mark := stream[len(stream)-8000 : len(stream)-7900]
			for i, h := range both {
				for piece := make([]byte, 16<<10); !bytes.Contains(got[i].Bytes(), mark); {
					n, err := h.br.Read(piece)
					got[i].Write(piece[:n])
					if err != nil {
						t.Fatalf("listener %d: after %d bytes: %v", i, got[i].Len(), err)
					}
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_ = f.proxy.Drain(ctx) // their streams end
			for i, h := range both {
				if _, err := io.Copy(&got[i], h.br); err != nil {
					t.Errorf("listener %d: %v", i, err)
				}
				if said := decodeAs(t, c.demuxer, got[i].Bytes()); said != "" {
					t.Errorf("listener %d: ffmpeg says %s", i, said)
				}
			}
			if n := got[1].Len(); n < len(stream)/2 || n > len(stream)*9/10 {
				t.Errorf("who came late got %d bytes of %d", n, len(stream))
			}
		})
	}
}

func decodeAs(t *testing.T, demuxer string, sound []byte) string {
	cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "warning", "-f", demuxer, "-i", "-", "-f", "null", "-")
	cmd.Stdin = bytes.NewReader(sound)
	said, err := cmd.CombinedOutput()
	if err != nil {
		return err.Error() + ": " + string(said)
	}
	var lines []string
	for line := range strings.SplitSeq(string(said), "\n") {
		if line != "" && !strings.Contains(line, "Estimating duration from bitrate") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// published is how much has come from the only node; 0 while some of it is not in
// the chain yet.
func published(p *Proxy) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.sources {
		s.ring.mu.Lock()
		defer s.ring.mu.Unlock()
		if s.ring.open == nil {
			return s.arrived.Load()
		}
	}
	return 0
}

// TestUnknownFormat passes every byte, however slowly the listener takes them.
func TestUnknownFormat(t *testing.T) {
	t.Parallel()
	sound := noise(3 << 20)
	n := startNode(t, says("HTTP/1.0 200 OK\r\nContent-Type: audio/x-unknown\r\n\r\n"+sound))
	f := startFront(t, quick(), Request{Upstreams: upstreams(n)})
	conn := f.dial(t)
	_ = conn.SetReadBuffer(64 << 10) // a window of less than a segment would make it five packets a second
	_, _ = io.WriteString(conn, getRequest)
	all, err := io.ReadAll(conn)
	_, body, _ := strings.Cut(string(all), "\r\n\r\n")
	if err != nil || body != sound {
		t.Errorf("%d bytes of %d, %v", len(body), len(sound), err)
	}
	if res := f.result(t); res.Bytes != int64(len(sound)) || res.End != EndUpstreamEnded {
		t.Errorf("result %+v", res)
	}
}

// TestHTTP2Aborts does not end a stream over HTTP/2 as if it were over.
func TestHTTP2Aborts(t *testing.T) {
	t.Parallel()
	s := startStation(t, 0, okHead)
	s.tell(10)
	f := newFront(t, quick(), Request{Upstreams: upstreams(s.node)})
	f.EnableHTTP2 = true
	f.StartTLS()
	resp, err := f.Client().Get(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 4170)); err != nil || resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %v", resp.Proto, resp.Status, err)
	}
	s.end(reset)
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("it ended as if it were over")
	}
	if res := f.result(t); res.End != EndUpstreamFailed || res.Bytes != 4170 {
		t.Errorf("result %+v", res)
	}
}
