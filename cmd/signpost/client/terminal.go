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

// A Terminal is where a command was called, and what it reads and writes.
type Terminal struct {
	Out, Err io.Writer
	Getenv   func(string) string
	Now      func() time.Time
	// ReadYAML reads a file of YAML into the struct that v points to. Unknown keys
	// are mistakes, and the error names file and line of each.
	ReadYAML func(file string, v any) error
}

// colours says whether what is written to w may be coloured: on a terminal, unless
// the environment asks for none (see no-color.org).
func (t *Terminal) colours() bool {
	if t.Getenv("NO_COLOR") != "" || t.Getenv("TERM") == "dumb" {
		return false
	}
	f, ok := t.Out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
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

// changed says how a change can be taken back.
func (t *Terminal) changed(a Answer) {
	if a.Revision != "" {
		t.say("`signpost undo %s` takes it back", a.Revision)
	}
}

// ago is how long it is since at, in its largest unit: "45s", "12m", "3h", "9d".
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

// Clean makes text from elsewhere harmless for a terminal: what controls one, or
// turns the direction of writing, becomes a question mark. Lines stay.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, s)
}

// clean does the same for what stands on one line.
func clean(s string) string { return strings.ReplaceAll(Clean(s), "\n", "?") }
