package gtm

import "encoding/binary"

var operationNames = [...]string{
	"insert", "update", "replace", "delete", "create", "drop", "rename", "dropDatabase", "createIndexes", "dropIndexes", "modify", "other",
}

var originNames = [...]string{"oplog", "change-stream", "snapshot", "replay"}

// String returns the name in MongoDB's change events, such as dropDatabase.
func (t OperationType) String() string { return operationNames[t] }

// String returns oplog, change-stream, snapshot or replay.
func (o Origin) String() string { return originNames[o] }

// ChangeEvent returns the op as one line of relaxed Extended JSON with the names of MongoDB's change events, as gtm-host tail prints it. It
// is the same for each attempt.
func (op *Op) ChangeEvent() (string, error) { return op.changeEvent(false) }

// CanonicalChangeEvent returns the same with the type of each value.
func (op *Op) CanonicalChangeEvent() (string, error) { return op.changeEvent(true) }

func (op *Op) changeEvent(canonical bool) (string, error) {
	head := D{{"_id", D{{"_data", op.ID}}}, {"operationType", op.Type.String()}}
	if op.Seconds != 0 || op.Increment != 0 {
		bytes := binary.LittleEndian.AppendUint32(nil, op.Increment)
		head = append(head, E{"clusterTime", Value{0x11, binary.LittleEndian.AppendUint32(bytes, op.Seconds)}})
	}
	if !op.WallTime.IsZero() {
		head = append(head, E{"wallTime", op.WallTime})
	}
	namespace := D{{"db", op.Database}}
	if op.Collection != "" {
		namespace = append(namespace, E{"coll", op.Collection})
	}
	event, err := jsonOf(append(head, E{"ns", namespace}), canonical)
	if err != nil {
		return "", err
	}
	event = event[:len(event)-1]
	// One by one: together they may be larger than the host converts in one call.
	for _, part := range []struct {
		name  string
		bytes []byte
	}{
		{"documentKey", op.DocumentKey}, {"fullDocument", op.FullDocument}, {"fullDocumentBeforeChange", op.FullDocumentBeforeChange},
		{"updateDescription", op.UpdateDescription}, {"command", op.Command},
	} {
		if part.bytes == nil {
			continue
		}
		json, err := hostExtendedJSON(part.bytes, canonical)
		if err != nil {
			return "", err
		}
		event += `,"` + part.name + `":` + json
	}
	var tail D
	if op.TransactionID != "" {
		tail = D{{"transaction", D{{"id", op.TransactionID}, {"index", int64(op.TransactionIndex)}}}}
	}
	end, err := jsonOf(append(tail, E{"origin", op.Origin.String()}), canonical)
	if err != nil {
		return "", err
	}
	return event + "," + end[1:], nil
}

func jsonOf(document D, canonical bool) (string, error) {
	bytes, err := document.Bytes()
	if err != nil {
		return "", err
	}
	return hostExtendedJSON(bytes, canonical)
}
