package admin

import (
	"encoding"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/signpost-fm/signpost/director"
	"github.com/signpost-fm/signpost/store"
)

// schemas makes JSON schemas of types, as encoding/json writes them, with the
// comments of their fields.
type schemas struct {
	comments map[string]string // by "package.Type" and "package.Type.Field"
	all      object            // by name
}

// opaque are types whose form in JSON is their own affair.
var opaque = map[reflect.Type]object{
	reflect.TypeFor[time.Time]():       {"type": "string", "format": "date-time"},
	reflect.TypeFor[json.RawMessage](): {},
	reflect.TypeFor[store.Overlay]():   {"type": "object", "description": "The document that directors share."},
}

func (s *schemas) of(t reflect.Type) object {
	if known, ok := opaque[t]; ok {
		return known
	}
	if words, ok := knownWords[t]; ok {
		return object{"type": "string", "enum": words}
	}
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Struct:
		return s.named(t)
	case reflect.Map:
		of := s.of(t.Elem())
		if t == reflect.TypeFor[map[director.RegionID]map[director.NodeID]float64]() {
			of["nullable"] = true // the file's row
		}
		return object{"type": "object", "additionalProperties": of}
	case reflect.Slice:
		items := s.of(t.Elem())
		if t == reflect.TypeFor[[]*float64]() {
			items = object{"type": "number", "nullable": true} // null: not known
		}
		return object{"type": "array", "items": items}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Interface:
		return object{}
	default:
		return object{"type": "integer"}
	}
}

// named makes a schema with a name, once, and returns where it is.
func (s *schemas) named(t reflect.Type) object {
	name := t.Name()
	if path.Base(t.PkgPath()) != "api" {
		name = strings.ToUpper(path.Base(t.PkgPath())[:1]) + path.Base(t.PkgPath())[1:] + name
	}
	ref := object{"$ref": "#/components/schemas/" + name}
	if s.all[name] != nil {
		return ref
	}
	properties := object{}
	out := object{"type": "object", "properties": properties}
	s.all[name] = out // before its fields, which may be of its type
	if c := s.comments[key(t)]; c != "" {
		out["description"] = c
	}
	for _, f := range fields(t) {
		of := s.of(f.Type)
		if c := s.comments[f.key]; c != "" {
			if of["$ref"] != nil {
				of = object{"allOf": []any{of}}
			} else {
				of = clone(of)
			}
			of["description"] = c
		}
		if nullable(f.Type, f.key) {
			of = clone(of)
			of["nullable"] = true
		}
		properties[f.json] = of
	}
	if must := s.required(t); must != nil {
		out["required"] = must
	}
	return ref
}

// nullable says where null has a meaning of its own: the file's row.
func nullable(t reflect.Type, key string) bool {
	return t.Kind() == reflect.Map && key == "api.RowVersion.Weights"
}

func clone(o object) object {
	out := object{}
	for k, v := range o {
		out[k] = v
	}
	return out
}

// strict says that a body's unknown fields are refused.
func (s *schemas) strict(t reflect.Type) { s.all[t.Name()].(object)["additionalProperties"] = false }

func (s *schemas) required(t reflect.Type) (must []string) {
	for _, f := range fields(t) {
		if f.always {
			must = append(must, f.json)
		}
	}
	slices.Sort(must)
	return must
}

type field struct {
	reflect.StructField
	json, key string
	always    bool // it is never left out
}

// fields returns what encoding/json writes of a struct.
func fields(t reflect.Type) (all []field) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			all = append(all, fields(f.Type)...)
		case f.IsExported() && name != "-" && name != "":
			all = append(all, field{f, name, key(t) + "." + f.Name, !strings.Contains(options, "omit")})
		}
	}
	return all
}

func key(t reflect.Type) string { return path.Base(t.PkgPath()) + "." + t.Name() }

// comments reads what the source says of types and their fields.
func comments(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for pkg, dir := range map[string]string{"api": "api", "store": "../../store", "director": "../../director"} {
		parsed, err := parser.ParseDir(token.NewFileSet(), dir, nil, parser.ParseComments) //nolint:staticcheck // files are enough, no packages are needed
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parsed {
			for _, file := range p.Files {
				ast.Inspect(file, func(n ast.Node) bool {
					if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.TYPE {
						readType(all, pkg, d)
					}
					return true
				})
			}
		}
	}
	return all
}

func readType(all map[string]string, pkg string, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		t := spec.(*ast.TypeSpec)
		name := pkg + "." + t.Name.Name
		all[name] = sentence(d.Doc)
		st, ok := t.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range st.Fields.List {
			text := sentence(f.Comment)
			if text == "" {
				text = sentence(f.Doc)
			}
			for _, id := range f.Names {
				all[name+"."+id.Name] = text
			}
		}
	}
}

func sentence(c *ast.CommentGroup) string {
	return strings.NewReplacer("[", "", "]", "", "nil:", "absent:").Replace(strings.Join(strings.Fields(c.Text()), " "))
}
