//go:build !wasip1

package gtm

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
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

// documentOf returns the BSON of canonical Extended JSON.
func documentOf(t *testing.T, text json.RawMessage) []byte {
	if text == nil {
		return nil
	}
	document, err := FromJSON(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return document
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
		t.Error("no case was read")
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

func TestDocumentsAreTheJSONOfEachSDK(t *testing.T) {
	count := 0
	eachCase(t, "extended_json.jsonl", func(one struct{ BSON, Relaxed, Canonical string }) {
		bytes, _ := hex.DecodeString(one.BSON)
		document, err := Read(bytes)
		if err != nil {
			t.Fatal(one, err)
		}
		if relaxed, err := document.JSON(); err != nil || relaxed != one.Relaxed {
			t.Errorf("%s\n%s\n%v", relaxed, one.Relaxed, err)
		}
		if canonical, err := document.CanonicalJSON(); err != nil || canonical != one.Canonical {
			t.Errorf("%s\n%s\n%v", canonical, one.Canonical, err)
		}
		if read, err := FromJSON(one.Canonical); err != nil || hex.EncodeToString(read) != one.BSON {
			t.Errorf("%s: %x %v", one.Canonical, read, err)
		}
		count++
	})
	if count == 0 {
		t.Error("no case was read")
	}
	for _, text := range []string{"", "{", "[]", "{}{}", `{"a":{"$oid":"x"}}`, `{"a":{"$numberDecimal":"much"}}`} {
		var host *HostError
		if _, err := FromJSON(text); !errors.As(err, &host) || host.Kind != Invalid {
			t.Error(text, err)
		}
	}
}

func TestIdsOfATestHaveTheFormThatAHostGives(t *testing.T) {
	before := plugin
	defer func() { plugin = before; Reset() }()
	eachCase(t, "ids.jsonl", func(one struct {
		Source, Timer, ID, Form string
		At                      int64
	}) {
		made := one.ID
		if one.Timer == "" {
			made = WithOrigin(NewInsert("a", "b", D{}), Origin(slices.Index(originNames[:], one.Source))).ID
		} else {
			Reset()
			plugin = Plugin{Tick: func(tick *Tick) error { made = tick.ID; return nil }}
			if err := RunTick(one.Timer, time.UnixMilli(one.At)); err != nil || made != one.ID {
				t.Error(made, one.ID, err)
			}
		}
		form := regexp.MustCompile(one.Form)
		if !form.MatchString(made) || !form.MatchString(one.ID) {
			t.Error(made, one)
		}
	})
}

func TestOpsOfATestAreThoseOfEachSDK(t *testing.T) {
	eachCase(t, "harness.jsonl", func(one struct {
		Make, Namespace, OperationType, Canonical string
		Document, UpdateDescription, Key, Command json.RawMessage
	}) {
		part := func(text json.RawMessage) (fields D) {
			for name, value := range Document(documentOf(t, text)).All() {
				fields = append(fields, E{name, value})
			}
			return fields
		}
		database, collection, _ := strings.Cut(one.Namespace, ".")
		var op *Op
		switch one.Make {
		case "insert":
			op = NewInsert(database, collection, part(one.Document))
		case "update":
			op = NewUpdate(database, collection, part(one.Document), part(one.UpdateDescription))
		case "replace":
			op = NewReplace(database, collection, part(one.Document))
		case "delete":
			op = NewDelete(database, collection, part(one.Key))
		default:
			op = NewCommand(OperationType(slices.Index(operationNames[:], one.OperationType)), database, collection, part(one.Command))
		}
		expected := strings.ReplaceAll(one.Canonical, "{increment}", fmt.Sprint(op.Increment))
		if canonical, err := op.CanonicalChangeEvent(); err != nil || canonical != expected {
			t.Errorf("%s\n%s\n%v", canonical, expected, err)
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
