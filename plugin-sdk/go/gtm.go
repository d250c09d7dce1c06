// Package gtm is for gtm-host plugins in Go.
//
// A plugin registers its functions in an init function:
//
//	func init() { gtm.Register(gtm.Plugin{Filter: wanted, Handle: welcome}) }
//
// It is built for wasip1, and gtm-host componentize makes a component of it. Built natively, as by go test, it has a host in
// memory: see Testing.
package gtm

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Plugin is what a plugin does.
type Plugin struct {
	// Filter says whether Handle is to get this op. Quick, and without effects. Nil: every op. A panic here ends the instance, and
	// the op comes again.
	Filter func(op *Op) bool
	// Handle does the work. An error is tried again, but for one of Reject.
	Handle func(op *Op) error
	// Subscriptions are the changes that the plugin is asked about. None: all.
	Subscriptions []Subscription
}

// Subscription names changes.
type Subscription struct {
	// Namespace is like users.users, shop.* or, as a regular expression, /^shop[.](a|b)$/.
	Namespace string
	// Operations are which. None: all.
	Operations []OperationType
}

var plugin Plugin

// Register says what the plugin does. It is called once, in an init function.
func Register(p Plugin) { plugin = p }

// OperationType is what was done.
type OperationType uint8

// The names are those of MongoDB's change events.
const (
	Insert OperationType = iota
	Update
	Replace
	Delete
	Create
	Drop
	Rename
	DropDatabase
	CreateIndexes
	DropIndexes
	Modify
	Other
)

// Origin is where the host read an op.
type Origin uint8

// An oplog, a change stream, a snapshot, or a file.
const (
	Oplog Origin = iota
	ChangeStream
	Snapshot
	Replay
)

// Op is one change. It lasts until the function returns that is given it.
type Op struct {
	// ID is the same each time this change is delivered: an idempotency key.
	ID         string
	Type       OperationType
	Database   string
	Collection string
	// Seconds and Increment are the place in the oplog.
	Seconds, Increment uint32
	// WallTime is when the server wrote it. Zero: it does not say.
	WallTime time.Time
	// What is not there is nil. All are checked by Document only.
	DocumentKey, FullDocument, FullDocumentBeforeChange, UpdateDescription, Command []byte
	// TransactionID is empty outside of a transaction.
	TransactionID    string
	TransactionIndex uint32
	Origin           Origin
	// Attempt is 1 at the first delivery.
	Attempt uint32
}

// IsInsert says that a document is new.
func (op *Op) IsInsert() bool { return op.Type == Insert }

// IsUpdate says that fields of a document were changed.
func (op *Op) IsUpdate() bool { return op.Type == Update }

// IsReplace says that a document was replaced.
func (op *Op) IsReplace() bool { return op.Type == Replace }

// IsDelete says that a document was removed.
func (op *Op) IsDelete() bool { return op.Type == Delete }

// Document is the document after the change. Its error is a rejection.
func (op *Op) Document() (Document, error) {
	if op.FullDocument == nil {
		return nil, Reject(errors.New("this op has no document"))
	}
	return Read(op.FullDocument)
}

// Rejection is an error that no other attempt mends.
type Rejection struct{ Err error }

func (r *Rejection) Error() string { return r.Err.Error() }

// Unwrap gives what it is about.
func (r *Rejection) Unwrap() error { return r.Err }

// Reject has an op not be tried again.
func Reject(err error) error { return &Rejection{err} }

// Rejectf is Reject of fmt.Errorf.
func Rejectf(format string, a ...any) error { return Reject(fmt.Errorf(format, a...)) }

// Kind is why the host did not do something.
type Kind uint8

// NotGranted and Unavailable may pass; the others do not.
const (
	NotGranted Kind = iota
	Invalid
	Rejected
	Unavailable
)

// HostError is what the host says.
type HostError struct {
	Kind   Kind
	Reason string
}

func (e *HostError) Error() string { return e.Reason }

// What became of an op: no reason and no rejection where it is done.
func outcome(call func() error) (failed, rejected bool, reason string) {
	defer func() {
		if panicked := recover(); panicked != nil {
			failed, rejected, reason = true, false, fmt.Sprintf("panic: %v%s", panicked, panicPlace())
			Errorf("%s\n%s", reason, debug.Stack())
		}
	}()
	err := call()
	if err == nil {
		return false, false, ""
	}
	var rejection *Rejection
	var host *HostError
	rejected = errors.As(err, &rejection) || errors.As(err, &host) && (host.Kind == Invalid || host.Kind == Rejected)
	return true, rejected, err.Error()
}

// panicPlace is the line of the plugin's that panicked, as " (welcome.go:20)": the first in its module.
func panicPlace() string {
	var callers [64]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers[:])])
	own := packageOf(runtime.FuncForPC(callers[0]).Name())
	panicking := false
	for {
		frame, more := frames.Next()
		name := packageOf(frame.Function)
		panicking = panicking || frame.Function == "runtime.gopanic"
		if panicking && isPlugins(name, own) {
			return fmt.Sprintf(" (%s:%d)", path.Base(frame.File), frame.Line)
		}
		if !more {
			return ""
		}
	}
}

// isPlugins says whether a package is of the module in which own, this package, is copied.
func isPlugins(name, own string) bool {
	module := path.Dir(own)
	return name != own && (name == "main" || name == module || strings.HasPrefix(name, module+"/"))
}

// packageOf is welcome/gtm of welcome/gtm.outcome.func1.
func packageOf(function string) string {
	begin := strings.LastIndex(function, "/") + 1
	name, _, _ := strings.Cut(function[begin:], ".")
	return function[:begin] + name
}

func wants(op *Op) bool {
	if plugin.Filter == nil {
		return true
	}
	return plugin.Filter(op)
}

// Message is an e-mail.
type Message struct {
	// From is by default the sender that the host is set up with.
	From        string
	To, Cc, Bcc []string
	ReplyTo     string
	Subject     string
	// Text and HTML: at least one.
	Text, HTML string
}

// Request is an HTTP request.
type Request struct {
	Method, URL string
	Headers     [][2]string
	Body        []byte
	// Timeout is, where it is not zero, how long an answer is waited for.
	Timeout time.Duration
}

// Response is what came of it, whatever its status.
type Response struct {
	Status  uint16
	Headers [][2]string
	Body    []byte
}
