package gtm

import (
	"runtime"
	"unsafe"
)

//go:wasmimport gtm:plugin/mongodb@0.2.0 find
func importFind(ns unsafe.Pointer, nsLength uint32, filter unsafe.Pointer, filterLength uint32,
	hasProjection uint32, projection unsafe.Pointer, projectionLength uint32, hasSort uint32, sort unsafe.Pointer, sortLength uint32,
	hasSkip uint32, skip uint64, hasLimit, limit uint32, result unsafe.Pointer)

//go:wasmimport gtm:plugin/mongodb@0.2.0 aggregate
func importAggregate(ns unsafe.Pointer, nsLength uint32, stages unsafe.Pointer, count uint32, result unsafe.Pointer)

//go:wasmimport gtm:plugin/mongodb@0.2.0 insert
func importInsert(ns unsafe.Pointer, nsLength uint32, documents unsafe.Pointer, count uint32, result unsafe.Pointer)

//go:wasmimport gtm:plugin/mongodb@0.2.0 update
func importUpdate(ns unsafe.Pointer, nsLength uint32, filter unsafe.Pointer, filterLength uint32, update unsafe.Pointer,
	updateLength uint32, many, upsert uint32, result unsafe.Pointer)

//go:wasmimport gtm:plugin/mongodb@0.2.0 replace
func importReplace(ns unsafe.Pointer, nsLength uint32, filter unsafe.Pointer, filterLength uint32, replacement unsafe.Pointer,
	replacementLength uint32, upsert uint32, result unsafe.Pointer)

//go:wasmimport gtm:plugin/mongodb@0.2.0 delete
func importDeleteDocuments(ns unsafe.Pointer, nsLength uint32, filter unsafe.Pointer, filterLength uint32, many uint32,
	result unsafe.Pointer)

func hostFind(ns string, filter, projection, sort []byte, skip uint64, limit uint32) ([][]byte, error) {
	var result [4]uint32
	importFind(pointer(ns), uint32(len(ns)), data(filter), uint32(len(filter)),
		bit(projection != nil), data(projection), uint32(len(projection)), bit(sort != nil), data(sort), uint32(len(sort)),
		bit(skip > 0), skip, bit(limit > 0), limit, unsafe.Pointer(&result))
	return listed(&result)
}

func hostAggregate(ns string, stages [][]byte) ([][]byte, error) {
	var result [4]uint32
	list := lent(stages)
	importAggregate(pointer(ns), uint32(len(ns)), unsafe.Pointer(unsafe.SliceData(list)), uint32(len(list)), unsafe.Pointer(&result))
	runtime.KeepAlive(stages)
	return listed(&result)
}

func hostInsert(ns string, documents [][]byte) error {
	var result [4]uint32
	list := lent(documents)
	importInsert(pointer(ns), uint32(len(ns)), unsafe.Pointer(unsafe.SliceData(list)), uint32(len(list)), unsafe.Pointer(&result))
	runtime.KeepAlive(documents)
	_, err := answer(&result)
	return err
}

func hostUpdate(ns string, filter, update []byte, options UpdateOptions) (hostUpdateResult, error) {
	var result [5]uint64
	importUpdate(pointer(ns), uint32(len(ns)), data(filter), uint32(len(filter)), data(update), uint32(len(update)),
		bit(options.Many), bit(options.Upsert), unsafe.Pointer(&result))
	return counted(&result)
}

func hostReplace(ns string, filter, replacement []byte, upsert bool) (hostUpdateResult, error) {
	var result [5]uint64
	importReplace(pointer(ns), uint32(len(ns)), data(filter), uint32(len(filter)), data(replacement), uint32(len(replacement)),
		bit(upsert), unsafe.Pointer(&result))
	return counted(&result)
}

func hostDeleteDocuments(ns string, filter []byte, many bool) (uint64, error) {
	var result [3]uint64
	importDeleteDocuments(pointer(ns), uint32(len(ns)), data(filter), uint32(len(filter)), bit(many), unsafe.Pointer(&result))
	b := block{unsafe.Pointer(&result)}
	if b.u8(0) != 0 {
		return 0, b.hostError(8)
	}
	return b.u64(8), nil
}

// lent returns the addresses and lengths of documents.
func lent(documents [][]byte) [][2]uint32 {
	list := make([][2]uint32, len(documents))
	for index, document := range documents {
		list[index] = [2]uint32{address(document), uint32(len(document))}
	}
	return list
}

func listed(result *[4]uint32) ([][]byte, error) {
	b, err := answer(result)
	if err != nil {
		return nil, err
	}
	documents := make([][]byte, b.u32(8))
	for index := range documents {
		documents[index] = block{unsafe.Pointer(uintptr(b.u32(4) + 8*uint32(index)))}.copied(0)
	}
	return documents, nil
}

func counted(result *[5]uint64) (hostUpdateResult, error) {
	b := block{unsafe.Pointer(result)}
	if b.u8(0) != 0 {
		return hostUpdateResult{}, b.hostError(8)
	}
	updated := hostUpdateResult{matched: b.u64(8), modified: b.u64(16)}
	if b.u8(24) == 1 {
		updated.upserted = b.copied(28)
	}
	return updated, nil
}
