package redisstore

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// others are the other directors by ID, as last read from Redis.
type others map[string]*other

type other struct {
	director store.Director
	about    string // the JSON of director
	head     int64  // the number of the last change in offered
	offered  offered
	counts   []store.Count // offered.list(); nil: not computed yet
	problem  string        // what could not be read, until the director sends all again
}

// held returns, as arguments of the script, each director's ID and the number of its
// last change that need not be returned again.
func (all others) held() []any {
	args := make([]any, 0, 2*len(all))
	for id, o := range all {
		args = append(args, id, o.head)
	}
	return args
}

// read updates all from what the script returned, and returns what is wrong in Redis.
// Directors that the script did not return are forgotten.
func (all others) read(entries []any, k keys) (problems, error) {
	found := problems{}
	there := make(map[string]bool, len(entries))
	for _, e := range entries {
		entry, _ := e.([]any)
		if len(entry) < 2 {
			return nil, errUnexpected
		}
		id, _ := entry[0].(string)
		if len(entry) == 2 {
			found[k.directors+" "+id] = fmt.Sprintf("no record of a director: %.60q; whoever wrote it, HDEL takes it away", entry[1])
			continue
		}
		there[id] = true
		if err := all.readOne(id, entry[1:]); err != nil {
			return nil, err
		}
		if p := all[id].problem; p != "" {
			found[k.changes+" "+id] = p
		}
	}
	for id := range all {
		if !there[id] {
			delete(all, id)
		}
	}
	return found, nil
}

// readOne updates one director. entry is seen, first, from, about, and the changes
// that begin with number from.
func (all others) readOne(id string, entry []any) error {
	if len(entry) < 4 {
		return errUnexpected
	}
	seen, ok1 := entry[0].(int64)
	first, ok2 := entry[1].(int64)
	from, ok3 := entry[2].(int64)
	about, ok4 := entry[3].(string)
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return errUnexpected
	}
	o := all[id]
	if o == nil || from == first {
		o = &other{offered: newOffered()}
		all[id] = o
	}
	if about != o.about {
		o.about, o.director = about, store.Director{}
		if err := json.Unmarshal([]byte(about), &o.director); err != nil {
			o.problem = fmt.Sprintf("what it says of itself cannot be read: %v", err)
		}
	}
	o.director.ID, o.director.Seen = id, time.UnixMicro(seen).UTC()
	for i, value := range entry[4:] {
		packed, ok := value.(string)
		if !ok {
			o.problem = fmt.Sprintf("change %d is missing; counts and reports may be old until this director sends all anew", from+int64(i))
			continue
		}
		c, err := unpack(packed)
		if err != nil {
			o.problem = fmt.Sprintf("change %d cannot be read: %v; counts and reports may be old until this director sends all anew", from+int64(i), err)
			continue
		}
		o.offered.apply(c)
		o.counts = nil
	}
	o.head = from + int64(len(entry)-4) - 1
	return nil
}

// picture returns what all directors have offered: the caller in o, and the others.
func (all others) picture(now time.Time, o store.Offer) store.Picture {
	o.Director.Seen = now
	p := store.Picture{Now: now, Counts: map[string][]store.Count{}}
	if o.Director.Left {
		p.Absent = append(p.Absent, o.Director)
	} else {
		p.Directors = append(p.Directors, o.Director)
	}
	if len(o.Counts) > 0 {
		p.Counts[o.Director.ID] = o.Counts
	}
	p.Registrations = slices.Clip(o.Registrations)
	reports := len(o.Reports)
	for _, other := range all {
		reports += len(other.offered.reports)
	}
	p.Reports = make([]*director.Report, 0, reports)
	newest := make(map[reportID]int, reports)
	add := func(r *director.Report) {
		id := reportID{r.Node, r.By}
		i, known := newest[id]
		switch {
		case !known:
			newest[id] = len(p.Reports)
			p.Reports = append(p.Reports, r)
		case r.Taken.After(p.Reports[i].Taken):
			p.Reports[i] = r
		}
	}
	for _, r := range o.Reports {
		add(r)
	}
	for id, other := range all {
		age := now.Sub(other.director.Seen)
		switch {
		case age <= store.DirectorLife && !other.director.Left:
			p.Directors = append(p.Directors, other.director)
		case age <= store.ReportLife:
			p.Absent = append(p.Absent, other.director)
		}
		if age <= store.CountLife && len(other.offered.counts) > 0 {
			if other.counts == nil {
				other.counts = other.offered.list()
			}
			p.Counts[id] = other.counts
		}
		if age <= store.ReportLife {
			for _, r := range other.offered.reports {
				add(r)
			}
			p.Registrations = slices.AppendSeq(p.Registrations, maps.Values(other.offered.registrations))
		}
	}
	byID := func(a, b store.Director) int { return strings.Compare(a.ID, b.ID) }
	slices.SortFunc(p.Directors, byID)
	slices.SortFunc(p.Absent, byID)
	return p
}
