package ring

import (
	"cmp"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"math"
	"slices"
)

// The encoding: the magic line; the time of the newest sample; the number of series; each
// with its kind, name, last time, and for each span its values from the oldest to the
// newest; and a CRC-32 of all that, in 4 bytes. Numbers are varints. A value is the
// difference to the one before, in tenths, zigzag, plus 1; a 0 is followed by how many
// values are not known. Sizes of spans are not written: another version has another magic.
const magic = "signpost plots 1\n"

// tenth is the resolution of encoded values: rates have one decimal.
const tenth = 10

// Encode returns the Ring's content, to be kept.
func (r *Ring) Encode() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := binary.AppendVarint([]byte(magic), r.at)
	b = binary.AppendUvarint(b, uint64(len(r.series)))
	text := func(s string) {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	byKey := func(a, b Key) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) }
	for _, key := range slices.SortedFunc(maps.Keys(r.series), byKey) {
		s := r.series[key]
		text(string(key.Kind))
		text(key.Name)
		b = binary.AppendVarint(b, s.last)
		for i, sp := range spans {
			b = appendValues(b, s.values[i], Span(i).slot(r.at)+1, sp.slots)
		}
	}
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// appendValues appends the values from slot first on, all around.
func appendValues(b []byte, values []float32, first, slots int64) []byte {
	last, gaps := int64(0), uint64(0)
	for slot := first; slot < first+slots; slot++ {
		v := float64(values[slot%slots])
		if math.IsNaN(v) {
			gaps++
			continue
		}
		if gaps > 0 {
			b = binary.AppendUvarint(append(b, 0), gaps)
			gaps = 0
		}
		q := int64(math.Round(v * tenth))
		d := q - last
		b = binary.AppendUvarint(b, uint64(d<<1^d>>63)+1)
		last = q
	}
	if gaps > 0 {
		b = binary.AppendUvarint(append(b, 0), gaps)
	}
	return b
}

var errSpoiled = errors.New("it is damaged")

// Decode makes a Ring of what [Ring.Encode] returned. It fails if that was changed, or if
// another version wrote it.
func Decode(b []byte) (*Ring, error) {
	body := len(b) - crc32.Size
	switch {
	case body < len(magic) || string(b[:len(magic)]) != magic:
		return nil, errors.New("it is no file of plots, or one of another version")
	case crc32.ChecksumIEEE(b[:body]) != binary.BigEndian.Uint32(b[body:]):
		return nil, errSpoiled
	}
	d := decoder{rest: b[len(magic):body]}
	r := New()
	r.at = d.varint()
	n := d.uvarint()
	if n > MaxSeries || r.at < 0 || r.at > math.MaxInt64/2 {
		return nil, errSpoiled
	}
	for range n {
		key := Key{Kind(d.text()), d.text()}
		s := newSeries()
		s.last = d.varint()
		for i, sp := range spans {
			d.values(s.values[i], Span(i).slot(r.at)+1, sp.slots)
		}
		r.series[key] = s
	}
	if d.failed || len(d.rest) > 0 {
		return nil, errSpoiled
	}
	return r, nil
}

// A decoder reads numbers; once it has failed it returns zeros.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.failed, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) varint() int64 {
	v := d.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > maxName || n > uint64(len(d.rest)) {
		d.failed, d.rest = true, nil
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) values(to []float32, first, slots int64) {
	last := int64(0)
	for slot := first; slot < first+slots && !d.failed; slot++ {
		v := d.uvarint()
		if v == 0 {
			gaps := d.uvarint()
			if gaps == 0 || gaps > uint64(first+slots-slot) {
				d.failed = true
				return
			}
			slot += int64(gaps) - 1
			continue
		}
		v--
		last += int64(v>>1) ^ -int64(v&1)
		to[slot%slots] = float32(float64(last) / tenth)
	}
}
