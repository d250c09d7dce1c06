//go:build !wasip1

package gtm

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// wrapperNames are the names of fields that make a document look like another value, so that it is written as {"$document": …}.
var wrapperNames = []string{
	"$oid", "$date", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$binary", "$uuid", "$timestamp", "$regularExpression",
	"$code", "$symbol", "$undefined", "$minKey", "$maxKey", "$dbPointer", "$document",
}

// The host converts documents. In a test, this does.
func hostExtendedJSON(bytes []byte, canonical bool) (string, error) {
	document, err := Read(bytes)
	if err != nil {
		return "", &HostError{Invalid, err.Error()}
	}
	return document.json(canonical), nil
}

func (d Document) json(canonical bool) string {
	var parts []string
	isAmbiguous := false
	for name, value := range d.All() {
		isAmbiguous = isAmbiguous || slices.Contains(wrapperNames, name)
		parts = append(parts, quoted(name)+":"+value.json(canonical))
	}
	object := "{" + strings.Join(parts, ",") + "}"
	if isAmbiguous {
		return `{"$document":` + object + "}"
	}
	return object
}

func quoted(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, letter := range text {
		short := strings.IndexRune("\"\\\b\f\n\r\t", letter)
		switch {
		case short >= 0:
			out.WriteByte('\\')
			out.WriteByte("\"\\bfnrt"[short])
		case letter < 0x20:
			fmt.Fprintf(&out, `\u%04x`, letter)
		default:
			out.WriteRune(letter)
		}
	}
	out.WriteByte('"')
	return out.String()
}

func (v Value) json(canonical bool) string {
	order := binary.LittleEndian
	typed := func(name, digits string) string {
		if canonical {
			return fmt.Sprintf(`{"$%s":"%s"}`, name, digits)
		}
		return digits
	}
	// The text at this place: its length, its letters, a zero byte.
	text := func(at uint32) string {
		return quoted(string(v.Bytes[at+4 : at+3+order.Uint32(v.Bytes[at:])]))
	}
	switch v.Type {
	case 0x01:
		return doubleJSON(math.Float64frombits(order.Uint64(v.Bytes)), canonical)
	case 0x02:
		return text(0)
	case 0x03:
		return Document(v.Bytes).json(canonical)
	case 0x04:
		var parts []string
		for _, value := range Document(v.Bytes).All() {
			parts = append(parts, value.json(canonical))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case 0x05:
		content := v.Bytes[5:]
		// The old form of binary data has its length twice.
		if v.Bytes[4] == 0x02 && len(content) >= 4 {
			content = content[4:]
		}
		return fmt.Sprintf(`{"$binary":{"base64":"%s","subType":"%02x"}}`, base64.StdEncoding.EncodeToString(content), v.Bytes[4])
	case 0x06:
		return `{"$undefined":true}`
	case 0x07:
		return `{"$oid":"` + hex.EncodeToString(v.Bytes) + `"}`
	case 0x08:
		return strconv.FormatBool(v.Bytes[0] != 0)
	case 0x09:
		return dateJSON(int64(order.Uint64(v.Bytes)), canonical)
	case 0x0a:
		return "null"
	case 0x0b:
		parts := bytes.SplitN(v.Bytes, []byte{0}, 3)
		return fmt.Sprintf(`{"$regularExpression":{"pattern":%s,"options":%s}}`, quoted(string(parts[0])), quoted(string(parts[1])))
	case 0x0c:
		return fmt.Sprintf(`{"$dbPointer":{"$ref":%s,"$id":{"$oid":"%x"}}}`, text(0), v.Bytes[len(v.Bytes)-12:])
	case 0x0d:
		return `{"$code":` + text(0) + `}`
	case 0x0e:
		return `{"$symbol":` + text(0) + `}`
	case 0x0f:
		scope := Document(v.Bytes[8+order.Uint32(v.Bytes[4:]):])
		return fmt.Sprintf(`{"$code":%s,"$scope":%s}`, text(4), scope.json(canonical))
	case 0x10:
		return typed("numberInt", strconv.Itoa(int(int32(order.Uint32(v.Bytes)))))
	case 0x11:
		return fmt.Sprintf(`{"$timestamp":{"t":%d,"i":%d}}`, order.Uint32(v.Bytes[4:]), order.Uint32(v.Bytes))
	case 0x12:
		return typed("numberLong", strconv.FormatInt(int64(order.Uint64(v.Bytes)), 10))
	case 0x13:
		return `{"$numberDecimal":"` + decimalText(v.Bytes) + `"}`
	case 0x7f:
		return `{"$maxKey":1}`
	}
	// A document that was read has no other type.
	return `{"$minKey":1}`
}

func doubleJSON(number float64, canonical bool) string {
	size := math.Abs(number)
	var text string
	switch {
	case math.IsNaN(number):
		return `{"$numberDouble":"NaN"}`
	case math.IsInf(number, 1):
		return `{"$numberDouble":"Infinity"}`
	case math.IsInf(number, -1):
		return `{"$numberDouble":"-Infinity"}`
	case size >= 1e16 || size > 0 && size < 1e-4:
		digits, exponent, _ := strings.Cut(strconv.FormatFloat(number, 'e', -1, 64), "e")
		text = digits + "e" + exponent[:1] + strings.TrimLeft(exponent[1:], "0")
	default:
		text = strconv.FormatFloat(number, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
	}
	if canonical {
		return `{"$numberDouble":"` + strings.Replace(text, "+", "", 1) + `"}`
	}
	return text
}

func dateJSON(millis int64, canonical bool) string {
	at := time.UnixMilli(millis).UTC()
	if canonical || millis < 0 || at.Year() > 9999 {
		return fmt.Sprintf(`{"$date":{"$numberLong":"%d"}}`, millis)
	}
	form := "2006-01-02T15:04:05Z"
	if millis%1000 != 0 {
		form = "2006-01-02T15:04:05.000Z"
	}
	return `{"$date":"` + at.Format(form) + `"}`
}
