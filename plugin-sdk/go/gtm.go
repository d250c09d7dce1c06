// Package gtm is for gtm-host plugins in Go.
//
// A plugin registers its functions in an init function:
//
//	func init() { gtm.Register(gtm.Plugin{Filter: wanted, Handle: welcome}) }
//
// It is built for wasip1, and gtm-host componentize converts it into a component. Built natively, as by go test, it has a host in
// memory: see Testing.
//
// Memory: the documents of an Op are valid until the function that it is passed to returns. Everything else that this package returns is
// a copy, which the collector frees. It runs between calls.
package gtm

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"
	"time"
)

// Plugin describes what a plugin does.
type Plugin struct {
	// Settings are the settings that the plugin declares. The host refuses others. Nil: it accepts any.
	Settings []Setting
	// Init reads the settings and prepares the instance, before its first op. It returns subscriptions in addition to Subscriptions.
	// An error refuses the version: it says which setting is wrong, and why. Only the log and the settings work in it.
	Init func() ([]Subscription, error)
	// Filter returns whether Handle gets this op. It must be quick, and has no effects. Nil: every op. A panic here ends the instance,
	// and the host asks again in another. Built with -tags gtm_filter, the component only filters ops, before the filter of a plugin.
	Filter func(op *Op) bool
	// Handle handles the op. The host retries it after an error, except after one that no retry can help: see Reject.
	Handle func(op *Op) error
	// HandleBatch handles several ops in their order, for targets with a bulk API, in place of Handle. It returns an error or nil for each
	// op, or nil if all are done. The plugin gets batches if it is built with -tags gtm_batch; otherwise one op per call.
	HandleBatch func(ops []*Op) []error
	// Subscriptions are the changes that the plugin gets. None: all, unless Init returns some.
	Subscriptions []Subscription
}

// Subscription is a pattern of namespaces, and the operations there.
type Subscription struct {
	// Namespace is like users.users, shop.* or, as a regular expression, /^shop[.](a|b)$/.
	Namespace string
	// Operations are the kinds of changes. None: all.
	Operations []OperationType
}

var plugin Plugin

// Register sets what the plugin does. Call it once, in an init function.
func Register(p Plugin) { plugin = p }

// OperationType is the kind of a change.
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

// Origin is the source of an op.
type Origin uint8

// An oplog, a change stream, a snapshot, or a file.
const (
	Oplog Origin = iota
	ChangeStream
	Snapshot
	Replay
)

// Op is one change. Its documents last until the function returns that it is passed to; its texts are copies.
type Op struct {
	// ID is the same each time this change is delivered: an idempotency key.
	ID         string
	Type       OperationType
	Database   string
	Collection string
	// Seconds and Increment are the place in the oplog.
	Seconds, Increment uint32
	// WallTime is the time at which the server wrote it. Zero: the server does not report it.
	WallTime time.Time
	// A document that does not exist is nil. Read checks one.
	DocumentKey, FullDocument, FullDocumentBeforeChange, UpdateDescription, Command []byte
	// TransactionID is empty outside of a transaction.
	TransactionID    string
	TransactionIndex uint32
	Origin           Origin
	// Attempt is 1 at the first delivery.
	Attempt uint32
}

// IsInsert returns whether a document was inserted.
func (op *Op) IsInsert() bool { return op.Type == Insert }

// IsUpdate returns whether fields of a document were changed.
func (op *Op) IsUpdate() bool { return op.Type == Update }

// IsReplace returns whether a document was replaced.
func (op *Op) IsReplace() bool { return op.Type == Replace }

// IsDelete returns whether a document was deleted.
func (op *Op) IsDelete() bool { return op.Type == Delete }

// Document returns the document after the change. Its error is a rejection.
func (op *Op) Document() (Document, error) {
	if op.FullDocument == nil {
		return nil, Reject(errors.New("this op has no document"))
	}
	return Read(op.FullDocument)
}

// panicPlace returns the line of the plugin that panicked, as " (welcome.go:20)": the first in its module.
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

// isPlugins returns whether a package belongs to the module in which own, this package, is copied.
func isPlugins(name, own string) bool {
	module := path.Dir(own)
	return name != own && (name == "main" || name == module || strings.HasPrefix(name, module+"/"))
}

// packageOf returns welcome/gtm of welcome/gtm.outcome.func1.
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
