//go:build gtm_batch

package gtm

import "unsafe"

// The results of a batch, which last until the next call.
var (
	results       []handled
	resultsOfMany [2]uint32
)

//go:wasmexport gtm:plugin/batch-handler@0.2.0#handle
func exportHandleBatch(at unsafe.Pointer, count uint32) unsafe.Pointer {
	ops, all := make([]Op, count), make([]*Op, count)
	for index := range ops {
		ops[index] = read(unsafe.Add(at, opBytes*index))
		all[index] = &ops[index]
	}
	results, resultTexts = make([]handled, count), nil
	for index, failure := range handleAll(all) {
		failure.write(&results[index])
	}
	resultsOfMany = [2]uint32{8, count}
	if count > 0 {
		resultsOfMany[0] = uint32(uintptr(unsafe.Pointer(&results[0])))
	}
	endCall()
	collect()
	return unsafe.Pointer(&resultsOfMany)
}
