package probe

import (
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// A Past is what came of one probe, or of one GET like a listener's.
type Past struct {
	Taken  time.Time // when it began, by Config.Now
	Took   time.Duration
	URL    string // the node's URL that was asked
	Mount  string // the path at the node that was requested as a listener would; empty: the node was asked how it is
	Failed bool   // there was no good answer, or a listener would hear nothing
	Detail string // what was seen
}

const (
	mostPast   = 20 // results that are kept of a node, in some 2 KB
	newestPast = 10 // of these, the newest whatever they are. Before them, what was another than before lasts longest
)

// Past returns what came of a node's last probes and GETs, the oldest first: the last ten,
// and before them rather those with which something changed, such as the first that failed;
// twenty in all. The caller owns the slice. It is empty if this Prober has not probed the node.
func (p *Prober) Past(id director.NodeID) []Past {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.find(id); s != nil {
		return slices.Clone(s.past)
	}
	return nil
}

// remember keeps a result, and lets go of one if there are too many.
func (s *state) remember(one Past) {
	for i := range s.past { // the same words again need no memory
		if s.past[i].Detail == one.Detail {
			one.Detail = s.past[i].Detail
			break
		}
	}
	switch len(s.past) {
	case 0:
		s.past = make([]Past, 0, mostPast)
	case mostPast:
		gone := 0
		for i := 1; i <= mostPast-newestPast && gone == 0; i++ {
			if s.past[i].continues(&s.past[i-1]) {
				gone = i
			}
		}
		s.past = slices.Delete(s.past, gone, gone+1)
	}
	s.past = append(s.past, one)
}

// continues says whether a result tells nothing that the one before it has not told.
func (p *Past) continues(before *Past) bool {
	return p.Failed == before.Failed && (!p.Failed || p.Detail == before.Detail)
}

// rememberProbe keeps what came of a probe, and of the URL that was tried at the same time.
func (s *state) rememberProbe(h *heard) {
	one := Past{Taken: h.taken, Took: h.took, URL: h.base, Failed: h.err != nil, Detail: h.answer.detail}
	if h.err != nil {
		one.Detail = h.err.Error()
	}
	s.remember(one)
	if h.way != nil {
		s.rememberGET(h.way.url, h.wayMount, h.wayGot, h.taken)
	}
}

// rememberGET keeps what came of a GET, but for one that failed by this director's fault.
func (s *state) rememberGET(url, mount string, got tried, taken time.Time) {
	if !got.own {
		s.remember(Past{Taken: taken, Took: got.took, URL: url, Mount: mount, Failed: got.state == director.MountSilent, Detail: got.detail})
	}
}
