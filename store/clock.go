package store

import (
	"maps"
	"slices"
	"time"

	"github.com/signpost-fm/signpost/director"
)

// clockError is how far in the future a stamp may lie before its clock is taken to
// have been wrong. Directors know the store's clock to half a round trip.
const clockError = time.Second

// steady returns a clock that starts at wall's time and advances by wall's
// monotonic reading, so that setting this machine's clock does not affect it.
func steady(wall func() time.Time) func() time.Time {
	began := wall()
	return func() time.Time { return began.Add(wall().Sub(began)) }
}

// byStore converts t, which this machine's clock read before now, to the store's
// clock. Zero stays zero.
func byStore(t, now time.Time, offset time.Duration) time.Time {
	if t.IsZero() {
		return t
	}
	return now.Add(t.Sub(now) + offset).UTC().Round(0)
}

// shift moves times by d; zero times stay zero.
func shift(d time.Duration, times ...*time.Time) {
	for _, t := range times {
		if !t.IsZero() {
			*t = t.Add(d).UTC().Round(0)
		}
	}
}

// notAfter sets times that lie in the future to now, and returns how far ahead the
// furthest was.
func notAfter(now time.Time, times ...*time.Time) (furthest time.Duration) {
	for _, t := range times {
		if ahead := t.Sub(now); ahead > 0 {
			*t, furthest = now, max(furthest, ahead)
		}
	}
	return furthest
}

// isEarly says whether a time in a report lies in the future.
func isEarly(r *director.Report, now time.Time) bool {
	return r.Taken.After(now) || r.Since.After(now) || r.Returned.After(now) ||
		slices.ContainsFunc(r.Verdicts, func(v director.Verdict) bool { return v.Since.After(now) || v.Taken.After(now) })
}

// timesOf returns pointers to all times in a report. It clones the verdicts first,
// so that they are not shared. CertificateEnds is not among them: it is the
// issuer's time.
func timesOf(r *director.Report) []*time.Time {
	times := []*time.Time{&r.Taken, &r.Since, &r.Returned}
	r.Verdicts = slices.Clone(r.Verdicts)
	for i := range r.Verdicts {
		times = append(times, &r.Verdicts[i].Since, &r.Verdicts[i].Taken)
	}
	return times
}

// setClock updates the offset to the store's clock after an exchange. Our clock is
// steady, so a change of the offset means that the store's clock was set. All times
// held by the store's clock move by the same step, and so keep their age.
func (l *loop) setClock(r result) {
	offset := nextOffset(l.offset, r.began, r.ended, r.picture.Now)
	step := offset - l.offset
	if step != 0 {
		l.ledgers.shift(step)
		for id, v := range l.verdicts {
			shift(step, timesOf(&v)...)
			l.verdicts[id] = v
		}
		l.registry.setOffset(offset)
		l.offset = offset
		l.sightings.edit = 0 // this director's reports are by the old offset
		l.whole = true
		l.ahead.Store(int64(offset))
	}
	first := l.picture.Now.IsZero()
	ahead := r.picture.Now.Sub(l.wall().Add(-r.ended.Sub(r.began) / 2).Round(0))
	l.update(func(st *Status) {
		st.ClockAhead = ahead
		l.doubts = slices.Clone(l.doubts)
		for i := range l.doubts {
			shift(step, &l.doubts[i].At)
		}
		for id, d := range l.drains {
			shift(step, &d.at)
			l.drains[id] = d
		}
		l.overlay.Ends = maps.Clone(l.overlay.Ends)
		for name, end := range l.overlay.Ends {
			l.overlay.Ends[name] = end.Add(step)
		}
	})
	if !first && step.Abs() > clockError {
		l.cfg.Log.Warn("the store's clock was set; times that directors hold move along", "by", step, "ahead_of_this_machine", ahead)
	}
}

// nextOffset measures how far the store's clock is ahead of ours. at is what the
// store's clock showed at some time between began and ended. If the known offset is
// within the error of the measurement it is kept, so that times do not jitter.
func nextOffset(known time.Duration, began, ended, at time.Time) time.Duration {
	half := ended.Sub(began) / 2
	measured := at.Sub(began.Add(half))
	if (measured - known).Abs() <= half+time.Millisecond {
		return known
	}
	return measured
}

// ends returns the Ends of o, which follows held. An entry whose stamp lies in the
// future by both the store's clock and this machine's was made by a wrong clock: it
// stays in force for its intended duration, from now on.
func (o Overlay) ends(held Overlay, now, wall time.Time) map[string]time.Time {
	ends := map[string]time.Time{}
	var stamps map[string]Stamp
	if len(held.Ends) > 0 {
		stamps = held.stamps()
	}
	o.each(func(name string, _ any, s *Stamp) bool {
		end, known := held.Ends[name]
		known = known && stamps[name].At.Equal(s.At) && stamps[name].Until.Equal(s.Until)
		switch {
		case s.Until.IsZero():
		case known:
			ends[name] = end
		case s.At.Sub(now) > clockError && s.At.Sub(wall) > clockError:
			ends[name] = now.Add(s.Until.Sub(s.At))
		}
		return false
	})
	if len(ends) == 0 {
		return nil
	}
	return ends
}
