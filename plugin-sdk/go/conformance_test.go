//go:build !wasip1

package gtm

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// eachCase decodes each line of a file that all SDKs share.
func eachCase[T any](t *testing.T, name string, check func(T)) {
	file, err := os.Open("../conformance/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var one T
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatal(err)
		}
		check(one)
	}
}

// documentOf returns the BSON of canonical Extended JSON, whose fields are read in their order.
func documentOf(t *testing.T, text json.RawMessage) []byte {
	if text == nil {
		return nil
	}
	document, err := fieldsOf(t, text).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func fieldsOf(t *testing.T, text json.RawMessage) D {
	document := D{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	_, _ = decoder.Token()
	for decoder.More() {
		name, _ := decoder.Token()
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
		document = append(document, E{name.(string), valueOf(t, value)})
	}
	return document
}

func valueOf(t *testing.T, text json.RawMessage) any {
	switch text[0] {
	case '[':
		var list []json.RawMessage
		_ = json.Unmarshal(text, &list)
		values := make([]any, len(list))
		for index, one := range list {
			values[index] = valueOf(t, one)
		}
		return values
	case '{':
		fields := fieldsOf(t, text)
		if len(fields) != 1 {
			return fields
		}
		digits, _ := fields[0].Value.(string)
		number, _ := strconv.ParseInt(digits, 10, 64)
		switch fields[0].Name {
		case "$numberInt":
			return int32(number)
		case "$numberLong":
			return number
		case "$numberDouble":
			double, _ := strconv.ParseFloat(digits, 64)
			return double
		case "$date":
			return time.UnixMilli(fields[0].Value.(int64)).UTC()
		case "$oid":
			id, _ := hex.DecodeString(digits)
			return Value{0x07, id}
		}
		return fields
	}
	var value any
	_ = json.Unmarshal(text, &value)
	return value
}

func TestChangeEventsAreThoseOfEachSDK(t *testing.T) {
	count := 0
	eachCase(t, "change_events.jsonl", func(one struct {
		Op struct {
			ID, OperationType, Database, Collection, Origin                                 string
			Timestamp                                                                       struct{ Time, Increment uint32 }
			WallTime                                                                        int64
			DocumentKey, FullDocument, FullDocumentBeforeChange, UpdateDescription, Command json.RawMessage
			Transaction                                                                     struct {
				ID    string
				Index uint32
			}
			Attempt uint32
		}
		Relaxed, Canonical string
	}) {
		from := one.Op
		op := &Op{
			ID: from.ID, Type: OperationType(slices.Index(operationNames[:], from.OperationType)), Database: from.Database,
			Collection: from.Collection, Seconds: from.Timestamp.Time, Increment: from.Timestamp.Increment,
			DocumentKey: documentOf(t, from.DocumentKey), FullDocument: documentOf(t, from.FullDocument),
			FullDocumentBeforeChange: documentOf(t, from.FullDocumentBeforeChange), UpdateDescription: documentOf(t, from.UpdateDescription),
			Command: documentOf(t, from.Command), TransactionID: from.Transaction.ID, TransactionIndex: from.Transaction.Index,
			Origin: Origin(slices.Index(originNames[:], from.Origin)), Attempt: from.Attempt,
		}
		if from.WallTime != 0 {
			op.WallTime = time.UnixMilli(from.WallTime).UTC()
		}
		if relaxed, err := op.ChangeEvent(); err != nil || relaxed != one.Relaxed {
			t.Errorf("%s\n%s\n%v", relaxed, one.Relaxed, err)
		}
		if canonical, err := op.CanonicalChangeEvent(); err != nil || canonical != one.Canonical {
			t.Errorf("%s\n%s\n%v", canonical, one.Canonical, err)
		}
		count++
	})
	if count == 0 {
		t.Error("there are no cases")
	}
}

func TestErrorsBecomeTheFailuresOfEachSDK(t *testing.T) {
	kinds := []string{"not-granted", "invalid", "rejected", "unavailable", "conflict", "too-large"}
	eachCase(t, "errors.jsonl", func(one struct{ Error, Failure string }) {
		got := failureOf(&HostError{Kind(slices.Index(kinds, one.Error)), "x"})
		if !got.failed || got.rejected != (one.Failure == "reject") {
			t.Errorf("%s: %+v", one.Error, got)
		}
	})
}

func TestOpsOfATestHaveIdsOfTheirOwn(t *testing.T) {
	one, other := NewInsert("a", "b", D{{"_id", 1}}), NewInsert("a", "b", D{{"_id", 1}})
	if one.ID == other.ID || other.Increment != one.Increment+1 || one.DocumentKey == nil {
		t.Errorf("%+v %+v", one, other)
	}
}

func TestStateHasTheLimitsOfTheHost(t *testing.T) {
	Reset()
	defer Reset()
	Testing.Quota.MaxKeys, Testing.Quota.MaxBytes = 2, 1000
	refused := func(kind Kind, err error) {
		t.Helper()
		var host *HostError
		if !errors.As(err, &host) || host.Kind != kind {
			t.Errorf("%v", err)
		}
	}
	refused(Invalid, hostSet("", nil, 0))
	refused(Invalid, hostSet(strings.Repeat("k", 513), nil, 0))
	refused(TooLarge, hostSet("k", make([]byte, maxValueBytes+1), 0))
	if err := hostSet("a", make([]byte, 500), 0); err != nil {
		t.Error(err)
	}
	refused(Unavailable, hostSet("b", make([]byte, 500), 0))
	if err := hostSet("b", nil, time.Nanosecond); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Millisecond)
	if _, ok, _ := hostGet("b"); ok {
		t.Error("the value has not ended")
	}
	if quota, _ := hostQuota(); quota != (Quota{Keys: 1, MaxKeys: 2, Bytes: 501, MaxBytes: 1000}) {
		t.Errorf("%+v", quota)
	}
}

func TestMetricsAreRecorded(t *testing.T) {
	Reset()
	Count("mails", 1)
	Count("mails", 2)
	Gauge("level", 0.5)
	Record("seconds", 0.1)
	if Testing.Counters["mails"] != 3 || Testing.Gauges["level"] != 0.5 || len(Testing.Recorded["seconds"]) != 1 {
		t.Errorf("%+v", Testing)
	}
}
