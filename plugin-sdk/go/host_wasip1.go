//go:build wasip1

// The contract by the canonical ABI of components: where each field is follows from wit/types.wit.

package gtm

import (
	"math"
	"runtime"
	"runtime/debug"
	"time"
	"unsafe"
)

// What the host writes goes into chunks that are used again by the next call: the collector may not run while the host asks for
// memory, nor find that nothing points there yet.
var (
	chunks [][]byte
	used   int
	calls  int
)

const (
	chunkBytes   = 64 << 10
	collectCalls = 1000
)

// Go's runtime calls WASI while it starts, and what stands between asks for memory then, once, when there is no allocator yet.
var (
	started bool
	early   [256 << 10]byte
	earlyAt uintptr
)

func init() {
	debug.SetGCPercent(-1)
	started = true
}

//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	if size == 0 {
		return unsafe.Pointer(uintptr(align))
	}
	if !started {
		base := uintptr(unsafe.Pointer(&early))
		begin := (base + earlyAt + uintptr(align) - 1) &^ (uintptr(align) - 1)
		earlyAt = begin - base + uintptr(size)
		if earlyAt > uintptr(len(early)) {
			panic("the host asks for more memory than there is at the start")
		}
		return unsafe.Pointer(begin)
	}
	begin := (used + int(align) - 1) &^ (int(align) - 1)
	if len(chunks) == 0 || begin+int(size) > len(chunks[len(chunks)-1]) {
		chunks = append(chunks, make([]byte, max(chunkBytes, int(size))))
		begin = 0
	}
	used = begin + int(size)
	memory := unsafe.Pointer(&chunks[len(chunks)-1][begin])
	if old != nil && oldSize > 0 {
		copy(unsafe.Slice((*byte)(memory), size), unsafe.Slice((*byte)(old), oldSize))
	}
	return memory
}

func endCall() {
	if len(chunks) > 1 {
		clear(chunks[1:])
		chunks = chunks[:1]
	}
	used = 0
}

// To collect may take waiting, which a filter may not: its instance is replaced by the host when it has grown.
func collect() {
	calls++
	if calls > collectCalls {
		calls = 0
		runtime.GC()
	}
}

// block is memory of the contract's records.
type block struct{ at unsafe.Pointer }

func (b block) u8(offset uintptr) uint8   { return *(*uint8)(unsafe.Add(b.at, offset)) }
func (b block) u16(offset uintptr) uint16 { return *(*uint16)(unsafe.Add(b.at, offset)) }
func (b block) u32(offset uintptr) uint32 { return *(*uint32)(unsafe.Add(b.at, offset)) }
func (b block) u64(offset uintptr) uint64 { return *(*uint64)(unsafe.Add(b.at, offset)) }
func (b block) bytes(offset uintptr) []byte {
	length := b.u32(offset + 4)
	if length == 0 {
		return []byte{}
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(uintptr(b.u32(offset)))), length)
}

// A copy: it may be kept for longer than the call.
func (b block) text(offset uintptr) string { return string(b.bytes(offset)) }

func (b block) optional(offset uintptr) []byte {
	if b.u8(offset) == 0 {
		return nil
	}
	return b.bytes(offset + 4)
}

func (b block) hostError(offset uintptr, kinds ...Kind) error {
	kind := Unavailable
	if index := int(b.u8(offset)); index < len(kinds) {
		kind = kinds[index]
	}
	return &HostError{kind, b.text(offset + 4)}
}

// The names of the op before. Most ops have the same.
var database, collection string

func same(before *string, now []byte) string {
	if *before != string(now) {
		*before = string(now)
	}
	return *before
}

func read(at unsafe.Pointer) Op {
	b := block{at}
	op := Op{
		ID: b.text(0), Type: OperationType(b.u8(8)), Database: same(&database, b.bytes(12)), Collection: same(&collection, b.bytes(20)),
		Seconds: b.u32(28), Increment: b.u32(32),
		DocumentKey: b.optional(56), FullDocument: b.optional(68), FullDocumentBeforeChange: b.optional(80),
		UpdateDescription: b.optional(92), Command: b.optional(104),
		Origin: Origin(b.u8(132)), Attempt: b.u32(136),
	}
	if b.u8(40) == 1 {
		op.WallTime = time.UnixMilli(int64(b.u64(48)))
	}
	if b.u8(116) == 1 {
		op.TransactionID, op.TransactionIndex = b.text(120), b.u32(128)
	}
	return op
}

// The op in the filter, in place of a new one each time.
var filtered Op

//go:wasmexport filter
func exportFilter(at unsafe.Pointer) int32 {
	filtered = read(at)
	wanted := wants(&filtered)
	endCall()
	if wanted {
		return 1
	}
	return 0
}

// What handle gave back, until the host has read it.
var (
	given     [4]uint32
	givenText []byte
)

//go:wasmexport handle
func exportHandle(at unsafe.Pointer) unsafe.Pointer {
	op := read(at)
	failed, rejected, reason := outcome(func() error { return plugin.Handle(&op) })
	given, givenText = [4]uint32{}, nil
	if failed {
		given[0] = 1
		if rejected {
			given[1] = 1
		}
		givenText = []byte(reason)
		given[2], given[3] = address(givenText), uint32(len(givenText))
	}
	endCall()
	collect()
	return unsafe.Pointer(&given)
}

var (
	listed     [2]uint32
	listedList []uint32
	listedKept [][]byte
)

//go:wasmexport subscriptions
func exportSubscriptions() unsafe.Pointer {
	listedList, listedKept = nil, nil
	for _, subscription := range plugin.Subscriptions {
		namespace, types := []byte(subscription.Namespace), make([]byte, len(subscription.Operations))
		for index, operation := range subscription.Operations {
			types[index] = byte(operation)
		}
		listedKept = append(listedKept, namespace, types)
		listedList = append(listedList, address(namespace), uint32(len(namespace)), address(types), uint32(len(types)))
	}
	listed = [2]uint32{4, uint32(len(plugin.Subscriptions))}
	if len(listedList) > 0 {
		listed[0] = uint32(uintptr(unsafe.Pointer(&listedList[0])))
	}
	return unsafe.Pointer(&listed)
}

func address(b []byte) uint32 {
	if len(b) == 0 {
		return 1
	}
	return uint32(uintptr(unsafe.Pointer(&b[0])))
}

func pointer(s string) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(s)) }

func data(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

//go:wasmimport gtm:plugin/log@0.1.0 log
func importLog(level int32, at unsafe.Pointer, length uint32)

func hostLog(level level, message string) {
	importLog(int32(level), pointer(message), uint32(len(message)))
}

//go:wasmimport wasi:config/store@0.2.0-rc.1 get
func importConfig(at unsafe.Pointer, length uint32, result unsafe.Pointer)

func hostConfig(key string) (string, bool) {
	var result [4]uint32
	importConfig(pointer(key), uint32(len(key)), unsafe.Pointer(&result))
	b := block{unsafe.Pointer(&result)}
	if b.u8(0) != 0 || b.u8(4) == 0 {
		return "", false
	}
	return b.text(8), true
}

//go:wasmimport gtm:plugin/extended-json@0.1.0 encode
func importEncode(at unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport gtm:plugin/extended-json@0.1.0 encode-canonical
func importEncodeCanonical(at unsafe.Pointer, length uint32, result unsafe.Pointer)

func hostExtendedJSON(bytes []byte, canonical bool) (string, error) {
	var result [3]uint32
	if canonical {
		importEncodeCanonical(data(bytes), uint32(len(bytes)), unsafe.Pointer(&result))
	} else {
		importEncode(data(bytes), uint32(len(bytes)), unsafe.Pointer(&result))
	}
	b := block{unsafe.Pointer(&result)}
	if b.u8(0) != 0 {
		return "", &HostError{Invalid, b.text(4)}
	}
	return b.text(4), nil
}

//go:wasmimport gtm:plugin/mail@0.1.0 send
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
		return "", b.hostError(4, NotGranted, Invalid, Rejected, Unavailable)
	}
	return b.text(4), nil
}

//go:wasmimport gtm:plugin/http@0.1.0 send
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
		return Response{}, b.hostError(4, NotGranted, Invalid, Unavailable)
	}
	response := Response{Status: b.u16(4), Body: append([]byte(nil), b.bytes(16)...)}
	for index := uint32(0); index < b.u32(12); index++ {
		header := block{unsafe.Pointer(uintptr(b.u32(8) + 16*index))}
		response.Headers = append(response.Headers, [2]string{header.text(0), header.text(8)})
	}
	return response, nil
}

//go:wasmimport gtm:plugin/metrics@0.1.0 count
func importCount(at unsafe.Pointer, length uint32, by uint64)

//go:wasmimport gtm:plugin/metrics@0.1.0 gauge
func importGauge(at unsafe.Pointer, length uint32, value float64)

//go:wasmimport gtm:plugin/metrics@0.1.0 record-value
func importRecord(at unsafe.Pointer, length uint32, value float64)

func hostCount(name string, by uint64)     { importCount(pointer(name), uint32(len(name)), by) }
func hostGauge(name string, value float64) { importGauge(pointer(name), uint32(len(name)), value) }
func hostRecord(name string, value float64) {
	importRecord(pointer(name), uint32(len(name)), value)
}

//go:wasmimport gtm:plugin/state@0.1.0 get
func importGet(at unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport gtm:plugin/state@0.1.0 set
func importSet(at unsafe.Pointer, length uint32, value unsafe.Pointer, valueLength uint32, result unsafe.Pointer)

//go:wasmimport gtm:plugin/state@0.1.0 delete
func importDelete(at unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport gtm:plugin/state@0.1.0 compare-and-swap
func importSwap(at unsafe.Pointer, length uint32, hasExpected uint32, expected unsafe.Pointer, expectedLength uint32,
	value unsafe.Pointer, valueLength uint32, result unsafe.Pointer)

func stateResult(result *[4]uint32) (block, error) {
	b := block{unsafe.Pointer(result)}
	if b.u8(0) != 0 {
		return b, b.hostError(4, NotGranted, Invalid, Unavailable)
	}
	return b, nil
}

func hostGet(key string) ([]byte, bool, error) {
	var result [4]uint32
	importGet(pointer(key), uint32(len(key)), unsafe.Pointer(&result))
	b, err := stateResult(&result)
	if err != nil || b.u8(4) == 0 {
		return nil, false, err
	}
	return append([]byte(nil), b.bytes(8)...), true, nil
}

func hostSet(key string, value []byte) error {
	var result [4]uint32
	importSet(pointer(key), uint32(len(key)), data(value), uint32(len(value)), unsafe.Pointer(&result))
	_, err := stateResult(&result)
	return err
}

func hostDelete(key string) error {
	var result [4]uint32
	importDelete(pointer(key), uint32(len(key)), unsafe.Pointer(&result))
	_, err := stateResult(&result)
	return err
}

func hostSwap(key string, expected *[]byte, value []byte) (bool, error) {
	var hasExpected uint32
	var bytes []byte
	if expected != nil {
		hasExpected, bytes = 1, *expected
	}
	var result [4]uint32
	importSwap(pointer(key), uint32(len(key)), hasExpected, data(bytes), uint32(len(bytes)), data(value), uint32(len(value)),
		unsafe.Pointer(&result))
	b, err := stateResult(&result)
	return err == nil && b.u8(4) == 1, err
}
