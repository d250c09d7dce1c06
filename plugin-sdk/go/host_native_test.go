//go:build !wasip1

package gtm

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestEachErrorHasOneOutcome(t *testing.T) {
	for _, one := range []struct {
		err      error
		rejected bool
		after    time.Duration
	}{
		{errors.New("any"), false, 0},
		{Rejectf("never"), true, 0},
		{RetryAfter(time.Second, errors.New("later")), false, time.Second},
		{&HostError{NotGranted, "see --grant"}, false, 0},
		{&HostError{Unavailable, "down"}, false, 0},
		{&HostError{Invalid, "wrong"}, true, 0},
		{&HostError{Rejected, "refused"}, true, 0},
		{&HostError{Conflict, "exists"}, true, 0},
		{&HostError{TooLarge, "17 MiB"}, true, 0},
		{fmt.Errorf("wrapped: %w", &HostError{Conflict, "exists"}), true, 0},
	} {
		got := failureOf(one.err)
		if !got.failed || got.rejected != one.rejected || got.after != one.after || got.reason != one.err.Error() {
			t.Errorf("%v: %+v", one.err, got)
		}
	}
	if !IsConflict(fmt.Errorf("wrapped: %w", &HostError{Conflict, "exists"})) {
		t.Error("a conflict is not recognized")
	}
}

func TestAStatusHasAnOutcome(t *testing.T) {
	in := func(wait time.Duration) string {
		return time.Now().Add(wait).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
	}
	for _, one := range []struct {
		status           uint16
		after            string
		failed, rejected bool
		atLeast          time.Duration
	}{
		{200, "", false, false, 0},
		{299, "7", false, false, 0},
		{302, "7", true, true, 0},
		{404, "", true, true, 0},
		{429, "7", true, false, 7 * time.Second},
		{503, "", true, false, 0},
		{503, "soon", true, false, 0},
		{503, "99999999999999999999", true, false, 0},
		{503, in(time.Hour), true, false, 50 * time.Minute},
		{503, in(-time.Hour), true, false, 0},
		{600, "", true, true, 0},
	} {
		response := Response{Status: one.status, Headers: [][2]string{{"retry-after", one.after}}}
		got := failureOf(response.ErrorForStatus())
		if got.failed != one.failed || got.rejected != one.rejected || got.after < one.atLeast || (got.after > 0) != (one.atLeast > 0) {
			t.Errorf("%+v: %+v", one, got)
		}
	}
}

func TestSettingsAreCheckedAndConverted(t *testing.T) {
	var read time.Duration
	var size int64
	Register(Plugin{
		Settings: []Setting{
			{Name: "pause", Type: DurationSetting, Default: "10s"},
			{Name: "size", Type: SizeSetting, Default: "1 MiB"},
			{Name: "names", Type: TextsSetting},
			{Name: "url", Required: true},
		},
		Init: func() ([]Subscription, error) {
			read, _ = ConfigDuration("pause")
			size, _ = ConfigInt64("size")
			if names := ConfigTexts("names"); len(names) > 0 {
				return []Subscription{{Namespace: names[0] + ".*"}}, nil
			}
			return nil, errors.New("names is empty")
		},
		Handle: func(*Op) error { return nil },
	})
	for _, one := range []struct {
		config map[string]string
		said   string
	}{
		{map[string]string{"names": "a, b"}, "the setting url is missing"},
		{map[string]string{"url": "x", "name": "a"}, "unknown setting name"},
		{map[string]string{"url": "x", "pause": "soon"}, `the setting pause: time: invalid duration "soon"`},
		{map[string]string{"url": "x"}, "names is empty"},
	} {
		Reset()
		Testing.Config = one.config
		if _, err := Start(); err == nil || err.Error() != one.said {
			t.Errorf("%v: %v", one.config, err)
		}
	}
	Reset()
	Testing.Config = map[string]string{"url": "x", "names": " a, b"}
	subscriptions, err := Start()
	if err != nil || len(subscriptions) != 1 || subscriptions[0].Namespace != "a.*" {
		t.Error(subscriptions, err)
	}
	if read != 10*time.Second || size != 1<<20 {
		t.Error(read, size)
	}
}

func TestABatchHasAnOutcomeForEachOp(t *testing.T) {
	ops := []*Op{NewInsert("a", "b", D{{"n", 1}}), NewInsert("a", "b", D{{"n", 2}})}
	for _, one := range []struct {
		handle func([]*Op) []error
		said   [2]string
	}{
		{func([]*Op) []error { return nil }, [2]string{"<nil>", "<nil>"}},
		{func([]*Op) []error { return []error{nil, errors.New("full")} }, [2]string{"<nil>", "full"}},
		{func([]*Op) []error { return []error{nil} }, [2]string{
			"HandleBatch returned 1 errors for 2 ops", "HandleBatch returned 1 errors for 2 ops",
		}},
	} {
		Reset()
		Register(Plugin{HandleBatch: one.handle})
		errs, err := RunBatch(ops...)
		if err != nil || fmt.Sprint(errs[0]) != one.said[0] || fmt.Sprint(errs[1]) != one.said[1] {
			t.Error(errs, err)
		}
	}
	// Without batches, it gets one op per call.
	Register(Plugin{HandleBatch: func(ops []*Op) []error { return make([]error, len(ops)) }})
	if wanted, err := Run(ops[0]); !wanted || err != nil {
		t.Error(wanted, err)
	}
}

func TestDocumentsAreWrittenByDriversNames(t *testing.T) {
	Reset()
	users := Collection("app.users")
	op := NewInsert("app", "users", D{{"_id", int32(7)}, {"name", "Ada"}})
	document, _ := op.Document()
	id, _ := document.Get("_id")
	result, err := users.Update(D{{"_id", id}}, D{{"$set", D{{"seen", true}}}}, UpdateOptions{Upsert: true})
	if err != nil || result.MatchedCount != 1 || result.ModifiedCount != 1 || result.UpsertedID != nil {
		t.Error(result, err)
	}
	if number, ok := Testing.Writes[0].Filter.Get("_id"); !ok || number.Type != 0x10 {
		t.Error(Testing.Writes)
	}
	upserted, _ := D{{"_id", int32(7)}}.Bytes()
	if result, err = updated(hostUpdateResult{upserted: upserted}, nil); err != nil || result.UpsertedID == nil {
		t.Error(result, err)
	}
	Testing.WriteError = &HostError{Conflict, "exists"}
	if err := users.Insert(document); !IsConflict(err) {
		t.Error(err)
	}
}

func TestEachWriteIsRecordedWithItsOptions(t *testing.T) {
	Reset()
	defer Reset()
	all := Collection("a.b")
	filter, document := D{{"_id", 1}}, D{{"n", 2}}
	_ = all.Insert(document, document)
	_, _ = all.Update(filter, D{{"$set", document}}, UpdateOptions{Many: true})
	_, _ = all.Replace(filter, document, true)
	_, _ = all.Delete(filter, true)
	got := ""
	for _, write := range Testing.Writes {
		got += fmt.Sprintln(write.Operation, write.Namespace, write.Filter != nil, len(write.Documents), write.Many, write.Upsert)
	}
	expected := "insert a.b false 2 false false\nupdate a.b true 1 true false\nreplace a.b true 1 false true\ndelete a.b true 0 true false\n"
	if got != expected {
		t.Error(got)
	}
}

func TestAServerSeesTheRequestAndAnswersWithHeaders(t *testing.T) {
	Reset()
	defer Reset()
	Testing.Answer = func(request Request) (Response, error) {
		return Response{Status: 201, Headers: [][2]string{{"X-Own", request.Headers[0][1]}}, Body: append(request.Body, '!')}, nil
	}
	sent := Request{Method: "PUT", URL: "http://x/", Headers: [][2]string{{"a", "1"}}, Body: []byte("ü"), Timeout: time.Second}
	response, err := SendRequest(sent)
	if err != nil || response.Status != 201 || fmt.Sprint(response.Headers) != "[[x-own 1]]" || string(response.Body) != "ü!" {
		t.Error(response, err)
	}
	if len(Testing.Requests) != 1 || fmt.Sprint(Testing.Requests[0]) != fmt.Sprint(sent) {
		t.Error(Testing.Requests)
	}
}

func TestAFilterHasNoCapabilityOfAHandler(t *testing.T) {
	before := plugin
	defer func() { plugin = before; Reset() }()
	Reset()
	refused := 0
	refuse := func(err error) {
		var host *HostError
		if errors.As(err, &host) && host.Kind == NotGranted && strings.HasSuffix(err.Error(), " can be used in handle only") {
			refused++
		}
	}
	try := func() {
		_, err := SendMail(Message{})
		refuse(err)
		_, err = SendRequest(Request{})
		refuse(err)
		_, _, err = GetState("k")
		refuse(err)
		_, err = Collection("a.b").Find(D{}, FindOptions{})
		refuse(err)
		refuse(Collection("a.b").Insert(D{}))
	}
	plugin = Plugin{
		Init:   func() ([]Subscription, error) { try(); return nil, nil },
		Filter: func(*Op) bool { try(); return true },
		Handle: func(*Op) error { Tracef("handled"); return SetState("k", nil) },
	}
	if wanted, err := Run(NewInsert("a", "b", nil)); !wanted || err != nil || refused != 10 {
		t.Error(wanted, err, refused)
	}
	if fmt.Sprint(Testing.Log) != "[{trace handled}]" {
		t.Error(Testing.Log)
	}
}

func TestATimerTicks(t *testing.T) {
	before := plugin
	defer func() { plugin = before }()
	Reset()
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	plugin = Plugin{
		Timers: func() []Timer { return []Timer{{Name: "chime", Schedule: "1h"}} },
		Tick: func(tick *Tick) error {
			if !tick.At.Equal(at) || tick.ID != "1769860800.0.tick-chime" || tick.Attempt != 1 {
				t.Errorf("%+v", tick)
			}
			return Rejectf("not %s", tick.Timer)
		},
	}
	if declared := timers(); len(declared) != 1 || declared[0].Name != "chime" {
		t.Error(declared)
	}
	var rejection *Rejection
	if err := RunTick("chime", at); !errors.As(err, &rejection) || err.Error() != "not chime" {
		t.Error(err)
	}
}
