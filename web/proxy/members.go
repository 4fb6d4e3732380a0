package proxy

import (
	"maps"
	"time"
)

// membersFor is how long it is remembered that a node lets in only listeners with a
// password or a token. After that the node is asked again without one.
const membersFor = 10 * time.Second

// members is what a node answered to a request without a password or a token.
type members struct {
	refused *RefusedError
	at      time.Time
}

// noteMembers records that a mount at a node is for members only. A listener without a
// password or a token is then answered without asking the node again, and one with either
// gets an upstream of its own at once.
func (p *Proxy) noteMembers(at place, refused *RefusedError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.members, func(_ place, m members) bool { return time.Since(m.at) >= membersFor })
	p.members[at] = members{refused, time.Now()}
}

// membersAt returns what a node answers to listeners without a password or a token; nil:
// it lets them in, as far as is known.
func (p *Proxy) membersAt(at place) *RefusedError {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m, ok := p.members[at]; ok && time.Since(m.at) < membersFor {
		return m.refused
	}
	return nil
}
