package yamlfile

import (
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// An Unmarshaler is a type that can be written in several ways. UnmarshalValue reads the
// value into it, and reports mistakes with [Value.Fail].
type Unmarshaler interface{ UnmarshalValue(Value) }

// A Value is a value in a file that is being decoded.
type Value struct {
	d    *decoder
	node ast.Node
	path []any
}

// Scalar returns the text of a scalar as it is written. ok is false for anything else.
func (v Value) Scalar() (text string, ok bool) { return scalarText(v.node) }

// IsNull reports whether the key has no value.
func (v Value) IsNull() bool { return v.node.Type() == ast.NullType }

// IsList reports whether the value is a list.
func (v Value) IsList() bool { return v.node.Type() == ast.SequenceType }

// Fail records a mistake at the value.
func (v Value) Fail(format string, args ...any) { v.d.fail(v.node, format, args...) }

// Decode reads the value into what target points to, by its type. It does not call
// target's UnmarshalValue.
func (v Value) Decode(target any) { v.d.plain(v.node, reflect.ValueOf(target).Elem(), v.path) }

// Has reports whether a value that was decoded into a struct has the key.
func (v Value) Has(key string) bool {
	_, ok := v.d.places[pathKey(append(v.path, key))]
	return ok
}

// DecodeSection reads a section that is either a list, or a mapping with that list under
// the key `list`. Paths of positions have no `list` in either case.
func (v Value) DecodeSection(section, list any) {
	if v.IsList() {
		v.Decode(list)
		return
	}
	v.Decode(section)
	for key, at := range v.d.places {
		if rest, ok := strings.CutPrefix(key, pathKey(append(v.path, "list"))); ok {
			v.d.places[pathKey(v.path)+rest] = at
		}
	}
}

// An Entry is a key of a mapping, with its value.
type Entry struct {
	Key string

	d     *decoder
	entry entry
	path  []any
}

// Entries returns the keys of a mapping in the order of the file. Anything else is a
// mistake, in which what names the value.
func (v Value) Entries(what string) []Entry {
	found, _ := v.d.entries(v.node, what)
	all := make([]Entry, len(found))
	for i, e := range found {
		all[i] = Entry{e.key, v.d, e, append(v.path[:len(v.path):len(v.path)], e.key)}
	}
	return all
}

// IsNull reports whether the key has no value.
func (e Entry) IsNull() bool { return e.entry.value.Type() == ast.NullType }

// Fail records a mistake at the key.
func (e Entry) Fail(format string, args ...any) { e.d.fail(e.entry.node, format, args...) }

// Decode reads the value of the key into what target points to.
func (e Entry) Decode(target any) {
	e.d.decode(e.entry.value, reflect.ValueOf(target).Elem(), e.path)
}
