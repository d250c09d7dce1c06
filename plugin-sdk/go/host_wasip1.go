//go:build wasip1

// What the plugin exports, by the canonical ABI of components: the offset of each field follows from wit/0.2.

package gtm

import (
	"runtime"
	"runtime/debug"
	"time"
	"unsafe"
)

// The host writes into chunks that the next call uses again: the collector must not run while the host asks for
// memory, nor before something points there.
var (
	chunks [][]byte
	used   int
	// Calls, and bytes that the host wrote, since the collector ran.
	calls, written int
)

const (
	chunkBytes   = 64 << 10
	collectCalls = 1000
	collectBytes = 8 << 20
)

// Go's runtime calls WASI while it starts, and the adapter asks for memory then, once, when there is no allocator yet.
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
	written += int(size)
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

// collect runs the collector now and then. It may have to wait, which a filter must not: the host replaces the instance of a filter when it has
// grown.
func collect() {
	calls++
	if calls > collectCalls || written > collectBytes {
		calls, written = 0, 0
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

// The kinds of errors are those of the contract, in its order.
func (b block) hostError(offset uintptr) error {
	return &HostError{Kind(b.u8(offset)), b.text(offset + 4)}
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

// The op in the filter, instead of a new one each time.
var filtered Op

//go:wasmexport gtm:plugin/filter@0.2.0#filter
func exportFilter(at unsafe.Pointer) int32 {
	filtered = read(at)
	wanted := wants(&filtered)
	endCall()
	if wanted {
		return 1
	}
	return 0
}

// The answers of a filter of several ops, which last until the next call.
var (
	answers       []bool
	answersOfMany [2]uint32
)

const opBytes = 144

// The host may ask about several ops per call, which is faster.
//
//go:wasmexport gtm:plugin/batch-filter@0.2.0#filter
func exportFilterBatch(at unsafe.Pointer, count uint32) unsafe.Pointer {
	answers = answers[:0]
	for index := range count {
		filtered = read(unsafe.Add(at, opBytes*index))
		answers = append(answers, wants(&filtered))
	}
	answersOfMany = [2]uint32{uint32(uintptr(unsafe.Pointer(unsafe.SliceData(answers)))), count}
	endCall()
	return unsafe.Pointer(&answersOfMany)
}

// handled is a result of the contract: whether it is an error, the kind of the failure, and its fields.
type handled [4]uint64

// The texts of the result of a call, which last until the host has read it: until the next call.
var resultTexts [][]byte

func (f failure) write(result *handled) {
	*result = handled{}
	if !f.failed {
		return
	}
	reason := []byte(f.reason)
	resultTexts = append(resultTexts, reason)
	// retry: 0, retry-after: 1, reject: 2.
	text := uint64(address(reason)) | uint64(len(reason))<<32
	switch {
	case f.rejected:
		*result = handled{1, 2, text}
	case f.after > 0:
		*result = handled{1, 1, uint64(f.after.Milliseconds()), text}
	default:
		*result = handled{1, 0, text}
	}
}

// The lists of lifecycle, which last as long as the instance.
var (
	lifecycleResult [2][3]uint32
	lifecycleKept   []any
)

// list returns the address and length of a list of the contract, and keeps it.
func list[T any](items []T) (at, length uint32) {
	lifecycleKept = append(lifecycleKept, items)
	if len(items) == 0 {
		return 4, 0
	}
	return uint32(uintptr(unsafe.Pointer(&items[0]))), uint32(len(items))
}

func listOfTexts(texts []string) (at, length uint32) {
	all := make([][2]uint32, len(texts))
	for index, text := range texts {
		all[index][0], all[index][1] = list([]byte(text))
	}
	return list(all)
}

//go:wasmexport gtm:plugin/lifecycle@0.2.0#settings
func exportSettings() unsafe.Pointer {
	result := &lifecycleResult[0]
	if plugin.Settings == nil {
		return unsafe.Pointer(result)
	}
	settings := make([][13]uint32, len(plugin.Settings))
	for index, setting := range plugin.Settings {
		to := &settings[index]
		to[0], to[1] = list([]byte(setting.Name))
		to[2] = uint32(setting.Type)
		if setting.Type == ChoiceSetting {
			to[3], to[4] = listOfTexts(setting.Choices)
		}
		if setting.Default != "" {
			to[5] = 1
			to[6], to[7] = list([]byte(setting.Default))
		}
		to[8], to[9] = list([]byte(setting.Doc))
		to[10] = bit(setting.Required) | bit(setting.Secret)<<8
		to[11], to[12] = listOfTexts(setting.FormerNames)
	}
	result[0] = 1
	result[1], result[2] = list(settings)
	return unsafe.Pointer(result)
}

//go:wasmexport gtm:plugin/lifecycle@0.2.0#init
func exportInit() unsafe.Pointer {
	result := &lifecycleResult[1]
	subscriptions, err := beginning()
	if err != nil {
		result[0] = 1
		result[1], result[2] = list([]byte(err.Error()))
		return unsafe.Pointer(result)
	}
	all := make([][4]uint32, len(subscriptions))
	for index, subscription := range subscriptions {
		all[index][0], all[index][1] = list([]byte(subscription.Namespace))
		all[index][2], all[index][3] = list(append([]OperationType(nil), subscription.Operations...))
	}
	result[1], result[2] = list(all)
	endCall()
	return unsafe.Pointer(result)
}

func bit(is bool) uint32 {
	if is {
		return 1
	}
	return 0
}

func address(b []byte) uint32 {
	if len(b) == 0 {
		return 1
	}
	return uint32(uintptr(unsafe.Pointer(&b[0])))
}
