package yamlfile

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"github.com/goccy/go-yaml/ast"

	"github.com/signpost-fm/signpost/cmd/signpost/spelling"
)

// Bounds on what a file may contain. A fleet of 1,000
// nodes and 100 regions that list them all needs some 110,000 values; anything
// far beyond is a mistake or an alias bomb.
const (
	maxValues   = 250_000
	maxDepth    = 50
	maxMistakes = 50
)

// A decoder reads a YAML tree into structs. The library's own decoder stops at the
// first mistake, and an operator wants to see all of them at once. This one also
// notes the position of every value, so that what other packages refuse later can
// be shown in the file.
type decoder struct {
	anchors  map[string]ast.Node
	places   map[string]Position // by pathKey
	mistakes []Mistake
	values   int // decoded so far, aliases expanded
}

// fail records a mistake at n.
func (d *decoder) fail(n ast.Node, format string, args ...any) {
	if len(d.mistakes) < maxMistakes {
		d.mistakes = append(d.mistakes, Mistake{positionOf(n), fmt.Sprintf(format, args...)})
	}
}

// decode reads n into v, which is addressable, and records its position under path.
func (d *decoder) decode(n ast.Node, v reflect.Value, path []any) {
	if d.values++; d.values > maxValues || len(path) > maxDepth {
		if d.values <= maxValues+1 {
			d.values = maxValues + 1
			d.fail(n, "the file is too large or nested too deeply once its aliases are expanded; write it without aliases")
		}
		return
	}
	at := positionOf(n)
	if n = d.resolve(n); n == nil {
		return
	}
	d.places[pathKey(path)] = at
	if custom, ok := v.Addr().Interface().(Unmarshaler); ok {
		custom.UnmarshalValue(Value{d, n, path})
		return
	}
	d.plain(n, v, path)
}

// plain reads n into v by its type, without its UnmarshalValue.
func (d *decoder) plain(n ast.Node, v reflect.Value, path []any) {
	if _, null := n.(*ast.NullNode); null {
		return // a key without a value keeps its default
	}
	_, text := v.Addr().Interface().(encoding.TextUnmarshaler)
	switch kind := v.Kind(); {
	case text:
		d.scalar(n, v)
	case kind == reflect.Struct:
		d.structure(n, v, path)
	case kind == reflect.Map:
		d.table(n, v, path)
	case kind == reflect.Slice:
		d.list(n, v, path)
	default:
		d.scalar(n, v)
	}
}

// resolve follows anchors and aliases to the value itself. nil: there is none, and a
// mistake was recorded.
func (d *decoder) resolve(n ast.Node) ast.Node {
	for range maxDepth {
		switch t := n.(type) {
		case *ast.AnchorNode:
			n = t.Value
		case *ast.AliasNode:
			name := t.Value.GetToken().Value
			target, ok := d.anchors[name]
			if !ok {
				d.fail(n, "alias *%s has no anchor &%s", name, name)
				return nil
			}
			n = target
		case *ast.TagNode:
			d.fail(n, "YAML tags such as %s are not used here; remove it", t.Start.Value)
			return nil
		default:
			return n
		}
	}
	d.fail(n, "aliases refer to each other in a circle")
	return nil
}

// An entry is one key of a mapping with its value.
type entry struct {
	key   string
	node  ast.Node // the key
	value ast.Node
}

// entries returns the keys of the mapping n, and after them those that `<<` merges in.
// ok is false if n is not a mapping; a mistake is then recorded.
func (d *decoder) entries(n ast.Node, what string) (found []entry, ok bool) {
	m, isMap := n.(ast.MapNode)
	if !isMap {
		d.fail(n, "%s is written as keys with values, not as %s", what, describe(n))
		return nil, false
	}
	var merged []entry
	seen := map[string]Position{}
	for it := m.MapRange(); it.Next(); {
		if it.Key().IsMergeKey() {
			merged = append(merged, d.merge(it.Value(), what)...)
			continue
		}
		keyNode := ast.Node(it.Key())
		if a, isAnchor := keyNode.(*ast.AnchorNode); isAnchor {
			keyNode = a.Value
		}
		key, isScalar := scalarText(keyNode)
		if !isScalar {
			d.fail(it.Key(), "a key must be plain text")
			continue
		}
		if first, twice := seen[key]; twice {
			d.fail(it.Key(), "key %q is given twice, first on line %d; keep one", key, first.Line)
			continue
		}
		seen[key] = positionOf(it.Key())
		found = append(found, entry{key, it.Key(), it.Value()})
	}
	for _, e := range merged {
		if _, own := seen[e.key]; !own {
			seen[e.key] = positionOf(e.node)
			found = append(found, e)
		}
	}
	return found, true
}

// merge returns the entries that a `<<` key merges in.
func (d *decoder) merge(n ast.Node, what string) []entry {
	if d.values++; d.values > maxValues {
		return nil
	}
	if n = d.resolve(n); n == nil {
		return nil
	}
	if _, isMap := n.(ast.MapNode); !isMap {
		d.fail(n, "<< merges one alias of a mapping, not %s", describe(n))
		return nil
	}
	for it := n.(ast.MapNode).MapRange(); it.Next(); {
		if it.Key().IsMergeKey() {
			d.fail(it.Key(), "<< inside what is merged by << is not supported; merge once")
			return nil
		}
	}
	found, _ := d.entries(n, what)
	return found
}

func (d *decoder) structure(n ast.Node, v reflect.Value, path []any) {
	what := keyOf(path)
	found, ok := d.entries(n, what)
	if !ok {
		return
	}
	fields := fieldsOf(v.Type())
	for _, e := range found {
		i, known := fields.index[e.key]
		if !known {
			if _, err := strconv.ParseFloat(e.key, 64); err == nil {
				d.fail(e.node, "unknown key %q in %s; inside braces a value with a comma needs quotes, such as place: \"50.1,8.7\"", e.key, what)
			} else {
				d.fail(e.node, "unknown key %q in %s%s", e.key, what, spelling.Hint(e.key, fields.names))
			}
			continue
		}
		d.decode(e.value, v.Field(i), append(path, e.key))
		if _, single := scalarText(e.value); !single {
			d.places[pathKey(append(path, e.key))] = positionOf(e.node)
		}
	}
}

func (d *decoder) table(n ast.Node, v reflect.Value, path []any) {
	found, ok := d.entries(n, keyOf(path))
	if !ok {
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), len(found))
	for _, e := range found {
		value := reflect.New(v.Type().Elem()).Elem()
		setDefaults(value)
		d.decode(e.value, value, append(path, e.key))
		d.places[pathKey(append(path, e.key))] = positionOf(e.node)
		out.SetMapIndex(reflect.ValueOf(e.key).Convert(v.Type().Key()), value)
	}
	v.Set(out)
}

// list reads a list. A single value is a list of one.
func (d *decoder) list(n ast.Node, v reflect.Value, path []any) {
	items := []ast.Node{n}
	if s, many := n.(*ast.SequenceNode); many {
		items = s.Values
	} else if _, single := scalarText(n); !single {
		d.fail(n, "%s is a list; start each item with a dash", keyOf(path))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		if _, null := item.(*ast.NullNode); null {
			d.fail(item, "an empty item in %s; remove the dash or fill it in", keyOf(path))
			continue
		}
		setDefaults(out.Index(i))
		d.decode(item, out.Index(i), append(path, i))
	}
	v.Set(out)
}

// SetDefaults fills the struct that v points to, and the structs inside it, from
// their `default` tags.
func SetDefaults(v any) { setDefaults(reflect.ValueOf(v).Elem()) }

func setDefaults(v reflect.Value) {
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		text, ok := v.Type().Field(i).Tag.Lookup("default")
		if !ok {
			setDefaults(v.Field(i))
			continue
		}
		target := v.Field(i)
		if target.Kind() == reflect.Slice {
			target.Set(reflect.MakeSlice(target.Type(), 1, 1))
			target = target.Index(0)
		}
		if err := setScalar(target, text); err != nil {
			panic(fmt.Sprintf("default of %s.%s: %v", v.Type(), v.Type().Field(i).Name, err))
		}
	}
}

// fields are the keys of one struct type, in the order of declaration.
type fields struct {
	names []string
	index map[string]int
}

// known are the fields of types that were asked for, by reflect.Type: a file of thousands
// of nodes asks for each of them.
var known sync.Map

func fieldsOf(t reflect.Type) fields {
	if f, ok := known.Load(t); ok {
		return f.(fields)
	}
	f := fields{index: map[string]int{}}
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" {
			f.names = append(f.names, name)
			f.index[name] = i
		}
	}
	known.Store(t, f)
	return f
}

// keyOf names the part of the file at path, for a message.
func keyOf(path []any) string {
	for _, p := range slices.Backward(path) {
		if s, ok := p.(string); ok {
			return s
		}
	}
	return "the file"
}
