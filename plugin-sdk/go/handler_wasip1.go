//go:build !gtm_filter

package gtm

import "unsafe"

// The result of a call, which lasts until the next call.
var resultOfOne handled

//go:wasmexport gtm:plugin/handler@0.2.0#handle
func exportHandle(at unsafe.Pointer) unsafe.Pointer {
	op := read(at)
	resultTexts = nil
	handleOne(&op).write(&resultOfOne)
	endCall()
	collect()
	return unsafe.Pointer(&resultOfOne)
}
