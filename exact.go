package chat

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Unmarshal is [json.Unmarshal] with case-sensitive member names: "Text" is not "text",
// and is ignored like any other unknown member. A field without a tag has its Go name
// with a lower-case first letter.
func Unmarshal(b []byte, v any) error {
	if t := reflect.TypeOf(v); t != nil && readable(b) && unlike(b, t, false) {
		b = bytes.Clone(b)
		unlike(b, t, true)
	}
	return json.Unmarshal(b, v)
}

// unlike reports whether a value has members for which its type has no field of exactly
// that name. If hide is true it overwrites these names, so that they match no field.
func unlike(b []byte, t reflect.Type, hide bool) (found bool) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	b = b[skipSpace(b, 0):]
	switch {
	case reflect.PointerTo(t).Implements(unmarshaler):
		return false // the type has rules of its own
	case t.Kind() == reflect.Struct && b[0] == '{':
		fields := fieldsOf(t)
		walk(b, func(name, value []byte) {
			field, known := fields[string(name[1:len(name)-1])]
			if plain, err := unquote(name); !known && err == nil {
				field, known = fields[plain]
			}
			if known {
				found = unlike(value, field, hide) || found
				return
			}
			found = true
			if hide {
				copy(name[1:], bytes.Repeat([]byte("_"), len(name)-2))
			}
		})
	case t.Kind() == reflect.Map && b[0] == '{':
		walk(b, func(_, value []byte) { found = unlike(value, t.Elem(), hide) || found })
	case (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && b[0] == '[':
		walk(b, func(_, value []byte) { found = unlike(value, t.Elem(), hide) || found })
	}
	return found
}

var (
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
	fieldTables sync.Map // from a struct's type to the types of its fields by name
)

func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if known, ok := fieldTables.Load(t); ok {
		return known.(map[string]reflect.Type)
	}
	fields := make(map[string]reflect.Type)
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" || f.Anonymous && name == "" {
			continue
		}
		if name == "" {
			first, n := utf8.DecodeRuneInString(f.Name)
			name = string(unicode.ToLower(first)) + f.Name[n:]
		}
		fields[name] = f.Type
	}
	fieldTables.Store(t, fields)
	return fields
}
