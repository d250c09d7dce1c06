package gtm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// maxDepth is the number of levels that a document may have.
const maxDepth = 200

// Document is a BSON document that was checked: each element is complete and within it, and its texts are UTF-8.
type Document []byte

// Value is the value of an element.
type Value struct {
	// Type is as BSON's specification numbers it: 0x02 is a string.
	Type byte
	// Bytes are the bytes of the value in the document.
	Bytes []byte
}

var errMalformed = Reject(errors.New("the document cannot be decoded: it is not BSON"))

// Read checks a document, without a copy. Its error is a rejection.
func Read(bytes []byte) (Document, error) {
	if length, ok := documentLength(bytes, 1); !ok || length != len(bytes) {
		return nil, errMalformed
	}
	return bytes, nil
}

// All returns the elements in order.
func (d Document) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for at := 4; at < len(d)-1; {
			kind := d[at]
			name, ok := cstring(d[at+1:], 0)
			if !ok {
				return
			}
			begin := at + 1 + name
			length, ok := valueLength(kind, d[begin:], 0)
			if !ok || !yield(string(d[at+1:begin-1]), Value{kind, d[begin : begin+length]}) {
				return
			}
			at = begin + length
		}
	}
}

// Get returns the value of this name, or of this path through documents and arrays. False: there is none.
func (d Document) Get(path ...string) (Value, bool) {
	for name, value := range d.All() {
		if len(path) == 0 || name != path[0] {
			continue
		}
		if len(path) == 1 {
			return value, true
		}
		if inner, ok := value.Document(); ok {
			return inner.Get(path[1:]...)
		}
		return Value{}, false
	}
	return Value{}, false
}

// Text returns the string of this name or path. False: there is none.
func (d Document) Text(path ...string) (string, bool) {
	value, _ := d.Get(path...)
	return value.Text()
}

// Required reads fields that must exist, by name or path. The error of each of its functions is a rejection:
// "email: expected a string, found an object".
type Required struct{ document Document }

// Required returns the document for reading fields that must exist.
func (d Document) Required() Required { return Required{d} }

// Text returns a string.
func (r Required) Text(path ...string) (string, error) {
	return required(r, Value.Text, "a string", path)
}

// Int64 returns an int32 or int64.
func (r Required) Int64(path ...string) (int64, error) {
	return required(r, Value.Int64, "an integer", path)
}

// Float64 returns a double, int32 or int64.
func (r Required) Float64(path ...string) (float64, error) {
	return required(r, Value.Float64, "a number", path)
}

// Bool returns a boolean.
func (r Required) Bool(path ...string) (bool, error) {
	return required(r, Value.Bool, "a boolean", path)
}

// Time returns a date.
func (r Required) Time(path ...string) (time.Time, error) {
	return required(r, Value.Time, "a date", path)
}

// Document returns a document, or an array, whose elements are named 0, 1, ….
func (r Required) Document(path ...string) (Document, error) {
	return required(r, Value.Document, "an object", path)
}

func required[T any](r Required, get func(Value) (T, bool), expected string, path []string) (T, error) {
	value, found := r.document.Get(path...)
	if wanted, ok := get(value); found && ok {
		return wanted, nil
	}
	name := "nothing"
	if found {
		name = value.typeName()
	}
	var none T
	return none, Rejectf("%s: expected %s, found %s", strings.Join(path, "."), expected, name)
}

func (v Value) typeName() string {
	switch v.Type {
	case 0x01:
		return "a double"
	case 0x02:
		return "a string"
	case 0x03:
		return "an object"
	case 0x04:
		return "an array"
	case 0x05:
		return "binary data"
	case 0x06:
		return "undefined"
	case 0x07:
		return "an ObjectId"
	case 0x08:
		return "a boolean"
	case 0x09:
		return "a date"
	case 0x0a:
		return "null"
	case 0x0b:
		return "a regular expression"
	case 0x0c:
		return "a DBPointer"
	case 0x0d, 0x0f:
		return "JavaScript code"
	case 0x0e:
		return "a symbol"
	case 0x10, 0x12:
		return "an integer"
	case 0x11:
		return "a timestamp"
	case 0x13:
		return "a Decimal128"
	case 0x7f:
		return "the MaxKey"
	case 0xff:
		return "the MinKey"
	}
	return "an unknown type"
}

// Text returns a string.
func (v Value) Text() (string, bool) {
	if v.Type != 0x02 {
		return "", false
	}
	return string(v.Bytes[4 : len(v.Bytes)-1]), true
}

// Int64 returns an int32 or int64.
func (v Value) Int64() (int64, bool) {
	switch v.Type {
	case 0x10:
		return int64(int32(binary.LittleEndian.Uint32(v.Bytes))), true
	case 0x12:
		return int64(binary.LittleEndian.Uint64(v.Bytes)), true
	}
	return 0, false
}

// Float64 returns a double, int32 or int64.
func (v Value) Float64() (float64, bool) {
	if v.Type == 0x01 {
		return math.Float64frombits(binary.LittleEndian.Uint64(v.Bytes)), true
	}
	whole, ok := v.Int64()
	return float64(whole), ok
}

// Bool returns a boolean.
func (v Value) Bool() (value, ok bool) {
	return v.Type == 0x08 && v.Bytes[0] == 1, v.Type == 0x08
}

// Time returns a date.
func (v Value) Time() (time.Time, bool) {
	if v.Type != 0x09 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(binary.LittleEndian.Uint64(v.Bytes))).UTC(), true
}

// Document returns a document, or an array, whose elements are named 0, 1, ….
func (v Value) Document() (Document, bool) {
	return Document(v.Bytes), v.Type == 0x03 || v.Type == 0x04
}

// documentLength returns the length of a document. A depth of 0 stands for a document that was checked before, where only lengths are needed.
func documentLength(b []byte, depth int) (int, bool) {
	if len(b) < 5 || depth > maxDepth {
		return 0, false
	}
	length := binary.LittleEndian.Uint32(b)
	if length < 5 || uint64(length) > uint64(len(b)) {
		return 0, false
	}
	end := int(length) - 1
	if depth == 0 {
		return end + 1, true
	}
	if b[end] != 0 {
		return 0, false
	}
	for at := 4; at < end; {
		kind := b[at]
		name, ok := cstring(b[at+1:end], depth)
		if !ok {
			return 0, false
		}
		at += 1 + name
		value, ok := valueLength(kind, b[at:end], depth)
		if !ok {
			return 0, false
		}
		at += value
	}
	return end + 1, true
}

func cstring(b []byte, depth int) (int, bool) {
	for at, letter := range b {
		if letter == 0 {
			return at + 1, depth == 0 || utf8.Valid(b[:at])
		}
	}
	return 0, false
}

func textLength(b []byte, depth int) (int, bool) {
	if len(b) < 5 {
		return 0, false
	}
	length := uint64(binary.LittleEndian.Uint32(b))
	if length == 0 || length > uint64(len(b)-4) || b[4+length-1] != 0 {
		return 0, false
	}
	return int(4 + length), depth == 0 || utf8.Valid(b[4:4+length-1])
}

func valueLength(kind byte, b []byte, depth int) (int, bool) {
	fixed := func(length int) (int, bool) { return length, len(b) >= length }
	switch kind {
	case 0x06, 0x0a, 0x7f, 0xff:
		return 0, true
	case 0x08:
		return 1, len(b) >= 1 && b[0] <= 1
	case 0x10:
		return fixed(4)
	case 0x01, 0x09, 0x11, 0x12:
		return fixed(8)
	case 0x07:
		return fixed(12)
	case 0x13:
		return fixed(16)
	case 0x02, 0x0d, 0x0e:
		return textLength(b, depth)
	case 0x03, 0x04:
		if depth == 0 {
			return documentLength(b, 0)
		}
		return documentLength(b, depth+1)
	case 0x05:
		if len(b) < 5 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-5) {
			return 0, false
		}
		return 5 + int(binary.LittleEndian.Uint32(b)), true
	case 0x0b:
		pattern, ok := cstring(b, depth)
		if !ok {
			return 0, false
		}
		options, ok := cstring(b[pattern:], depth)
		return pattern + options, ok
	case 0x0c:
		text, ok := textLength(b, depth)
		return text + 12, ok && len(b) >= text+12
	case 0x0f:
		if len(b) < 4 || binary.LittleEndian.Uint32(b) < 4 || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)) {
			return 0, false
		}
		length := int(binary.LittleEndian.Uint32(b))
		if depth == 0 {
			return length, true
		}
		code, ok := textLength(b[4:length], depth)
		if !ok {
			return 0, false
		}
		scope, ok := documentLength(b[4+code:length], depth+1)
		return length, ok && 4+code+scope == length
	}
	return 0, false
}

// BSON is a document: a D or a Document.
type BSON interface {
	// Bytes returns the document as BSON.
	Bytes() ([]byte, error)
}

// Bytes returns the document itself.
func (d Document) Bytes() ([]byte, error) { return d, nil }

// D is a document to be written: names and values in their order.
type D []E

// E is an element of one. The value is nil, a bool, string, int, int32, int64, float64, time.Time, []byte, D or []any, or a Document or
// Value of another document.
type E struct {
	Name  string
	Value any
}

// Bytes returns the document as BSON.
func (d D) Bytes() ([]byte, error) {
	out := []byte{0, 0, 0, 0}
	for _, element := range d {
		at := len(out)
		out = append(append(append(out, 0), element.Name...), 0)
		kind, longer, err := appendValue(out, element.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", element.Name, err)
		}
		out, longer[at] = longer, kind
	}
	out = append(out, 0)
	binary.LittleEndian.PutUint32(out, uint32(len(out)))
	return out, nil
}

func appendValue(out []byte, value any) (byte, []byte, error) {
	order := binary.LittleEndian
	switch value := value.(type) {
	case nil:
		return 0x0a, out, nil
	case bool:
		if value {
			return 0x08, append(out, 1), nil
		}
		return 0x08, append(out, 0), nil
	case string:
		out = order.AppendUint32(out, uint32(len(value)+1))
		return 0x02, append(append(out, value...), 0), nil
	case int:
		return 0x12, order.AppendUint64(out, uint64(value)), nil
	case int32:
		return 0x10, order.AppendUint32(out, uint32(value)), nil
	case int64:
		return 0x12, order.AppendUint64(out, uint64(value)), nil
	case float64:
		return 0x01, order.AppendUint64(out, math.Float64bits(value)), nil
	case time.Time:
		return 0x09, order.AppendUint64(out, uint64(value.UnixMilli())), nil
	case []byte:
		out = order.AppendUint32(out, uint32(len(value)))
		return 0x05, append(append(out, 0), value...), nil
	case Document:
		return 0x03, append(out, value...), nil
	case Value:
		return value.Type, append(out, value.Bytes...), nil
	case D:
		inner, err := value.Bytes()
		return 0x03, append(out, inner...), err
	case []any:
		list := make(D, len(value))
		for index, one := range value {
			list[index] = E{fmt.Sprint(index), one}
		}
		inner, err := list.Bytes()
		return 0x04, append(out, inner...), err
	}
	return 0, out, fmt.Errorf("a %T cannot be written as BSON", value)
}
