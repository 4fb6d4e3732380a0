package audio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signpost-fm/signpost/director/probe/proctest"
)

// program is 2 s of something like music, in 16 bits, at 44.1 kHz in stereo:
// chords that change, a sweep, and noise that beats.
var program = sync.OnceValue(func() []byte {
	const rate = 44100
	random := rand.New(rand.NewPCG(1, 2))
	var pcm []byte
	for i := range 2 * rate {
		t := float64(i) / rate
		for channel := range 2 {
			v := 0.25*math.Sin(2*math.Pi*(220+55*math.Mod(math.Floor(t*2), 5))*t) +
				0.15*math.Sin(2*math.Pi*(331+float64(109*channel)+40*math.Mod(math.Floor(t*3), 4))*t) +
				0.08*math.Sin(2*math.Pi*(300+900*t)*t) +
				0.12*(2*random.Float64()-1)*math.Exp(-12*math.Mod(t, 0.25))
			pcm = binary.LittleEndian.AppendUint16(pcm, uint16(int16(v*math.MaxInt16)))
		}
	}
	return pcm
})

var samples sync.Map // arguments to func() []byte

// sample encodes the program with ffmpeg: arguments are the encoder's options,
// the last of them the format.
func sample(tb testing.TB, args string) []byte {
	tb.Helper()
	proctest.Need(tb, "ffmpeg") // outside of the function that runs once
	once, _ := samples.LoadOrStore(args, sync.OnceValue(func() []byte {
		return ffmpeg(tb, program(), "-f s16le -ar 44100 -ac 2 -i - "+args+" -")
	}))
	return once.(func() []byte)()
}

// ffmpeg runs ffmpeg, fails the test if it fails, and returns what it wrote.
func ffmpeg(tb testing.TB, stdin []byte, args string) []byte {
	tb.Helper()
	out, _ := run(tb, stdin, "ffmpeg -hide_banner -v error "+args)
	return out
}

// run runs a program and returns what it wrote to its two outputs.
func run(tb testing.TB, stdin []byte, command string) (stdout []byte, stderr string) {
	tb.Helper()
	argv := strings.Fields(command)
	proctest.Need(tb, argv[0])
	cmd := exec.CommandContext(tb.Context(), argv[0], argv[1:]...)
	var out, err bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &err
	if e := cmd.Run(); e != nil {
		tb.Fatalf("%s: %v\n%s", command, e, err.String())
	}
	return out.Bytes(), err.String()
}

// split cuts data with one Write of each of the sizes in turn; a nil sizes means all at once. Data is copied.
func split(s *Splitter, data []byte, sizes ...int) []Unit {
	var units []Unit
	for i := 0; len(data) > 0; i++ {
		n := len(data)
		if len(sizes) > 0 {
			n = min(n, sizes[i%len(sizes)])
		}
		s.Write(data[:n], func(u Unit) {
			u.Data = bytes.Clone(u.Data)
			units = append(units, u)
		})
		data = data[n:]
	}
	return units
}

// difference says how units differ; it is empty if they do not. Only the bytes of
// an Opaque stream are compared, and not how it came.
func difference(want, got []Unit) string {
	for i := range want {
		switch {
		case want[i].Params.Codec == Opaque && i < len(got):
			if a, b := joined(want[i:]), joined(got[i:]); !bytes.Equal(a, b) {
				return fmt.Sprintf("%d opaque bytes, want %d", len(b), len(a))
			}
			return ""
		case i >= len(got):
			return fmt.Sprintf("%d units, want %d", len(got), len(want))
		case !bytes.Equal(want[i].Data, got[i].Data):
			return fmt.Sprintf("unit %d has %d other bytes, want %d", i, len(got[i].Data), len(want[i].Data))
		}
		a, b := want[i], got[i]
		a.Data, b.Data = nil, nil
		if diff := cmp.Diff(a, b); diff != "" {
			return fmt.Sprintf("unit %d: %s", i, diff)
		}
	}
	if len(got) > len(want) {
		return fmt.Sprintf("%d units, want %d", len(got), len(want))
	}
	return ""
}

func joined(units []Unit) []byte {
	var all []byte
	for _, u := range units {
		all = append(all, u.Data...)
	}
	return all
}
