package yamlfile

import (
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// An Unmarshaler is a type that can be written in several ways. It reads the value
// that it is given, and tells mistakes with [Value.Fail].
type Unmarshaler interface{ UnmarshalValue(Value) }

// A Value is one value of a file while it is decoded.
type Value struct {
	d    *decoder
	node ast.Node
	path []any
}

// Scalar returns the text of a single value as it is in the file; ok is false for
// keys with values, a list, or nothing.
func (v Value) Scalar() (text string, ok bool) { return scalarText(v.node) }

// IsNull says whether there is nothing: a key without a value.
func (v Value) IsNull() bool { return v.node.Type() == ast.NullType }

// IsList says whether it is a list.
func (v Value) IsList() bool { return v.node.Type() == ast.SequenceType }

// Fail notes a mistake here.
func (v Value) Fail(format string, args ...any) { v.d.fail(v.node, format, args...) }

// Decode reads the value into what target points to, by its type. Its own
// UnmarshalValue is not called.
func (v Value) Decode(target any) { v.d.plain(v.node, reflect.ValueOf(target).Elem(), v.path) }

// Has says whether a value that was decoded into a struct has a key.
func (v Value) Has(key string) bool {
	_, ok := v.d.places[pathKey(append(v.path, key))]
	return ok
}

// DecodeSection reads a section that is a list, or keys with values of which `list`
// is that list. The positions in the list are noted without the key `list`.
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

// An Entry is one key of a [Value], with the value of its own.
type Entry struct {
	Key string

	d     *decoder
	entry entry
	path  []any
}

// Entries returns the keys of a value in the order of the file; what names it in a
// message. There are none if it is something else, which is a mistake.
func (v Value) Entries(what string) []Entry {
	found, _ := v.d.entries(v.node, what)
	all := make([]Entry, len(found))
	for i, e := range found {
		all[i] = Entry{e.key, v.d, e, append(v.path[:len(v.path):len(v.path)], e.key)}
	}
	return all
}

// IsNull says whether the key has no value.
func (e Entry) IsNull() bool { return e.entry.value.Type() == ast.NullType }

// Fail notes a mistake at the key.
func (e Entry) Fail(format string, args ...any) { e.d.fail(e.entry.node, format, args...) }

// Decode reads the value of the key into what target points to.
func (e Entry) Decode(target any) {
	e.d.decode(e.entry.value, reflect.ValueOf(target).Elem(), e.path)
}
