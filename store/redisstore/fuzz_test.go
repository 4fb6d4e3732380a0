package redisstore

import (
	"testing"

	"github.com/signpost-fm/signpost/store"
)

func FuzzUnpack(f *testing.F) {
	packed, err := pack(change{Gone: make([]reportID, packFrom)})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "{}", string(packed), `{"counts":[{"at":"2026-03-01T12:00:00Z","n":{"n1":4}}],"gone":[{"node":"n"}]}`,
		`{"registrations":[{"node":"n1","instance":"i","urls":[],"seen":"2026-03-01T12:00:00+01:00","place":{"Lat":1}}],"left":[{"node":"n2","instance":""}]}`, "\x1f\x8b\x08"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, packed string) {
		c, err := unpack(packed)
		if err != nil {
			return
		}
		o := newOffered()
		o.apply(c)
		for _, one := range o.list() {
			if one.At.Location() != o.list()[0].At.Location() {
				t.Errorf("%v is not in UTC", one.At)
			}
		}
		// What was read can be offered again, and is the same then.
		again := newOffered()
		difference, _ := o.since(again)
		again.apply(difference)
		if _, different := o.since(again); different {
			t.Errorf("%+v became %+v", o, again)
		}
	})
}

func FuzzReadOverlay(f *testing.F) {
	f.Add("1 x 30", "1", `{"schema":1,"revision":1,"notes":[]}`)
	f.Add("3 x 30", "3", `{"schema":2,"revision":3}`)
	f.Add("1 x 30", "one", `{"schema":1`)
	f.Add("  0", "", "")
	f.Fuzz(func(t *testing.T, tag, revision, document string) {
		o := readOverlay(tag, revision, document)
		if o.problem != "" && o.document.Revision != 0 {
			t.Errorf("unreadable (%s), and revision %d", o.problem, o.document.Revision)
		}
		if o.newer && o.replaceable(store.Overlay{Revision: 1 << 50}) {
			t.Error("what a newer signpost wrote is replaceable")
		}
	})
}
