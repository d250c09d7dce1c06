package gtm

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Rejection is an error that no retry can help.
type Rejection struct{ Err error }

func (r *Rejection) Error() string { return r.Err.Error() }

// Unwrap returns the cause.
func (r *Rejection) Unwrap() error { return r.Err }

// Reject returns an error after which the host does not retry the op: it keeps it among the dead letters.
func Reject(err error) error { return &Rejection{err} }

// Rejectf is Reject of fmt.Errorf.
func Rejectf(format string, a ...any) error { return Reject(fmt.Errorf(format, a...)) }

// Delay is an error after which the host retries the op no sooner than after a time.
type Delay struct {
	After time.Duration
	Err   error
}

func (d *Delay) Error() string { return d.Err.Error() }

// Unwrap returns the cause.
func (d *Delay) Unwrap() error { return d.Err }

// RetryAfter returns an error after which the host retries the op no sooner than after this time, as a server said (Retry-After), and after
// an hour at the latest.
func RetryAfter(after time.Duration, err error) error { return &Delay{after, err} }

// Kind is the kind of an error of the host.
type Kind uint8

const (
	// NotGranted is an error because the plugin is not allowed to do this.
	NotGranted Kind = iota
	// Invalid is an error of a request that would fail in the same way each time.
	Invalid
	// Rejected is an error because the other side refused it for good.
	Rejected
	// Unavailable is an error because the other side cannot be reached, or took too long.
	Unavailable
	// Conflict is an error because it contradicts something that exists: a document with this key, for example.
	Conflict
	// TooLarge is an error of a request or an answer beyond a limit.
	TooLarge
)

// HostError is an error of a capability. A handler may return it: the host retries the op after NotGranted and Unavailable, and rejects it
// after the other kinds.
type HostError struct {
	Kind   Kind
	Reason string
}

func (e *HostError) Error() string { return e.Reason }

// IsConflict returns whether an error is one of the host because something exists already, such as a document with this key.
func IsConflict(err error) bool {
	var host *HostError
	return errors.As(err, &host) && host.Kind == Conflict
}

// failure is what a handler returns for an op.
type failure struct {
	failed, rejected bool
	after            time.Duration
	reason           string
}

// failureOf is the only place that decides what becomes of an error.
func failureOf(err error) failure {
	if err == nil {
		return failure{}
	}
	failed := failure{failed: true, reason: err.Error()}
	var delay *Delay
	var rejection *Rejection
	var host *HostError
	switch {
	case errors.As(err, &rejection):
		failed.rejected = true
	case errors.As(err, &delay):
		failed.after = delay.After
	case errors.As(err, &host):
		failed.rejected = host.Kind != NotGranted && host.Kind != Unavailable
	}
	return failed
}

// caught calls a function of the plugin, and returns its panic as an error.
func caught(call func() error) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("panic: %v%s", panicked, panicPlace())
			Errorf("%s\n%s", err, debug.Stack())
		}
	}()
	return call()
}

// handleOne handles an op by the handler that the plugin has.
func handleOne(op *Op) failure {
	if plugin.Handle == nil && plugin.HandleBatch != nil {
		return handleAll([]*Op{op})[0]
	}
	return failureOf(caught(func() error { return plugin.Handle(op) }))
}

// handleAll handles ops by the handler that the plugin has, and returns a failure or none for each.
func handleAll(ops []*Op) []failure {
	failures := make([]failure, len(ops))
	if plugin.HandleBatch == nil {
		for index, op := range ops {
			failures[index] = handleOne(op)
		}
		return failures
	}
	var errs []error
	err := caught(func() error {
		errs = plugin.HandleBatch(ops)
		if errs != nil && len(errs) != len(ops) {
			return fmt.Errorf("HandleBatch returned %d errors for %d ops", len(errs), len(ops))
		}
		return nil
	})
	for index := range failures {
		if err != nil {
			failures[index] = failureOf(err)
		} else if errs != nil {
			failures[index] = failureOf(errs[index])
		}
	}
	return failures
}

// beginning calls Init, and returns all subscriptions.
func beginning() ([]Subscription, error) {
	subscriptions := plugin.Subscriptions
	if plugin.Init == nil {
		return subscriptions, nil
	}
	err := caught(func() error {
		more, err := plugin.Init()
		subscriptions = append(subscriptions[:len(subscriptions):len(subscriptions)], more...)
		return err
	})
	return subscriptions, err
}
