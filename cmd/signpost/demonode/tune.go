package demonode

import (
	_ "embed"
	"time"
)

//go:generate ./loops.sh

// The loops are MPEG-2 Layer III, 24 kHz, mono, 32 kbit/s. With these parameters a frame
// is exactly 96 bytes and 24 ms, without padding, and no frame borrows bits of another:
// a listener may begin at any frame.
const (
	bitRate    = 32000
	frameBytes = 96
	frameTime  = 24 * time.Millisecond
)

// A Tune is what a node plays, in a loop of four bars.
type Tune struct {
	Name string // "Harp in C"
	loop []byte // MP3 frames; the first follows the last
}

var (
	//go:embed harp.mp3
	harp []byte
	//go:embed organ.mp3
	organ []byte
	//go:embed bells.mp3
	bells []byte
)

var tunes = []*Tune{
	{Name: "Harp in C", loop: harp},
	{Name: "Organ in F", loop: organ},
	{Name: "Bells in A", loop: bells},
}

// Tunes returns three tunes that are easy to tell apart by key, instrument and tempo.
func Tunes() []*Tune { return tunes }

// frame returns frame i of the endless tune. i may be negative.
func (t *Tune) frame(i int) []byte {
	frames := len(t.loop) / frameBytes
	at := (i%frames + frames) % frames * frameBytes
	return t.loop[at : at+frameBytes]
}
