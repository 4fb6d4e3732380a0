package store

import (
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// withAgents sets in news the reports of all registered nodes, which combine their agents'
// with what directors see of them. They change with time alone.
func (l *loop) withAgents(news map[director.NodeID]director.Report) {
	if len(l.joined) == 0 {
		return
	}
	now := l.cfg.Now()
	expired := l.leaseEnded(now)
	for id := range l.joined {
		r, word, ok := l.registry.report(id, now)
		if !ok {
			news[id] = director.Report{} // it has just deregistered
			continue
		}
		r.Unconfirmed = expired && now.Sub(l.registry.heardHere(id)) > l.cfg.DownAfter
		r = fromOutside(r, l.verdicts[id], word)
		news[id] = r
		if l.snapshot == nil {
			continue
		}
		if n, ok := l.snapshot.FindNode(id); ok {
			if was := l.snapshot.Node(n).Report; was.Health != r.Health {
				l.cfg.Log.Info("registered node is "+r.Health.String(), "node", id, "detail", r.Detail, "was", was.Health.String())
			}
		}
	}
}

// fromOutside returns an agent's report r of its node, as far as directors can
// confirm it by theirs, seen: an agent sees its server, but not the firewall in
// front of it. The health of a node that no director has reached yet is unknown; a
// node that they do not reach is down. word says what is known from the agent.
func fromOutside(r, seen director.Report, word string) director.Report {
	r.IPv4, r.IPv6 = seen.IPv4, seen.IPv6
	if r.Health != director.Up {
		return r
	}
	switch seen.Health {
	case director.Up:
		r.Full = r.Full || seen.Full
		r.Since = latest(r.Since, seen.Since)
		r.Returned = latest(r.Returned, seen.Returned)
		// An agent asks its own server; directors know what listeners get at its URLs.
		r.Verdicts = slices.Concat(r.Verdicts, seen.Verdicts)
		r.CertificateEnds = seen.CertificateEnds
		return r
	case director.Failed:
		r.Since = latest(r.Since, seen.Since)
		r.Detail = word + ", but directors do not reach it at the URL it gave (--url): " + seen.Detail
	default:
		r.Detail = word + ", but no director has reached it yet"
	}
	r.Health, r.Full = seen.Health, false
	return r
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
