//go:build gtm_schedule

package gtm

import (
	"time"
	"unsafe"
)

// The timers, and the result of a tick, which last until the next call.
var (
	declaredTimers [][5]uint32
	listOfTimers   [2]uint32
	resultOfTick   handled
)

//go:wasmexport gtm:plugin/schedule@0.2.0#timers
func exportTimers() unsafe.Pointer {
	timers := timers()
	declaredTimers = make([][5]uint32, len(timers))
	for index, timer := range timers {
		to := &declaredTimers[index]
		to[0], to[1] = list([]byte(timer.Name))
		to[2], to[3] = list([]byte(timer.Schedule))
		to[4] = uint32(timer.Missed)
	}
	listOfTimers[0], listOfTimers[1] = list(declaredTimers)
	endCall()
	return unsafe.Pointer(&listOfTimers)
}

//go:wasmexport gtm:plugin/schedule@0.2.0#tick
func exportTick(timer unsafe.Pointer, timerLength uint32, at uint64, id unsafe.Pointer, idLength, attempt uint32) unsafe.Pointer {
	tick := &Tick{
		Timer:   string(unsafe.Slice((*byte)(timer), timerLength)),
		At:      time.UnixMilli(int64(at)).UTC(),
		ID:      string(unsafe.Slice((*byte)(id), idLength)),
		Attempt: attempt,
	}
	resultTexts = nil
	tickOne(tick).write(&resultOfTick)
	endCall()
	collect()
	return unsafe.Pointer(&resultOfTick)
}
