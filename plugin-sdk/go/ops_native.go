//go:build !wasip1

package gtm

import (
	"fmt"
	"time"
)

// testTime is the time of all ops of tests, in seconds since 1970.
const testTime = 1700000000

// made is the number of ops that were made.
var made uint32

// NewInsert returns an insert of a document, for a test. It has an id of its own, in the form that a host gives it, as the ops of the functions
// below: 1700000000.1.0.
func NewInsert(database, collection string, document D) *Op {
	op := newOp(Insert, database, collection)
	op.DocumentKey, op.FullDocument = testBytes(keyOf(document)), testBytes(document)
	return op
}

// NewUpdate returns an update, after which the document is this. Its description has updatedFields and removedFields. Nil: there is none.
func NewUpdate(database, collection string, document, description D) *Op {
	op := newOp(Update, database, collection)
	op.DocumentKey, op.FullDocument = testBytes(keyOf(document)), testBytes(document)
	if description != nil {
		op.UpdateDescription = testBytes(description)
	}
	return op
}

// NewReplace returns a replacement by this document.
func NewReplace(database, collection string, document D) *Op {
	op := NewInsert(database, collection, document)
	op.Type = Replace
	return op
}

// NewDelete returns a deletion of the document with this key.
func NewDelete(database, collection string, key D) *Op {
	op := newOp(Delete, database, collection)
	op.DocumentKey = testBytes(key)
	return op
}

// NewCommand returns a change of a collection, a database or an index, such as Drop. The collection is empty if it is of a whole database.
func NewCommand(operation OperationType, database, collection string, command D) *Op {
	op := newOp(operation, database, collection)
	op.Command = testBytes(command)
	return op
}

// WithOrigin sets the source of an op of a test, and gives it an id in the form of that source. It returns the op.
func WithOrigin(op *Op, origin Origin) *Op {
	op.Origin = origin
	place := "0"
	switch origin {
	case ChangeStream:
		// A token begins with the timestamp.
		place = fmt.Sprintf("82%08X%08X", op.Seconds, op.Increment)
	case Snapshot:
		place = fmt.Sprintf("document-%032x", op.Increment)
	}
	op.ID = fmt.Sprintf("%d.%d.%s", op.Seconds, op.Increment, place)
	return op
}

func newOp(operation OperationType, database, collection string) *Op {
	made++
	op := &Op{
		Type: operation, Database: database, Collection: collection, Seconds: testTime, Increment: made,
		WallTime: time.Unix(testTime, 0).UTC(), Attempt: 1,
	}
	return WithOrigin(op, Oplog)
}

func keyOf(document D) D {
	for _, element := range document {
		if element.Name == "_id" {
			return D{element}
		}
	}
	return D{{"_id", nil}}
}

// testBytes returns the document as BSON, and panics if a value cannot be written.
func testBytes(document D) []byte {
	bytes, err := document.Bytes()
	if err != nil {
		panic(err)
	}
	return bytes
}
