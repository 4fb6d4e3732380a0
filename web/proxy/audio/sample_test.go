package audio

import (
	"bytes"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// program is 2 s of something like music: chords that change, noise that beats,
// and a sweep, at a steady level.
const program = `aevalsrc=` +
	`0.25*sin(2*PI*(220+55*floor(mod(t*2\,5)))*t)+0.15*sin(2*PI*(331+40*floor(mod(t*3\,4)))*t)+0.08*sin(2*PI*(300+900*t)*t)+0.12*(2*random(0)-1)*exp(-12*mod(t\,0.25))` +
	`|0.25*sin(2*PI*(221+55*floor(mod(t*2\,5)))*t)+0.15*sin(2*PI*(440+40*floor(mod(t*3\,4)))*t)+0.08*sin(2*PI*(300+900*t)*t)+0.12*(2*random(1)-1)*exp(-12*mod(t\,0.25))` +
	`:d=2`

var samples sync.Map // arguments to func() []byte

// sample encodes the program with ffmpeg: arguments are the encoder's options,
// the last of them the format.
func sample(tb testing.TB, args string) []byte {
	tb.Helper()
	once, _ := samples.LoadOrStore(args, sync.OnceValue(func() []byte {
		return ffmpeg(tb, nil, "-f lavfi -i "+program+" "+args+" -")
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

func joined(units []Unit) []byte {
	var all []byte
	for _, u := range units {
		all = append(all, u.Data...)
	}
	return all
}
