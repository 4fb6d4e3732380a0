package store

import (
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// judges makes one report of what several directors report of a node.
//
// The word of the two that are to probe it counts: it is down if both say so, or
// the one that has something to say. Numbers are the newest that anybody got from
// the node. Who saw what stays in Report.By and Report.Detail.
type judges struct {
	now    time.Time
	stale  time.Duration       // a report that is older does not count
	live   map[string]Director // by ID
	before map[director.NodeID]director.Report
}

// opinion is a report of one of the two.
type opinion struct {
	*director.Report
	suspect bool // it says "down", and its director suspects itself
}

// judge returns what is to be held of a node, whose reports all are.
func (j *judges) judge(p pair, all []director.Report) director.Report {
	var said [2]opinion
	opinions := said[:0]
	trusted := 0
	for i := range all {
		r := &all[i]
		if !p.has(r.By) || r.Health == director.HealthUnknown || j.now.Sub(r.Taken) > j.stale || len(opinions) == len(said) {
			continue
		}
		o := opinion{r, r.Health == director.Failed && j.live[r.By].Suspect != ""}
		if !o.suspect {
			trusted++
		}
		opinions = append(opinions, o)
	}
	// Two who suspect themselves and yet agree are believed. One alone is while
	// there is nobody who could know better.
	believed := trusted > 0 || len(opinions) == 2 || p.second == ""
	health := director.HealthUnknown
	for _, o := range opinions {
		if (!o.suspect || trusted == 0 && believed) && health != director.Up {
			health = o.Health
		}
	}
	if health == director.HealthUnknown {
		health = j.hearsay(all)
	}
	if health == director.HealthUnknown {
		health = j.before[all[0].Node].Health
	}
	out := basis(health, all)
	out.Health = health
	out.By, out.Detail = quote(out, opinions)
	j.settle(&out, opinions)
	j.remember(&out, opinions)
	return out
}

// hearsay is a node's health by the newest report of anybody, while those who
// are to probe it have nothing to say. No one who suspects itself is believed.
func (j *judges) hearsay(all []director.Report) director.Health {
	health, taken := director.HealthUnknown, time.Time{}
	for i := range all {
		r := &all[i]
		if r.Health == director.HealthUnknown || r.Health == director.Failed && j.live[r.By].Suspect != "" && len(j.live) > 1 {
			continue
		}
		if health == director.HealthUnknown || r.Taken.After(taken) {
			health, taken = r.Health, r.Taken
		}
	}
	return health
}

// basis returns the newest report that says so, or the newest of all.
func basis(health director.Health, all []director.Report) director.Report {
	best := &all[0]
	for i := range all {
		r := &all[i]
		if a, b := r.Health == health, best.Health == health; a && !b || a == b && r.Taken.After(best.Taken) {
			best = r
		}
	}
	out := *best
	if out.Health != health { // nobody is believed who has numbers
		out.Full, out.Listeners, out.Kbit = false, -1, 0
	}
	return out
}

// quote says who saw what: whose numbers they are first, and what each said
// unless all is well.
func quote(r director.Report, opinions []opinion) (by, detail string) {
	names, well := []string{r.By}, r.Health == director.Up
	for _, o := range opinions {
		if o.By != r.By {
			names = append(names, o.By)
		}
		well = well && o.Health == director.Up
	}
	by = strings.Join(names, ", ")
	if well || len(opinions) < 2 && (len(opinions) == 0 || !opinions[0].suspect) {
		return by, r.Detail
	}
	said := make([]string, len(opinions))
	for i, o := range opinions {
		said[i] = o.Health.String() + " for " + o.By
		if o.suspect {
			said[i] += ", which suspects itself"
		}
		said[i] += ": " + o.Detail
	}
	return by, strings.Join(said, "; ")
}

// remember takes over since when the node is as it is, and when it came back:
// no single director may have seen all of that.
func (j *judges) remember(r *director.Report, opinions []opinion) {
	was, known := j.before[r.Node]
	switch {
	case !known:
		for _, o := range opinions {
			if o.Health == director.Up && o.Returned.Before(r.Returned) {
				r.Returned = o.Returned // to this one it was not away, or not as long
			}
		}
	case was.Health == r.Health:
		r.Since, r.Returned = was.Since, was.Returned
	default:
		if !r.Since.After(was.Since) {
			r.Since = j.now // who is believed now has thought so before
		}
		r.Returned = was.Returned
		if was.Health == director.Failed && r.Health == director.Up {
			r.Returned = r.Since
		}
	}
}

// byNode sorts reports by node, one of each director: the first that is given.
// Times in them that lie in the future, as after a step of the clock, are now.
func byNode(now time.Time, own string, mine, others []director.Report) map[director.NodeID][]director.Report {
	out := make(map[director.NodeID][]director.Report, len(mine))
	add := func(r director.Report) {
		notAfter(now, timesOf(&r)...)
		out[r.Node] = append(out[r.Node], r)
	}
	for _, r := range mine {
		add(r)
	}
	for _, r := range others {
		if r.By != own { // what this director offered is older than what it knows
			add(r)
		}
	}
	return out
}
