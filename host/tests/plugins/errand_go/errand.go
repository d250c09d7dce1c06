// Does the errand that is written in each document inserted into a collection errands, and logs the result:
// NUMBER ok WHAT or NUMBER error WHAT, where the number is the document's _id. The same as the plugin errand, in Go, and in batches.
package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"welcome/gtm"
)

var database string

func init() {
	settings := []gtm.Setting{
		{Name: "database", Doc: "The database of the errands."},
		{Name: "key"},
		{Name: "pause", Type: gtm.DurationSetting, Default: "10s", Doc: "A time."},
		{Name: "size", Type: gtm.SizeSetting, Default: "1 MiB", Doc: "A size."},
		{Name: "level", Type: gtm.ChoiceSetting, Choices: []string{"low", "high"}, FormerNames: []string{"grade"}, Doc: "A choice."},
		{Name: "token", Secret: true, Doc: "A secret."},
	}
	gtm.Register(gtm.Plugin{Settings: settings, Init: begin, Filter: isOwn, HandleBatch: runAll,
		Timers: timers, Tick: tick})
}

func main() {}

func begin() ([]gtm.Subscription, error) {
	if key, _ := gtm.Config("key"); key == "refused" {
		return nil, errors.New("key must not be refused, ü")
	}
	database, _ = gtm.Config("database")
	return []gtm.Subscription{{Namespace: "*.errands", Operations: []gtm.OperationType{gtm.Insert}}}, nil
}

func isOwn(op *gtm.Op) bool {
	errand, err := op.Document()
	if err != nil {
		return false
	}
	if inFilter, _ := errand.Get("in_filter"); len(inFilter.Bytes) == 1 && inFilter.Bytes[0] == 1 {
		report(op, errand)
		return false
	}
	return database == "" || op.Database == database
}

func timers() []gtm.Timer {
	schedule := "0 6 * * *"
	if level, _ := gtm.Config("level"); level == "high" {
		schedule = "1h"
	}
	return []gtm.Timer{{Name: "chime", Schedule: schedule, Missed: gtm.Each}}
}

func tick(tick *gtm.Tick) error {
	if tick.Timer != "chime" {
		return gtm.Rejectf("no timer %s", tick.Timer)
	}
	level, _ := gtm.Config("level")
	gtm.Infof("%s %d %s %d %s", tick.Timer, tick.At.UnixMilli(), tick.ID, tick.Attempt, level)
	if tick.Attempt == 2 {
		return gtm.RetryAfter(1500*time.Millisecond, errors.New("later"))
	}
	return nil
}

func runAll(ops []*gtm.Op) []error {
	errs := make([]error, len(ops))
	for index, op := range ops {
		if op.Database == "shop" {
			errs[index] = logChangeEvents(op)
			continue
		}
		errand, err := op.Document()
		what, _ := errand.Text("do")
		switch {
		case err != nil:
			errs[index] = err
		case what == "reject":
			errs[index] = gtm.Rejectf("rejected, ü")
		case what == "later":
			errs[index] = gtm.RetryAfter(7*time.Second, errors.New("later, ü"))
		case what == "again":
			errs[index] = errors.New("again, ü")
		default:
			report(op, errand)
		}
	}
	return errs
}

func logChangeEvents(op *gtm.Op) error {
	relaxed, err := op.ChangeEvent()
	canonical, other := op.CanonicalChangeEvent()
	gtm.Infof("%s", relaxed)
	gtm.Infof("%s", canonical)
	return errors.Join(err, other)
}

func report(op *gtm.Op, errand gtm.Document) {
	id, _ := errand.Get("_id")
	number, _ := id.Int64()
	if result, err := run(op, errand); err != nil {
		gtm.Infof("%d error %v", number, err)
	} else {
		gtm.Infof("%d ok %s", number, result)
	}
}

func run(op *gtm.Op, errand gtm.Document) (string, error) {
	text := func(name string) string {
		text, _ := errand.Text(name)
		return text
	}
	part := func(name string) gtm.BSON {
		value, _ := errand.Get(name)
		if document, ok := value.Document(); ok {
			return document
		}
		return gtm.D{}
	}
	own := gtm.Collection(text("ns"))
	switch what := text("do"); what {
	case "http":
		return send(op, errand)
	case "find":
		return listed(own.Find(part("filter"), gtm.FindOptions{Sort: part("sort")}))
	case "aggregate":
		var stages []gtm.BSON
		pipeline, _ := errand.Get("pipeline")
		all, _ := pipeline.Document()
		for _, stage := range all.All() {
			stage, _ := stage.Document()
			stages = append(stages, stage)
		}
		return listed(own.Aggregate(stages...))
	case "insert":
		err := own.Insert(part("document"))
		if gtm.IsConflict(err) {
			err = fmt.Errorf("conflict: %w", err)
		}
		return "inserted", err
	case "update":
		return written(own.Update(part("filter"), part("update"), gtm.UpdateOptions{Upsert: true}))
	case "replace":
		return written(own.Replace(part("filter"), part("document"), true))
	case "delete":
		count, err := own.Delete(part("filter"), true)
		return fmt.Sprint(count), err
	case "get":
		value, ok, err := gtm.GetState(text("key"))
		if err == nil && !ok {
			return "nothing", nil
		}
		return string(value), err
	case "set":
		return "set", gtm.SetState(text("key"), []byte(text("value")))
	case "forget":
		return "forgotten", gtm.DeleteState(text("key"))
	case "swap":
		var expected *[]byte
		if value, ok := errand.Text("expected"); ok {
			bytes := []byte(value)
			expected = &bytes
		}
		swapped, err := gtm.SwapState(text("key"), expected, []byte(text("value")))
		return fmt.Sprint(swapped), err
	case "add":
		by, _ := errand.Get("by")
		number, _ := by.Int64()
		sum, err := gtm.IncrementState(text("key"), number, time.Minute)
		return fmt.Sprint(sum), err
	case "list":
		entries, err := gtm.ListState(text("key"), "", 10)
		list := ""
		for _, entry := range entries {
			ends := ""
			if entry.TimeToLive > 0 {
				ends = "+"
			}
			list += fmt.Sprintf("%s=%s%s ", entry.Key, entry.Value, ends)
		}
		return list, err
	case "quota":
		quota, err := gtm.GetStateQuota()
		return fmt.Sprint(quota.Keys), err
	case "mail":
		return gtm.SendMail(gtm.Message{To: []string{text("to")}, Subject: "an errand", Text: "done"})
	case "count":
		gtm.Count("errands", 1)
		gtm.Gauge("level", 0.5)
		gtm.Record("seconds", 0.01)
		return "counted", nil
	case "json":
		document, err := gtm.Read(part("document").(gtm.Document))
		if err != nil {
			return "", err
		}
		relaxed, err := document.JSON()
		canonical, other := document.CanonicalJSON()
		return relaxed + " " + canonical, errors.Join(err, other)
	case "config":
		if value, ok := gtm.Config(text("key")); ok {
			return value, nil
		}
		return "nothing", nil
	case "encode":
		// Through JSON and back.
		document, err := gtm.FromJSON(`{"text":"` + text("text") + `"}`)
		if err != nil {
			return "", err
		}
		return document.Required().Text("text")
	default:
		return "", gtm.Rejectf("%s is no errand", what)
	}
}

func send(op *gtm.Op, errand gtm.Document) (string, error) {
	text := func(name string) string {
		text, _ := errand.Text(name)
		return text
	}
	timeout, _ := errand.Get("timeout")
	millis, _ := timeout.Int64()
	request := gtm.Request{
		Method: "GET", URL: text("url"), Headers: [][2]string{gtm.IdempotencyKey(op)}, Timeout: time.Duration(millis) * time.Millisecond,
	}
	if method := text("method"); method != "" && method != "STATUS" {
		request.Method = method
	}
	if body, ok := errand.Text("body"); ok {
		request.Body = []byte(body)
	}
	own, _ := errand.Get("headers")
	if headers, ok := own.Document(); ok {
		for name, value := range headers.All() {
			value, _ := value.Text()
			request.Headers = append(request.Headers, [2]string{name, value})
		}
	}
	response, err := gtm.SendRequest(request)
	if err == nil && text("method") == "STATUS" {
		err = response.ErrorForStatus()
		var delay *gtm.Delay
		var rejection *gtm.Rejection
		switch {
		case errors.As(err, &delay):
			err = fmt.Errorf("retry %d", delay.After.Milliseconds())
		case errors.As(err, &rejection):
			err = errors.New("reject 0")
		case err != nil:
			err = errors.New("retry 0")
		}
	}
	return fmt.Sprintf("%d %s", response.Status, response.Body), err
}

func written(result gtm.UpdateResult, err error) (string, error) {
	id := ""
	if result.UpsertedID != nil {
		number, _ := result.UpsertedID.Int64()
		id = fmt.Sprintf(`{"_id":%d}`, number)
	}
	return fmt.Sprintf("%d %d %s", result.MatchedCount, result.ModifiedCount, id), err
}

func listed(found []gtm.Document, err error) (string, error) {
	all := make([]string, len(found))
	for index, document := range found {
		if all[index], err = document.JSON(); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d [%s]", len(found), strings.Join(all, ",")), err
}
