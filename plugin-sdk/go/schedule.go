package gtm

import "time"

// MissedTicks says what the host does with ticks that it could not deliver at their time.
type MissedTicks uint8

const (
	// Skip leaves them out.
	Skip MissedTicks = iota
	// Once delivers the last of them.
	Once
	// Each delivers each of them in order, but of more than 100 the last 100.
	Each
)

// Timer is a time, or many, at which the host calls Tick.
type Timer struct {
	// Name has 1 to 64 letters, digits, - and _.
	Name string
	// Schedule is in UTC: an interval such as 10m, or a cron expression.
	Schedule string
	Missed   MissedTicks
}

// Tick is one time at which a timer is due.
type Tick struct {
	// Timer is the name of the timer.
	Timer string
	// At is the time at which it is due. The host delivers the tick then or later.
	At time.Time
	// ID is the same each time this tick is delivered, by any host: an idempotency key.
	ID string
	// Attempt is 1 at the first delivery.
	Attempt uint32
}

// timers returns the timers of the plugin.
func timers() []Timer {
	if plugin.Timers == nil {
		return nil
	}
	return plugin.Timers()
}

// tickOne does the work of a tick.
func tickOne(tick *Tick) failure {
	return failureOf(caught(func() error { return plugin.Tick(tick) }))
}
