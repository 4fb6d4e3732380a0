// Package strictjson reads JSON as the configuration file is read: mistakes that
// encoding/json accepts, and that people then look for in vain, are errors that say where
// they are.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Unmarshal reads the single JSON value in b into what v points to, as [json.Unmarshal]
// does. In addition, these are errors: text that is not valid Unicode, a key that occurs
// twice in an object, and a key that differs from a field's only in case. With known, a
// key of no field is an error, too. After an error *v may have been changed.
func Unmarshal(b []byte, v any, known bool) error {
	if err := checkText(b); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if known {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON")
	}
	w := walker{json.NewDecoder(bytes.NewReader(b))}
	return w.value("", reflect.TypeOf(v))
}

// checkText returns an error with the position where b is not UTF-8, or escapes half of a
// surrogate pair.
func checkText(b []byte) error {
	for at := 0; at < len(b); {
		r, size := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && size == 1 {
			return fmt.Errorf("byte %d is not UTF-8", at+1)
		}
		if b[at] != '\\' {
			at += size
			continue
		}
		high, low := surrogate(b, at), surrogate(b, at+6)
		switch {
		case high >= 0xd800 && high < 0xdc00 && low >= 0xdc00:
			at += 12
		case high != 0:
			return fmt.Errorf("byte %d begins half of a pair of surrogates, which is no character", at+1)
		default:
			at += 2 // the escaped character, too
		}
	}
	return nil
}

// surrogate returns the surrogate that is escaped at b[at:], or 0 if there is none.
func surrogate(b []byte, at int) uint64 {
	if at+6 > len(b) || b[at] != '\\' || b[at+1] != 'u' {
		return 0
	}
	n, err := strconv.ParseUint(string(b[at+2:at+6]), 16, 16)
	if err != nil || n < 0xd800 || n > 0xdfff {
		return 0
	}
	return n
}

// walker walks through valid JSON, along the type that it is read into.
type walker struct{ *json.Decoder }

// value walks through one value. t is nil where the type does not say what is in it.
func (w walker) value(path string, t reflect.Type) error {
	token, err := w.Token()
	if err != nil {
		return err
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch token {
	case json.Delim('{'):
		return w.object(path, t)
	case json.Delim('['):
		var elem reflect.Type
		if t != nil && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) {
			elem = t.Elem()
		}
		for i := 0; w.More(); i++ {
			if err := w.value(fmt.Sprintf("%s[%d]", path, i), elem); err != nil {
				return err
			}
		}
		_, err = w.Token()
	}
	return err
}

func (w walker) object(path string, t reflect.Type) error {
	var fields map[string]reflect.Type
	var elem reflect.Type
	if t != nil {
		switch t.Kind() {
		case reflect.Struct:
			fields = fieldsOf(t)
		case reflect.Map:
			elem = t.Elem()
		}
	}
	seen := map[string]bool{}
	for w.More() {
		token, err := w.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		at := strings.TrimPrefix(path+"."+key, ".")
		if seen[key] {
			return fmt.Errorf("%.200s occurs twice", at)
		}
		seen[key] = true
		of := elem
		if fields != nil {
			var exact bool
			if of, exact = fields[key]; !exact {
				for name := range fields {
					if strings.EqualFold(name, key) {
						return fmt.Errorf("%.200s: write it %s", at, name)
					}
				}
			}
		}
		if err := w.value(at, of); err != nil {
			return err
		}
	}
	_, err := w.Token()
	return err
}

// fieldsOf returns the JSON keys of a struct's fields, with the types of their values.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() || f.Anonymous && name == "":
		case name == "":
			fields[f.Name] = f.Type
		default:
			fields[name] = f.Type
		}
	}
	return fields
}
