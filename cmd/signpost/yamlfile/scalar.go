package yamlfile

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
)

// scalar reads a single value.
func (d *decoder) scalar(n ast.Node, v reflect.Value) {
	text, ok := scalarText(n)
	if !ok {
		d.fail(n, "%s is expected here, not %s", TypeName(v.Type()), describe(n))
		return
	}
	_, quoted := n.(*ast.StringNode)
	if quoted && n.GetToken().Value != "" && isNumber(v.Type()) {
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			d.fail(n, "%s is expected here, not the text %q; remove the quotes", TypeName(v.Type()), text)
			return
		}
	}
	if err := setScalar(v, text); err != nil {
		d.fail(n, "%s", err)
	}
}

// setScalar parses text into v by its type. It reads the `default` tags too.
func setScalar(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	wrong := fmt.Errorf("%s is expected here, not %q", TypeName(v.Type()), text)
	if v.Type() == reflect.TypeFor[time.Duration]() {
		t, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration; write a number with its unit, such as 250ms, 5s or 1h30m", text)
		}
		v.SetInt(int64(t))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("true or false is expected here, not %q", text)
		}
		v.SetBool(text == "true")
	case reflect.Int:
		i, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 64)
		if err != nil || i > math.MaxInt32 || i < math.MinInt32 {
			return wrong
		}
		v.SetInt(i)
	case reflect.Float64:
		f, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return wrong
		}
		v.SetFloat(f)
	default:
		panic("configuration type without a reader: " + v.Type().String())
	}
	return nil
}

// scalarText returns the text of a scalar as it is written in the file.
func scalarText(n ast.Node) (string, bool) {
	switch t := n.(type) {
	case *ast.StringNode:
		return t.Value, true
	case *ast.LiteralNode:
		return t.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	default:
		return urlInBraces(n)
	}
}

// urlInBraces restores a bare URL with a port. Between { and } the
// parser takes "http://a.example:8000" for a key with a value, although YAML
// requires a space after the colon.
func urlInBraces(n ast.Node) (string, bool) {
	m, ok := n.(ast.MapNode)
	if !ok {
		return "", false
	}
	it := m.MapRange()
	if !it.Next() {
		return "", false
	}
	key, isText := it.Key().(*ast.StringNode)
	value, isScalar := scalarText(it.Value())
	if !isText || !isScalar || !strings.HasPrefix(key.Value, "http://") && !strings.HasPrefix(key.Value, "https://") {
		return "", false
	}
	from, to := key.GetToken().Position, it.Value().GetToken().Position
	touching := from.Line == to.Line && from.Column+utf8.RuneCountInString(key.Value)+1 == to.Column
	return key.Value + ":" + value, touching && !it.Next()
}

func isNumber(t reflect.Type) bool {
	return t.Kind() == reflect.Int || t.Kind() == reflect.Float64
}

// A Typed type says how its values are written.
type Typed interface{ TypeName() string }

// TypeName describes a type in messages and on the reference page, with its article.
func TypeName(t reflect.Type) string {
	if named, ok := reflect.Zero(t).Interface().(Typed); ok {
		return named.TypeName()
	}
	if t == reflect.TypeFor[time.Duration]() {
		return "a duration"
	}
	switch t.Kind() {
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "keys with values"
	default:
		return "text"
	}
}

// describe names the node that is in the file instead of what was expected.
func describe(n ast.Node) string {
	switch n.(type) {
	case ast.MapNode:
		return "keys with values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	default:
		text, _ := scalarText(n)
		return strconv.Quote(text)
	}
}
