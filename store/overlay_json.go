package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/signpost-fm/signpost/director"
)

// OverlaySchema is the version of the overlay's JSON. It rises only with changes
// that an older Signpost would misread; a new field is not such a change.
const OverlaySchema = 1

// maxRevision is the largest number that every JSON reader and Redis's Lua represent
// exactly.
const maxRevision = 1<<53 - 1

// Each type has a twin without methods, which encoding/json handles by its fields.
type (
	plainOverlay     Overlay
	plainRow         Row
	plainOverflow    Overflow
	plainNodeSetting NodeSetting
	plainRule        Rule
	plainNote        Note
	plainChange      Change
	plainEntryChange EntryChange

	overlayDocument struct {
		Schema int `json:"schema"`
		plainOverlay
	}
)

// MarshalJSON writes the document with its schema version.
func (o Overlay) MarshalJSON() ([]byte, error) {
	return marshalWith(o.Unknown, overlayDocument{OverlaySchema, plainOverlay(o)})
}

// UnmarshalJSON reads the document. A schema above [OverlaySchema] or below 1, and a
// revision that no Signpost writes, are errors; unknown fields are kept.
func (o *Overlay) UnmarshalJSON(b []byte) error {
	var d overlayDocument
	unknown, err := unmarshalWith(b, &d)
	switch {
	case err != nil:
		return err
	case d.Schema > OverlaySchema:
		return fmt.Errorf("operators' changes have schema %d, and this version reads up to %d: a newer signpost wrote it", d.Schema, OverlaySchema)
	case d.Schema < 1:
		return fmt.Errorf("operators' changes have schema %d: not written by signpost", d.Schema)
	case d.Revision > maxRevision:
		return fmt.Errorf("operators' changes have revision %d: not written by signpost", d.Revision)
	}
	*o = Overlay(d.plainOverlay)
	o.Unknown = unknown
	return nil
}

// asStored returns o as a store would return it, so that the two compare equal.
func (o Overlay) asStored() (out Overlay, err error) {
	b, err := json.Marshal(o)
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(b, &out)
}

// MarshalJSON writes the unknown fields too.
func (r Row) MarshalJSON() ([]byte, error) { return marshalWith(r.Unknown, plainRow(r)) }

// MarshalJSON writes the unknown fields too.
func (o Overflow) MarshalJSON() ([]byte, error) {
	if o.Regions == nil {
		o.Regions = []director.RegionID{} // none, and not unknown
	}
	return marshalWith(o.Unknown, plainOverflow(o))
}

// MarshalJSON writes the unknown fields too.
func (n NodeSetting) MarshalJSON() ([]byte, error) {
	return marshalWith(n.Unknown, plainNodeSetting(n))
}

// MarshalJSON writes the unknown fields too.
func (r Rule) MarshalJSON() ([]byte, error) { return marshalWith(r.Unknown, plainRule(r)) }

// MarshalJSON writes the unknown fields too.
func (n Note) MarshalJSON() ([]byte, error) { return marshalWith(n.Unknown, plainNote(n)) }

// MarshalJSON writes the unknown fields too.
func (c Change) MarshalJSON() ([]byte, error) { return marshalWith(c.Unknown, plainChange(c)) }

// MarshalJSON writes the unknown fields too.
func (c EntryChange) MarshalJSON() ([]byte, error) {
	return marshalWith(c.Unknown, plainEntryChange(c))
}

// UnmarshalJSON keeps the fields it does not know.
func (r *Row) UnmarshalJSON(b []byte) (err error) {
	r.Unknown, err = unmarshalWith(b, (*plainRow)(r))
	return err
}

// UnmarshalJSON keeps the fields it does not know.
func (o *Overflow) UnmarshalJSON(b []byte) (err error) {
	o.Unknown, err = unmarshalWith(b, (*plainOverflow)(o))
	return err
}

// UnmarshalJSON keeps the fields it does not know.
func (n *NodeSetting) UnmarshalJSON(b []byte) (err error) {
	n.Unknown, err = unmarshalWith(b, (*plainNodeSetting)(n))
	return err
}

// UnmarshalJSON keeps the fields it does not know.
func (r *Rule) UnmarshalJSON(b []byte) (err error) {
	r.Unknown, err = unmarshalWith(b, (*plainRule)(r))
	return err
}

// UnmarshalJSON keeps the fields it does not know.
func (n *Note) UnmarshalJSON(b []byte) (err error) {
	n.Unknown, err = unmarshalWith(b, (*plainNote)(n))
	return err
}

// UnmarshalJSON keeps the fields it does not know.
func (c *Change) UnmarshalJSON(b []byte) (err error) {
	c.Unknown, err = unmarshalWith(b, (*plainChange)(c))
	return err
}

// UnmarshalJSON keeps the fields it does not know.
func (c *EntryChange) UnmarshalJSON(b []byte) (err error) {
	c.Unknown, err = unmarshalWith(b, (*plainEntryChange)(c))
	return err
}

// marshalWith writes the fields of the struct known, followed by the unknown ones.
func marshalWith(unknown map[string]json.RawMessage, known any) ([]byte, error) {
	b, err := json.Marshal(known)
	if err != nil || len(unknown) == 0 {
		return b, err
	}
	rest, err := json.Marshal(unknown)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(b, []byte("{}")) {
		return rest, nil
	}
	b[len(b)-1] = ','
	return append(b, rest[1:]...), nil
}

// unmarshalWith reads into the struct that known points to, and returns the fields
// that the struct does not have; nil if there are none.
func unmarshalWith(b []byte, known any) (map[string]json.RawMessage, error) {
	strict := json.NewDecoder(bytes.NewReader(b))
	strict.DisallowUnknownFields()
	if strict.Decode(known) == nil { // the usual case, and twice as fast
		return nil, nil
	}
	if err := json.Unmarshal(b, known); err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, err
	}
	// encoding/json matches names without regard to case.
	for _, f := range reflect.VisibleFields(reflect.TypeOf(known).Elem()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		for key := range all {
			if strings.EqualFold(key, name) {
				delete(all, key)
			}
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all, nil
}
