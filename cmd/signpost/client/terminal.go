package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
)

// A Terminal is a command's surroundings.
type Terminal struct {
	Out, Err io.Writer
	Getenv   func(string) string
	Now      func() time.Time
}

// colours says whether output may be coloured: on a terminal, unless the environment
// forbids it (see no-color.org).
func (t *Terminal) colours() bool {
	if t.Getenv("NO_COLOR") != "" || t.Getenv("TERM") == "dumb" {
		return false
	}
	return IsTerminal(t.Out)
}

// IsTerminal says whether somebody sits at a stream: it is a character device, and not the
// null device.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// say prints a line.
func (t *Terminal) say(format string, args ...any) {
	fmt.Fprintln(t.Out, clean(fmt.Sprintf(format, args...)))
}

// JSON prints JSON as it came, but indented.
func (t *Terminal) JSON(answer []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(answer), "", "  "); err != nil {
		return fmt.Errorf("the answer is not a director's: %w", err)
	}
	_, err := fmt.Fprintln(t.Out, b.String())
	return err
}

// forgetful is what operators should know of a director without state_dir and Redis.
const forgetful = "this director forgets operators' changes when it stops: it has neither state_dir nor Redis"

// changed prints how to take a change back, and whether it outlives the director.
func (t *Terminal) changed(a Answer) {
	if a.Revision != "" {
		t.say("`signpost undo %s` takes it back", a.Revision)
	}
	if a.Forgets {
		t.say("%s", forgetful)
	}
}

// ago writes the time since at in its largest unit: "45s", "12m", "3h", "9d".
func (t *Terminal) ago(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return brief(t.Now().Sub(at))
}

func brief(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/day)
}

// Clean makes text from elsewhere harmless for a terminal: control characters, and
// those that change the direction of writing, become question marks. Lines stay.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, s)
}

// clean does the same for text on one line.
func clean(s string) string { return strings.ReplaceAll(Clean(s), "\n", "?") }
