package gtm

import (
	"math"
	"runtime"
	"unsafe"
)

// answer returns a result of the contract, or its error, if the payload is at offset 4.
func answer(result *[4]uint32) (block, error) {
	b := block{unsafe.Pointer(result)}
	if b.u8(0) != 0 {
		return b, b.hostError(4)
	}
	return b, nil
}

// copied returns bytes that last longer than the call.
func (b block) copied(offset uintptr) []byte { return append([]byte{}, b.bytes(offset)...) }

func pointer(s string) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(s)) }

func data(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

//go:wasmimport gtm:plugin/log@0.2.0 log
func importLog(level int32, at unsafe.Pointer, length uint32)

func hostLog(level level, message string) {
	importLog(int32(level), pointer(message), uint32(len(message)))
}

//go:wasmimport gtm:plugin/config@0.2.0 get
func importConfig(at unsafe.Pointer, length uint32, result unsafe.Pointer)

func hostConfig(name string) (string, bool) {
	var result [3]uint32
	importConfig(pointer(name), uint32(len(name)), unsafe.Pointer(&result))
	b := block{unsafe.Pointer(&result)}
	if b.u8(0) == 0 {
		return "", false
	}
	return b.text(4), true
}

//go:wasmimport gtm:plugin/extended-json@0.2.0 encode
func importEncode(at unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport gtm:plugin/extended-json@0.2.0 encode-canonical
func importEncodeCanonical(at unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport gtm:plugin/extended-json@0.2.0 decode
func importDecode(at unsafe.Pointer, length uint32, result unsafe.Pointer)

func hostExtendedJSON(bytes []byte, canonical bool) (string, error) {
	var result [4]uint32
	if canonical {
		importEncodeCanonical(data(bytes), uint32(len(bytes)), unsafe.Pointer(&result))
	} else {
		importEncode(data(bytes), uint32(len(bytes)), unsafe.Pointer(&result))
	}
	b, err := answer(&result)
	if err != nil {
		return "", err
	}
	return b.text(4), nil
}

func hostFromJSON(json string) (Document, error) {
	var result [4]uint32
	importDecode(pointer(json), uint32(len(json)), unsafe.Pointer(&result))
	b, err := answer(&result)
	if err != nil {
		return nil, err
	}
	return Read(b.copied(4))
}

//go:wasmimport gtm:plugin/mail@0.2.0 send
func importMail(message, result unsafe.Pointer)

func hostMail(message *Message) (string, error) {
	var record [20]uint32
	var lists [3][]uint32
	text := func(at int, value string) {
		record[at], record[at+1] = uint32(uintptr(pointer(value))), uint32(len(value))
	}
	optional := func(at int, value string) {
		if value != "" {
			record[at] = 1
			text(at+1, value)
		}
	}
	optional(0, message.From)
	for index, addresses := range [3][]string{message.To, message.Cc, message.Bcc} {
		for _, value := range addresses {
			lists[index] = append(lists[index], uint32(uintptr(pointer(value))), uint32(len(value)))
		}
		record[3+2*index], record[4+2*index] = 4, uint32(len(addresses))
		if len(addresses) > 0 {
			record[3+2*index] = uint32(uintptr(unsafe.Pointer(&lists[index][0])))
		}
	}
	optional(9, message.ReplyTo)
	text(12, message.Subject)
	optional(14, message.Text)
	optional(17, message.HTML)
	var result [4]uint32
	importMail(unsafe.Pointer(&record), unsafe.Pointer(&result))
	runtime.KeepAlive(message)
	runtime.KeepAlive(&lists)
	b := block{unsafe.Pointer(&result)}
	if b.u8(0) != 0 {
		return "", b.hostError(4)
	}
	return b.text(4), nil
}

//go:wasmimport gtm:plugin/http@0.2.0 send
func importHTTP(method unsafe.Pointer, methodLength uint32, url unsafe.Pointer, urlLength uint32, headers unsafe.Pointer, count uint32,
	hasBody uint32, body unsafe.Pointer, bodyLength uint32, hasTimeout, timeout uint32, result unsafe.Pointer)

func hostHTTP(request *Request) (Response, error) {
	var headers []uint32
	for _, header := range request.Headers {
		for _, value := range header {
			headers = append(headers, uint32(uintptr(pointer(value))), uint32(len(value)))
		}
	}
	var hasBody, hasTimeout uint32
	if request.Body != nil {
		hasBody = 1
	}
	if request.Timeout > 0 {
		hasTimeout = 1
	}
	var result [6]uint32
	importHTTP(pointer(request.Method), uint32(len(request.Method)), pointer(request.URL), uint32(len(request.URL)),
		unsafe.Pointer(unsafe.SliceData(headers)), uint32(len(request.Headers)), hasBody, data(request.Body), uint32(len(request.Body)),
		hasTimeout, uint32(min(request.Timeout.Milliseconds(), math.MaxUint32)), unsafe.Pointer(&result))
	runtime.KeepAlive(request)
	b := block{unsafe.Pointer(&result)}
	if b.u8(0) != 0 {
		return Response{}, b.hostError(4)
	}
	response := Response{Status: b.u16(4), Body: b.copied(16)}
	for index := uint32(0); index < b.u32(12); index++ {
		header := block{unsafe.Pointer(uintptr(b.u32(8) + 16*index))}
		response.Headers = append(response.Headers, [2]string{header.text(0), header.text(8)})
	}
	return response, nil
}

//go:wasmimport gtm:plugin/metrics@0.2.0 count
func importCount(at unsafe.Pointer, length uint32, by uint64)

//go:wasmimport gtm:plugin/metrics@0.2.0 gauge
func importGauge(at unsafe.Pointer, length uint32, value float64)

//go:wasmimport gtm:plugin/metrics@0.2.0 record-value
func importRecord(at unsafe.Pointer, length uint32, value float64)

func hostCount(name string, by uint64)     { importCount(pointer(name), uint32(len(name)), by) }
func hostGauge(name string, value float64) { importGauge(pointer(name), uint32(len(name)), value) }
func hostRecord(name string, value float64) {
	importRecord(pointer(name), uint32(len(name)), value)
}
