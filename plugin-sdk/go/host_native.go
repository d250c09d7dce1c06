//go:build !wasip1

package gtm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Testing is the host of a plugin that is built natively, as by go test. Reset empties it.
var Testing struct {
	// Config has the settings, as a user writes them: 10s.
	Config map[string]string
	State  map[string][]byte
	// Quota limits the state, as a user can. 0: no limit. Reset sets the limits of the host.
	Quota struct{ MaxKeys, MaxBytes uint64 }
	// Answer is the answer of all servers to a request, with its headers and its body. Nil: nothing is granted.
	Answer func(Request) (Response, error)
	// MailError is why mails are not sent. Nil: they are.
	MailError error
	// Find answers Find and Aggregate. Nil: nothing is found.
	Find func(namespace string, filter Document) ([]Document, error)
	// WriteError is why documents are not written. Nil: they are.
	WriteError error
	// What the plugin did.
	Log      []LogLine
	Counters map[string]uint64
	Gauges   map[string]float64
	Recorded map[string][]float64
	Mails    []Message
	Requests []Request
	Writes   []Write
}

// LogLine is a line that a plugin logged.
type LogLine struct {
	// Level is trace, debug, info, warn or error.
	Level, Message string
}

// Write is something that a plugin wrote to MongoDB.
type Write struct {
	// Operation is insert, update, replace or delete.
	Operation, Namespace string
	// Filter is nil for insert.
	Filter Document
	// Documents are the inserted documents, the update, or the replacement.
	Documents []Document
	// Many and Upsert are the options of an update, a replacement or a deletion.
	Many, Upsert bool
}

// The settings as the plugin gets them, once it is started.
var settings map[string]string

// isFiltering is whether the plugin filters or starts, in which most capabilities do not work.
var isFiltering bool

// filtering runs a filter or a start.
func filtering[T any](work func() T) T {
	isFiltering = true
	defer func() { isFiltering = false }()
	return work()
}

// granted returns an error in a filter and in a start, for a capability that works in a handler only.
func granted(capability string) error {
	if isFiltering {
		return &HostError{NotGranted, capability + " can be used in handle only"}
	}
	return nil
}

func init() { Reset() }

// Reset empties Testing. The next op has a new instance.
func Reset() {
	Testing.Config, Testing.State, ends = map[string]string{}, map[string][]byte{}, map[string]time.Time{}
	Testing.Quota.MaxKeys, Testing.Quota.MaxBytes = 100_000, 256<<20
	Testing.Counters, Testing.Gauges, Testing.Recorded = map[string]uint64{}, map[string]float64{}, map[string][]float64{}
	Testing.Answer, Testing.MailError, Testing.Find, Testing.WriteError = nil, nil, nil, nil
	Testing.Log, Testing.Mails, Testing.Requests, Testing.Writes = nil, nil, nil, nil
	settings = nil
}

// Start checks the settings and calls Init, as the host does when it loads a plugin. It returns the subscriptions, or why the plugin is
// refused.
func Start() ([]Subscription, error) {
	settings = map[string]string{}
	for name, value := range Testing.Config {
		settings[name] = value
	}
	if plugin.Settings != nil {
		if err := checkSettings(); err != nil {
			return nil, err
		}
	}
	var err error
	subscriptions := filtering(func() (subscriptions []Subscription) {
		subscriptions, err = beginning()
		return subscriptions
	})
	return subscriptions, err
}

func checkSettings() error {
	for name := range Testing.Config {
		if !slices.ContainsFunc(plugin.Settings, func(setting Setting) bool { return setting.Name == name }) {
			return fmt.Errorf("unknown setting %s", name)
		}
	}
	for _, setting := range plugin.Settings {
		value, ok := Testing.Config[setting.Name]
		if !ok {
			value, ok = setting.Default, setting.Default != ""
		}
		if !ok && setting.Required {
			return fmt.Errorf("the setting %s is missing", setting.Name)
		}
		if !ok {
			continue
		}
		value, err := setting.converted(value)
		if err != nil {
			return fmt.Errorf("the setting %s: %w", setting.Name, err)
		}
		settings[setting.Name] = value
	}
	return nil
}

// converted returns the value as the plugin gets it.
func (s Setting) converted(value string) (string, error) {
	var err error
	switch s.Type {
	case IntegerSetting:
		_, err = parseInt64(value)
	case NumberSetting:
		_, err = strconv.ParseFloat(value, 64)
	case BooleanSetting:
		if value != "true" && value != "false" {
			err = fmt.Errorf("%q is neither true nor false", value)
		}
	case DurationSetting:
		var duration time.Duration
		duration, err = time.ParseDuration(value)
		value = strconv.FormatInt(duration.Milliseconds(), 10)
	case SizeSetting:
		value, err = bytesOfSize(value)
	case ChoiceSetting:
		if !slices.Contains(s.Choices, value) {
			err = fmt.Errorf("%q is not one of %s", value, strings.Join(s.Choices, ", "))
		}
	}
	return value, err
}

func bytesOfSize(text string) (string, error) {
	digits := strings.TrimRight(text, "iBKMG ")
	number, err := parseInt64(digits)
	switch strings.TrimSpace(text[len(digits):]) {
	case "", "B":
	case "KiB":
		number <<= 10
	case "MiB":
		number <<= 20
	case "GiB":
		number <<= 30
	default:
		err = fmt.Errorf("%q is not a size, such as 1 MiB", text)
	}
	return strconv.FormatInt(number, 10), err
}

// Run filters and handles an op, as the host does. The first op after Reset starts the plugin.
func Run(op *Op) (wanted bool, err error) {
	if settings == nil {
		if _, err := Start(); err != nil {
			return false, err
		}
	}
	if !filtering(func() bool { return wants(op) }) {
		return false, nil
	}
	return true, handleOne(op).err()
}

// RunTick does the work of a timer, as if it was due at this time.
func RunTick(timer string, at time.Time) error {
	if settings == nil {
		if _, err := Start(); err != nil {
			return err
		}
	}
	tick := &Tick{Timer: timer, At: at.UTC(), ID: fmt.Sprintf("%d.0.tick-%s", at.Unix(), timer), Attempt: 1}
	return tickOne(tick).err()
}

// RunBatch handles ops together, as the host does for a plugin with HandleBatch. It returns an error or nil for each.
func RunBatch(ops ...*Op) ([]error, error) {
	if settings == nil {
		if _, err := Start(); err != nil {
			return nil, err
		}
	}
	errs := make([]error, len(ops))
	for index, failure := range handleAll(ops) {
		errs[index] = failure.err()
	}
	return errs, nil
}

func (f failure) err() error {
	switch {
	case !f.failed:
		return nil
	case f.rejected:
		return Rejectf("%s", f.reason)
	case f.after > 0:
		return RetryAfter(f.after, fmt.Errorf("%s", f.reason))
	}
	return fmt.Errorf("%s", f.reason)
}

var levelNames = [...]string{"trace", "debug", "info", "warn", "error"}

func hostLog(level level, message string) {
	Testing.Log = append(Testing.Log, LogLine{levelNames[level], message})
}

func hostConfig(name string) (string, bool) {
	value, ok := settings[name]
	return value, ok
}

func hostMail(message *Message) (string, error) {
	if err := granted("mail"); err != nil {
		return "", err
	}
	if Testing.MailError != nil {
		return "", Testing.MailError
	}
	Testing.Mails = append(Testing.Mails, *message)
	return fmt.Sprintf("<%d@test>", len(Testing.Mails)), nil
}

func hostHTTP(request *Request) (Response, error) {
	if err := granted("http"); err != nil {
		return Response{}, err
	}
	Testing.Requests = append(Testing.Requests, *request)
	if Testing.Answer == nil {
		return Response{}, &HostError{NotGranted, "the test answers no requests"}
	}
	response, err := Testing.Answer(*request)
	headers := make([][2]string, len(response.Headers))
	for index, header := range response.Headers {
		headers[index] = [2]string{strings.ToLower(header[0]), header[1]}
	}
	response.Headers = headers
	return response, err
}

func hostFind(ns string, filter, _, _ []byte, _ uint64, _ uint32) ([][]byte, error) {
	if err := granted("mongodb"); err != nil {
		return nil, err
	}
	if Testing.Find == nil {
		return nil, nil
	}
	found, err := Testing.Find(ns, filter)
	all := make([][]byte, len(found))
	for index, document := range found {
		all[index] = document
	}
	return all, err
}

func hostAggregate(ns string, _ [][]byte) ([][]byte, error) { return hostFind(ns, nil, nil, nil, 0, 0) }

func wrote(write Write, documents ...[]byte) error {
	if err := granted("mongodb"); err != nil {
		return err
	}
	if Testing.WriteError != nil {
		return Testing.WriteError
	}
	for _, document := range documents {
		write.Documents = append(write.Documents, document)
	}
	Testing.Writes = append(Testing.Writes, write)
	return nil
}

func hostInsert(ns string, documents [][]byte) error {
	return wrote(Write{Operation: "insert", Namespace: ns}, documents...)
}

func hostUpdate(ns string, filter, update []byte, options UpdateOptions) (hostUpdateResult, error) {
	write := Write{Operation: "update", Namespace: ns, Filter: filter, Many: options.Many, Upsert: options.Upsert}
	return hostUpdateResult{matched: 1, modified: 1}, wrote(write, update)
}

func hostReplace(ns string, filter, replacement []byte, upsert bool) (hostUpdateResult, error) {
	write := Write{Operation: "replace", Namespace: ns, Filter: filter, Upsert: upsert}
	return hostUpdateResult{matched: 1, modified: 1}, wrote(write, replacement)
}

func hostDeleteDocuments(ns string, filter []byte, many bool) (uint64, error) {
	return 1, wrote(Write{Operation: "delete", Namespace: ns, Filter: filter, Many: many})
}
