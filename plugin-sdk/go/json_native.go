//go:build !wasip1

package gtm

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The host converts documents. In a test, this does, for the types that tests write: not for the rarer ones.
func hostExtendedJSON(bytes []byte, canonical bool) (string, error) {
	document, err := Read(bytes)
	if err != nil {
		return "", &HostError{Invalid, err.Error()}
	}
	return documentJSON(document, canonical)
}

func documentJSON(document Document, canonical bool) (string, error) {
	var parts []string
	for name, value := range document.All() {
		text, err := value.json(canonical)
		if err != nil {
			return "", err
		}
		parts = append(parts, quoted(name)+":"+text)
	}
	return "{" + strings.Join(parts, ",") + "}", nil
}

func quoted(text string) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	// A text can always be written.
	_ = encoder.Encode(text)
	return strings.TrimSuffix(out.String(), "\n")
}

func (v Value) json(canonical bool) (string, error) {
	typed := func(name, digits string) string {
		if canonical {
			return fmt.Sprintf(`{"$%s":"%s"}`, name, digits)
		}
		return digits
	}
	order := binary.LittleEndian
	switch v.Type {
	case 0x01:
		return typed("numberDouble", strconv.FormatFloat(math.Float64frombits(order.Uint64(v.Bytes)), 'g', -1, 64)), nil
	case 0x02:
		text, _ := v.Text()
		return quoted(text), nil
	case 0x03:
		return documentJSON(v.Bytes, canonical)
	case 0x04:
		var parts []string
		for _, value := range Document(v.Bytes).All() {
			text, err := value.json(canonical)
			if err != nil {
				return "", err
			}
			parts = append(parts, text)
		}
		return "[" + strings.Join(parts, ",") + "]", nil
	case 0x07:
		return `{"$oid":"` + hex.EncodeToString(v.Bytes) + `"}`, nil
	case 0x08:
		return strconv.FormatBool(v.Bytes[0] != 0), nil
	case 0x09:
		millis := int64(order.Uint64(v.Bytes))
		at := time.UnixMilli(millis).UTC()
		if canonical || millis < 0 || at.Year() > 9999 {
			return fmt.Sprintf(`{"$date":{"$numberLong":"%d"}}`, millis), nil
		}
		form := "2006-01-02T15:04:05Z"
		if millis%1000 != 0 {
			form = "2006-01-02T15:04:05.000Z"
		}
		return `{"$date":"` + at.Format(form) + `"}`, nil
	case 0x0a:
		return "null", nil
	case 0x10:
		return typed("numberInt", strconv.Itoa(int(int32(order.Uint32(v.Bytes))))), nil
	case 0x11:
		return fmt.Sprintf(`{"$timestamp":{"t":%d,"i":%d}}`, order.Uint32(v.Bytes[4:]), order.Uint32(v.Bytes)), nil
	case 0x12:
		return typed("numberLong", strconv.FormatInt(int64(order.Uint64(v.Bytes)), 10)), nil
	}
	return "", &HostError{Invalid, fmt.Sprintf("a test does not convert the type %#02x of BSON: only the host does", v.Type)}
}
