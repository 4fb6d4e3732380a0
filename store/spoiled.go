package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	// maxTold bounds how many entries of a spoiled overlay are told.
	maxTold = 100
	// maxToldRule bounds what is told of a rule, in bytes.
	maxToldRule = 120
)

// lostIn says which entries a spoiled overlay had, as far as it can be read: an operator
// makes them again. If none can be read, it says how large the file is and when it was
// last changed.
func lostIn(b []byte, info os.FileInfo) string {
	entries, whole := entriesOf(b)
	if len(entries) == 0 {
		told := fmt.Sprintf("no entry in it can be read; it has %d bytes", len(b))
		if info != nil {
			told = fmt.Sprintf("no entry in it can be read; it has %d bytes and was last changed at %s", info.Size(), info.ModTime().UTC().Format(time.RFC3339))
		}
		return told
	}
	rest := ""
	if more := len(entries) - maxTold; more > 0 {
		entries, rest = entries[:maxTold], fmt.Sprintf(", and %d more", more)
	}
	if !whole {
		rest += ", and what follows cannot be read"
	}
	return "it had " + strings.Join(entries, "; ") + rest
}

// entriesOf describes the entries of an overlay up to where it cannot be read. whole says
// that it can be read to its end.
func entriesOf(b []byte) (entries []string, whole bool) {
	d := json.NewDecoder(bytes.NewReader(b))
	if err := eachKey(d, func(key string) error { return entriesUnder(d, key, &entries) }); err != nil {
		return entries, false
	}
	_, err := d.Token()
	return entries, err == io.EOF
}

func entriesUnder(d *json.Decoder, key string, entries *[]string) error {
	add := func(format string, args ...any) { *entries = append(*entries, fmt.Sprintf(format, args...)) }
	switch key {
	case "overlay": // of a saved answer of the API
		return eachKey(d, func(key string) error { return entriesUnder(d, key, entries) })
	case "rows":
		return eachKey(d, func(id string) error {
			var r Row
			err := d.Decode(&r)
			if err == nil {
				var weights []string
				for _, n := range slices.Sorted(maps.Keys(r.Weights)) {
					weights = append(weights, fmt.Sprintf("%s=%v", n, r.Weights[n]))
				}
				add("rows/%s (%s)%s", id, strings.Join(weights, " "), r.told())
			}
			return err
		})
	case "overflows":
		return eachKey(d, func(id string) error {
			var w Overflow
			err := d.Decode(&w)
			if err == nil {
				add("overflows/%s (%s)%s", id, joinIDs(w.Regions), w.told())
			}
			return err
		})
	case "nodes":
		return eachKey(d, func(id string) error {
			var n NodeSetting
			err := d.Decode(&n)
			if err == nil {
				add("nodes/%s (%s)%s", id, n.State, n.told())
			}
			return err
		})
	case "rules":
		return eachValue(d, func() error {
			var r Rule
			err := d.Decode(&r)
			if err == nil {
				add("rules/%s (%.*s)%s", r.ID, maxToldRule, r.Rule, r.told())
			}
			return err
		})
	case "notes":
		return eachValue(d, func() error {
			var n Note
			err := d.Decode(&n)
			if err == nil {
				add("notes/%s (%.*q)%s", n.ID, maxToldRule, n.Text, n.told())
			}
			return err
		})
	default:
		var skipped json.RawMessage
		return d.Decode(&skipped)
	}
}

// told says who made an entry, and why.
func (s Stamp) told() string {
	text := ""
	if s.By != "" {
		text = " by " + s.By
	}
	if s.Why != "" {
		text += fmt.Sprintf(", %q", s.Why)
	}
	return text
}

// eachKey calls do for each key of an object; do reads the value.
func eachKey(d *json.Decoder, do func(key string) error) error {
	if err := delimiter(d, '{'); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		if err := do(key.(string)); err != nil { // keys are nothing else
			return err
		}
	}
	return delimiter(d, '}')
}

// eachValue calls do for each value of an array; do reads it.
func eachValue(d *json.Decoder, do func() error) error {
	if err := delimiter(d, '['); err != nil {
		return err
	}
	for d.More() {
		if err := do(); err != nil {
			return err
		}
	}
	return delimiter(d, ']')
}

func delimiter(d *json.Decoder, want json.Delim) error {
	got, err := d.Token()
	if err == nil && got != want {
		err = fmt.Errorf("%v where %v was expected", got, want)
	}
	return err
}
