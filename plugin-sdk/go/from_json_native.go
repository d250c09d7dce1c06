//go:build !wasip1

package gtm

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// The host converts Extended JSON. In a test, this does.
func hostFromJSON(text string) (Document, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	read, err := readJSON(decoder)
	if err == nil {
		if _, more := decoder.Token(); more != io.EOF {
			err = fmt.Errorf("more than one value")
		}
	}
	var value any
	if err == nil {
		value, err = valueOf(read)
	}
	document, ok := value.(D)
	if err == nil && !ok {
		err = fmt.Errorf("not a document")
	}
	var bytes []byte
	if err == nil {
		bytes, err = document.Bytes()
	}
	if err != nil {
		return nil, &HostError{Invalid, "not valid JSON: " + err.Error()}
	}
	return bytes, nil
}

// readJSON reads a value: a D, an []any, a json.Number, a string, a bool or nil.
func readJSON(decoder *json.Decoder) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for decoder.More() {
			value, err := readJSON(decoder)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err = decoder.Token()
		return list, err
	case json.Delim('{'):
		fields := D{}
		for decoder.More() {
			name, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			value, err := readJSON(decoder)
			if err != nil {
				return nil, err
			}
			fields = append(fields, E{name.(string), value})
		}
		_, err = decoder.Token()
		return fields, err
	}
	return token, nil
}

// valueOf returns the value that JSON stands for.
func valueOf(read any) (any, error) {
	switch read := read.(type) {
	case json.Number:
		return numberOf(string(read))
	case []any:
		list := make([]any, len(read))
		for index, one := range read {
			value, err := valueOf(one)
			if err != nil {
				return nil, err
			}
			list[index] = value
		}
		return list, nil
	case D:
		if len(read) > 0 {
			for _, name := range wrapperNames {
				if name == read[0].Name {
					return unwrapped(read)
				}
			}
		}
		return fieldsOf(read)
	}
	return read, nil
}

func fieldsOf(read D) (D, error) {
	fields := make(D, len(read))
	for index, field := range read {
		value, err := valueOf(field.Value)
		if err != nil {
			return nil, err
		}
		fields[index] = E{field.Name, value}
	}
	return fields, nil
}

func numberOf(digits string) (any, error) {
	if small, err := strconv.ParseInt(digits, 10, 32); err == nil {
		return int32(small), nil
	}
	if large, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return large, nil
	}
	return strconv.ParseFloat(digits, 64)
}

// unwrapped returns the value that an object such as {"$oid": "…"} stands for.
func unwrapped(object D) (any, error) {
	name, inner := object[0].Name, object[0].Value
	text, isText := inner.(string)
	parts, _ := inner.(D)
	part := func(name string) string {
		for _, part := range parts {
			if part.Name == name {
				return fmt.Sprint(part.Value)
			}
		}
		return ""
	}
	invalid := fmt.Errorf("%s has a value that is not valid", name)
	order := binary.LittleEndian
	switch name {
	case "$document":
		return fieldsOf(parts)
	case "$oid":
		id, err := hex.DecodeString(text)
		if err != nil || len(id) != 12 {
			return nil, invalid
		}
		return Value{0x07, id}, nil
	case "$numberInt":
		number, err := strconv.ParseInt(fmt.Sprint(inner), 10, 32)
		return int32(number), err
	case "$numberLong":
		return parseInt64(fmt.Sprint(inner))
	case "$numberDouble":
		if text == "NaN" {
			return math.Float64frombits(0x7ff8 << 48), nil
		}
		return strconv.ParseFloat(fmt.Sprint(inner), 64)
	case "$numberDecimal":
		bytes, ok := decimalOf(text)
		if !ok {
			return nil, invalid
		}
		return Value{0x13, bytes}, nil
	case "$date":
		if isText {
			return time.Parse(time.RFC3339Nano, text)
		}
		value, err := valueOf(inner)
		switch millis := value.(type) {
		case int64:
			return Value{0x09, order.AppendUint64(nil, uint64(millis))}, err
		case int32:
			return Value{0x09, order.AppendUint64(nil, uint64(millis))}, err
		}
		return nil, invalid
	case "$binary":
		content, err := base64.StdEncoding.DecodeString(part("base64"))
		kind, other := strconv.ParseUint(part("subType"), 16, 8)
		if err != nil || other != nil {
			return nil, invalid
		}
		if kind == 0x02 {
			content = append(order.AppendUint32(nil, uint32(len(content))), content...)
		}
		return Value{0x05, append(append(order.AppendUint32(nil, uint32(len(content))), byte(kind)), content...)}, nil
	case "$uuid":
		content, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
		if err != nil || len(content) != 16 {
			return nil, invalid
		}
		return Value{0x05, append(append(order.AppendUint32(nil, 16), 0x04), content...)}, nil
	case "$timestamp":
		seconds, err := strconv.ParseUint(part("t"), 10, 32)
		increment, other := strconv.ParseUint(part("i"), 10, 32)
		if err != nil || other != nil {
			return nil, invalid
		}
		return Value{0x11, order.AppendUint32(order.AppendUint32(nil, uint32(increment)), uint32(seconds))}, nil
	case "$regularExpression":
		return Value{0x0b, []byte(part("pattern") + "\x00" + part("options") + "\x00")}, nil
	case "$symbol":
		return Value{0x0e, stringBytes(text)}, nil
	case "$undefined":
		return Value{0x06, nil}, nil
	case "$minKey":
		return Value{0xff, nil}, nil
	case "$maxKey":
		return Value{0x7f, nil}, nil
	case "$dbPointer":
		for _, field := range parts {
			if field.Name == "$id" {
				id, err := valueOf(field.Value)
				if id, ok := id.(Value); ok && err == nil {
					return Value{0x0c, append(stringBytes(part("$ref")), id.Bytes...)}, nil
				}
			}
		}
		return nil, invalid
	}
	return codeOf(object)
}

// codeOf returns {"$code": …}, with {"$scope": …} if there is one.
func codeOf(object D) (any, error) {
	code, ok := object[0].Value.(string)
	if !ok {
		return nil, fmt.Errorf("$code is not a text")
	}
	if len(object) == 1 {
		return Value{0x0d, stringBytes(code)}, nil
	}
	value, err := valueOf(object[1].Value)
	scope, ok := value.(D)
	if err != nil || !ok || object[1].Name != "$scope" {
		return nil, fmt.Errorf("$scope has a value that is not valid")
	}
	bytes, err := scope.Bytes()
	content := append(stringBytes(code), bytes...)
	return Value{0x0f, append(binary.LittleEndian.AppendUint32(nil, uint32(len(content)+4)), content...)}, err
}

func stringBytes(text string) []byte {
	return append(append(binary.LittleEndian.AppendUint32(nil, uint32(len(text)+1)), text...), 0)
}
