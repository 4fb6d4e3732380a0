package client

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// A Progress is a bar on a terminal's error output, from a second after the start on.
type Progress struct {
	to         io.Writer // nil: no terminal
	now        func() time.Time
	began, was time.Time
}

// NewProgress returns a bar that begins now.
func NewProgress(t *Terminal) *Progress {
	p := &Progress{now: t.Now, began: t.Now()}
	if IsTerminal(t.Err) {
		p.to = t.Err
	}
	return p
}

// Show draws the bar for a part 0..1 that is done, up to five times a second.
func (p *Progress) Show(part float64) {
	const width = 40
	if p.to == nil || part <= 0 {
		return
	}
	now := p.now()
	if now.Sub(p.began) < time.Second || now.Sub(p.was) < 200*time.Millisecond {
		return
	}
	p.was = now
	part = min(1, part)
	left := time.Duration(float64(now.Sub(p.began)) * (1 - part) / part).Round(time.Second)
	full := int(part * width)
	fmt.Fprintf(p.to, "\r\x1b[K[%s%s] %3.0f %%, %s left", strings.Repeat("#", full), strings.Repeat(".", width-full), 100*part, left)
}

// Clear takes the bar away.
func (p *Progress) Clear() {
	if p.to != nil && !p.was.IsZero() {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
