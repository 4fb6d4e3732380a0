package store

import (
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// judges merges the reports that several directors have of a node into one.
//
// The reports of the two directors that are to probe the node decide its health: it
// is down if both say so, or if one does and the other has no current report. Numbers are
// from the newest report of any director that agrees with that health. Report.By and
// Report.Detail keep who saw what.
type judges struct {
	now    time.Time
	stale  time.Duration       // an older report does not count
	live   map[string]Director // by ID
	before map[director.NodeID]director.Report
	// staleAt is when the first of the reports that counted becomes stale; zero: none has
	// counted.
	staleAt time.Time
}

// opinion is a report by one of the two directors that are to probe the node.
type opinion struct {
	*director.Report
	suspect bool // the report says that the node is down, and its director suspects itself
}

// judge returns the merged report of a node; all are the reports of it.
func (j *judges) judge(p pair, all []*director.Report) director.Report {
	var said [2]opinion
	opinions := said[:0]
	trusted := 0
	for _, r := range all {
		if !p.has(r.By) || r.Health == director.HealthUnknown || j.now.Sub(r.Taken) > j.stale || len(opinions) == len(said) {
			continue
		}
		j.staleAt = earliest(j.staleAt, r.Taken.Add(j.stale))
		o := opinion{r, r.Health == director.Failed && j.live[r.By].Suspect != ""}
		if !o.suspect {
			trusted++
		}
		opinions = append(opinions, o)
	}
	// Two directors that suspect themselves are believed if they agree. One alone is
	// believed if no other one is to probe the node.
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

// hearsay returns a node's health by the newest report of any director. It is used
// while those that are to probe the node have no report. A director that suspects
// itself is not believed when it says that the node is down, unless it is alone.
func (j *judges) hearsay(all []*director.Report) director.Health {
	health, taken := director.HealthUnknown, time.Time{}
	for _, r := range all {
		if r.Health == director.HealthUnknown || r.Health == director.Failed && j.live[r.By].Suspect != "" && len(j.live) > 1 {
			continue
		}
		if health == director.HealthUnknown || r.Taken.After(taken) {
			health, taken = r.Health, r.Taken
		}
	}
	return health
}

// basis returns the newest report with this health, or the newest of all if there is
// none. In the latter case it clears the numbers.
func basis(health director.Health, all []*director.Report) director.Report {
	best := all[0]
	for _, r := range all {
		if a, b := r.Health == health, best.Health == health; a && !b || a == b && r.Taken.After(best.Taken) {
			best = r
		}
	}
	out := *best
	if out.Health != health { // the numbers are those of a report that is not believed
		out.Full, out.Listeners, out.Kbit = false, -1, 0
	}
	return out
}

// quote returns the directors that the merged report is from, beginning with the one
// whose numbers it has, and, unless all is well, what each of them saw.
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

// remember carries over Since and Returned from the previous merged report: it may
// be that no single director has seen all of that time.
func (j *judges) remember(r *director.Report, opinions []opinion) {
	was, known := j.before[r.Node]
	switch {
	case !known:
		for _, o := range opinions {
			if o.Health == director.Up && o.Returned.Before(r.Returned) {
				r.Returned = o.Returned // for this director it was not away, or came back earlier
			}
		}
	case was.Health == r.Health:
		r.Since, r.Returned = was.Since, was.Returned
	default:
		if !r.Since.After(was.Since) {
			r.Since = j.now // the director now believed has reported this for longer
		}
		r.Returned = was.Returned
		if was.Health == director.Failed && r.Health == director.Up {
			r.Returned = r.Since
		}
	}
}
