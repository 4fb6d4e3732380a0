package simulate

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/director/wording"
)

// Records are the requests for streams that directors have recorded.
type Records struct {
	Names    []string  // of the files
	requests []request // in order of time
	midnight time.Time // UTC, before the first of them
	clients  []netOf   // by request.client
	mounts   interned  // by request.mount
	nodes    interned  // by request.node; "" is nobody
	regions  interned  // by request.region; "" is none
	skipped  []leftOut // of our records, by why
	foreign  []string  // the first lines that are not ours
	lines    int       // that are not empty
	others   int       // of them, not ours
	known    map[netOf]uint32
}

// A request is one that was recorded.
type request struct {
	at     int64  // milliseconds since the Unix epoch
	who    uint64 // the pseudonym of address and player; 0: not known
	stays  int32  // milliseconds for which it was carried; 0: not known, for it was sent elsewhere
	client uint32
	mount  uint16
	node   uint16
	region uint16
	form   form
}

// form is in which form a request was answered, and how it came.
type form uint8

const (
	ofPlaylist form = 1 << iota // the player got several entries
	ofCrowd                     // one of many behind an address
	ofInline                    // the director carried the stream
	ofMany                      // others of the same listener are recorded, too
)

// netOf is where a listener was: the network of its address, and the country that a
// director took it for.
type netOf struct {
	net     netip.Prefix
	country director.Code
}

// interned has strings by number.
type interned struct {
	all   []string
	index map[string]uint16
}

func (t *interned) add(s string) (uint16, bool) {
	if i, ok := t.index[s]; ok {
		return i, true
	}
	if t.index == nil {
		t.index = map[string]uint16{}
	}
	if len(t.all) > 1<<16-2 {
		return 0, false
	}
	t.index[s] = uint16(len(t.all))
	t.all = append(t.all, s)
	return t.index[s], true
}

// leftOut counts records that are not played.
type leftOut struct {
	why string
	n   int
}

const (
	maxRecordLine = 1 << 20 // bytes; a record has at most a few KB
	toldForeign   = 5       // lines
	// foreignPart is the part of lines that may be something else, such as a log in the
	// same journal, or a line that was cut when a file was rotated.
	foreignPart = 10 // 1 in so many
	// perRecord is what a record takes in memory, with what is made of it; fewestBytes is the
	// shortest line of one, and packed is how much gzip takes away, in bytes and at most.
	perRecord   = 64
	fewestBytes = 150
	packed      = 12
)

// ReadRecords reads request records, as `signpost serve` writes them, from files
// that may be compressed by gzip. Lines that are no records are told by Foreign; if they
// are more than 1 in 10, or there is no request for a stream, that is an error, with the
// line. available is how much memory there is, in bytes; 0: not known.
func ReadRecords(names []string, available uint64) (*Records, error) {
	r := &Records{Names: names, known: map[netOf]uint32{}}
	r.nodes.add("")
	r.regions.add("")
	for _, name := range names {
		if err := r.read(name, available); err != nil {
			return nil, err
		}
	}
	const remedy = "give the lines that `signpost serve` writes of requests, and no others"
	switch {
	case r.others*foreignPart > r.lines:
		return nil, fmt.Errorf("%s; %d of %d lines are no request records: %s", r.foreign[0], r.others, r.lines, remedy)
	case len(r.requests) == 0 && r.lines == 0:
		return nil, fmt.Errorf("%s: it is empty; %s", names[0], remedy)
	case len(r.requests) == 0:
		return nil, fmt.Errorf("%s: none of %s asks for a stream, so there is nothing to play", names[0], wording.Count(r.lines, "record"))
	}
	r.known = nil
	slices.SortStableFunc(r.requests, func(a, b request) int { return cmp.Compare(a.at, b.at) })
	r.midnight = time.UnixMilli(r.requests[0].at).UTC().Truncate(24 * time.Hour)
	return r, nil
}

// Foreign tells of the first lines that are not ours, and were skipped.
func (r *Records) Foreign() (all []string) {
	all = slices.Clone(r.foreign)
	if more := r.others - len(all); more > 0 {
		all = append(all, fmt.Sprintf("and %s more", wording.Count(more, "line")))
	}
	for i := range all {
		all[i] += "; it is skipped"
	}
	return all
}

func (r *Records) read(name string, available uint64) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("--records %s: %s; name a file of request records", name, wording.Text(reason(err)))
	}
	defer f.Close()
	from := bufio.NewReaderSize(f, 1<<16)
	head, _ := from.Peek(2)
	var in io.Reader = from
	times := uint64(1)
	if bytes.Equal(head, []byte{0x1f, 0x8b}) {
		unpacked, err := gzip.NewReader(from)
		if err != nil {
			return fmt.Errorf("--records %s: %w", name, err)
		}
		in, times = unpacked, packed
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		if need := uint64(info.Size()) * times / fewestBytes * perRecord; available > 0 && need > available {
			return fmt.Errorf("--records %s: its records need up to %s of memory, and %s are available; give fewer, such as those of an hour", name, size(need), size(available))
		}
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<16), maxRecordLine)
	n := 0
	for lines.Scan() {
		n++
		if line := bytes.TrimSpace(lines.Bytes()); len(line) > 0 {
			r.lines++
			if why := r.line(line); why != "" {
				r.others++
				if len(r.foreign) < toldForeign {
					r.foreign = append(r.foreign, fmt.Sprintf("%s:%d: this is no request record: %s", name, n, why))
				}
			}
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("%s:%d: the line is longer than 1 MB, so it is no request record; take it out", name, n+1)
	case err != nil:
		return fmt.Errorf("%s:%d: %s", name, n+1, wording.Text(reason(err)))
	}
	return nil
}

// recordLine has the fields of a record that are needed. See package service for all.
type recordLine struct {
	Time     time.Time    `json:"time"`
	US       *int64       `json:"us"`
	Status   int          `json:"status"`
	Method   string       `json:"method"`
	Path     string       `json:"path"`
	Answer   string       `json:"answer"`
	Outcome  string       `json:"outcome"`
	Mount    string       `json:"mount"`
	Node     string       `json:"node"`
	Region   string       `json:"region"`
	Step     string       `json:"step"`
	Country  string       `json:"country"`
	Client   netip.Prefix `json:"client"`
	Listener string       `json:"listener"`
	End      string       `json:"end"`
	DNS      *string      `json:"dns"`
}

// line takes a line, and says why it is no record of ours; empty: it is one.
func (r *Records) line(b []byte) (why string) {
	var l recordLine
	var kind *json.UnmarshalTypeError
	switch err := json.Unmarshal(b, &l); {
	case errors.As(err, &kind) && kind.Field != "":
		return fmt.Sprintf("its %s is a %s", kind.Field, kind.Value)
	case err != nil && json.Valid(b):
		return wording.Text(err)
	case err != nil:
		return fmt.Sprintf("%.40q is no JSON", b)
	case l.DNS != nil && !l.Time.IsZero():
		r.skip("questions by DNS")
		return ""
	case l.Time.IsZero() || l.US == nil || l.Status == 0 || l.Method == "" || l.Path == "" || l.Answer == "":
		return "it lacks one of time, us, status, method, path and answer"
	case l.Outcome == "" || l.Outcome == director.NoMount.String():
		r.skip("requests for no stream, or answered before a node was chosen")
		return ""
	case l.Method != "GET":
		r.skip("requests that ask for no audio, such as HEAD")
		return ""
	}
	q := request{at: l.Time.UnixMilli()}
	switch l.Answer {
	case "m3u", "pls", "xspf", "asx":
		q.form |= ofPlaylist
	case "proxy":
		q.form |= ofInline
		q.stays = int32(min(*l.US/1000, 1<<31-1))
	}
	if l.Step == "crowd" {
		q.form |= ofCrowd
	}
	q.who, _ = strconv.ParseUint(l.Listener, 16, 64)
	at := netOf{net: l.Client}
	at.country, _ = director.ParseCode(l.Country)
	client, known := r.known[at]
	if !known {
		client = uint32(len(r.clients))
		r.known[at] = client
		r.clients = append(r.clients, at)
	}
	q.client = client
	var ok [3]bool
	q.mount, ok[0] = r.mounts.add(cmp.Or(l.Mount, l.Path))
	q.node, ok[1] = r.nodes.add(l.Node)
	q.region, ok[2] = r.regions.add(l.Region)
	if ok != [3]bool{true, true, true} {
		return "there are more than 65,000 mounts, nodes or regions"
	}
	r.requests = append(r.requests, q)
	return ""
}

func (r *Records) skip(why string) {
	i := slices.IndexFunc(r.skipped, func(l leftOut) bool { return l.why == why })
	if i < 0 {
		i = len(r.skipped)
		r.skipped = append(r.skipped, leftOut{why: why})
	}
	r.skipped[i].n++
}

// span is when the first and the last request came, since midnight.
func (r *Records) span() (first, last time.Duration) {
	since := func(q request) time.Duration { return time.UnixMilli(q.at).Sub(r.midnight) }
	return since(r.requests[0]), since(r.requests[len(r.requests)-1])
}
