package gtm

import (
	"time"
	"unsafe"
)

//go:wasmimport gtm:plugin/state@0.2.0 get
func importGet(at unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport gtm:plugin/state@0.2.0 set
func importSet(at unsafe.Pointer, length uint32, value unsafe.Pointer, valueLength uint32, hasTime uint32, millis uint64,
	result unsafe.Pointer)

//go:wasmimport gtm:plugin/state@0.2.0 delete
func importDelete(at unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport gtm:plugin/state@0.2.0 compare-and-swap
func importSwap(at unsafe.Pointer, length uint32, hasExpected uint32, expected unsafe.Pointer, expectedLength uint32,
	value unsafe.Pointer, valueLength uint32, hasTime uint32, millis uint64, result unsafe.Pointer)

//go:wasmimport gtm:plugin/state@0.2.0 increment
func importIncrement(at unsafe.Pointer, length uint32, by int64, hasTime uint32, millis uint64, result unsafe.Pointer)

//go:wasmimport gtm:plugin/state@0.2.0 list-entries
func importList(prefix unsafe.Pointer, prefixLength uint32, hasAfter uint32, after unsafe.Pointer, afterLength uint32, limit uint32,
	result unsafe.Pointer)

//go:wasmimport gtm:plugin/state@0.2.0 get-quota
func importQuota(result unsafe.Pointer)

func hostGet(key string) ([]byte, bool, error) {
	var result [4]uint32
	importGet(pointer(key), uint32(len(key)), unsafe.Pointer(&result))
	b, err := answer(&result)
	if err != nil || b.u8(4) == 0 {
		return nil, false, err
	}
	return b.copied(8), true, nil
}

func hostSet(key string, value []byte, timeToLive time.Duration) error {
	var result [4]uint32
	importSet(pointer(key), uint32(len(key)), data(value), uint32(len(value)), bit(timeToLive > 0), uint64(timeToLive.Milliseconds()),
		unsafe.Pointer(&result))
	_, err := answer(&result)
	return err
}

func hostDelete(key string) error {
	var result [4]uint32
	importDelete(pointer(key), uint32(len(key)), unsafe.Pointer(&result))
	_, err := answer(&result)
	return err
}

func hostSwap(key string, expected *[]byte, value []byte, timeToLive time.Duration) (bool, error) {
	var bytes []byte
	if expected != nil {
		bytes = *expected
	}
	var result [4]uint32
	importSwap(pointer(key), uint32(len(key)), bit(expected != nil), data(bytes), uint32(len(bytes)), data(value), uint32(len(value)),
		bit(timeToLive > 0), uint64(timeToLive.Milliseconds()), unsafe.Pointer(&result))
	b, err := answer(&result)
	return err == nil && b.u8(4) == 1, err
}

func hostIncrement(key string, by int64, timeToLive time.Duration) (int64, error) {
	var result [3]uint64
	importIncrement(pointer(key), uint32(len(key)), by, bit(timeToLive > 0), uint64(timeToLive.Milliseconds()), unsafe.Pointer(&result))
	b := block{unsafe.Pointer(&result)}
	if b.u8(0) != 0 {
		return 0, b.hostError(8)
	}
	return int64(b.u64(8)), nil
}

const entryBytes = 32

func hostList(prefix, after string, limit uint32) ([]Entry, error) {
	var result [4]uint32
	importList(pointer(prefix), uint32(len(prefix)), bit(after != ""), pointer(after), uint32(len(after)), limit, unsafe.Pointer(&result))
	b, err := answer(&result)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, b.u32(8))
	for index := range entries {
		entry := block{unsafe.Pointer(uintptr(b.u32(4) + entryBytes*uint32(index)))}
		entries[index] = Entry{Key: entry.text(0), Value: entry.copied(8)}
		if entry.u8(16) == 1 {
			entries[index].TimeToLive = time.Duration(entry.u64(24)) * time.Millisecond
		}
	}
	return entries, nil
}

func hostQuota() (Quota, error) {
	var result [5]uint64
	importQuota(unsafe.Pointer(&result))
	b := block{unsafe.Pointer(&result)}
	if b.u8(0) != 0 {
		return Quota{}, b.hostError(8)
	}
	return Quota{b.u64(8), b.u64(16), b.u64(24), b.u64(32)}, nil
}
