package proxy

import (
	"maps"
	"time"
)

// membersFor is for how long it is known of a node that it lets in nobody who does not
// show a password or a token. Then it is asked anew without one.
const membersFor = 10 * time.Second

// members is what a node said to somebody who showed nothing.
type members struct {
	refused *RefusedError
	at      time.Time
}

// noteMembers notes that a mount at a node is for members only. Who shows nothing is
// answered without asking the node again, and who shows something gets an upstream of
// its own at once.
func (p *Proxy) noteMembers(at place, refused *RefusedError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.members, func(_ place, m members) bool { return time.Since(m.at) >= membersFor })
	p.members[at] = members{refused, time.Now()}
}

// membersAt returns what a node says to those who show nothing; nil: it lets them in, as
// far as is known.
func (p *Proxy) membersAt(at place) *RefusedError {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m, ok := p.members[at]; ok && time.Since(m.at) < membersFor {
		return m.refused
	}
	return nil
}
