//go:build !wasip1

package gtm

import "fmt"

// Testing is the host of a plugin that is built natively, as by go test. Reset empties it.
var Testing struct {
	Config map[string]string
	State  map[string][]byte
	// Answer is what servers say. Nil: nothing is granted.
	Answer func(Request) (Response, error)
	// MailError is why mails are not sent. Nil: they are.
	MailError error
	// What the plugin did.
	Log      []string
	Mails    []Message
	Requests []Request
}

// Reset has the next test begin anew.
func Reset() {
	Testing.Config, Testing.State = map[string]string{}, map[string][]byte{}
	Testing.Answer, Testing.MailError = nil, nil
	Testing.Log, Testing.Mails, Testing.Requests = nil, nil, nil
}

// Run has the plugin that is registered filter and handle an op, as the host does.
func Run(op *Op) (wanted bool, err error) {
	if !wants(op) {
		return false, nil
	}
	failed, rejected, reason := outcome(func() error { return plugin.Handle(op) })
	switch {
	case rejected:
		return true, Rejectf("%s", reason)
	case failed:
		return true, fmt.Errorf("%s", reason)
	}
	return true, nil
}

// NewInsert is an insert of a document into database and collection.
func NewInsert(database, collection string, document D) *Op {
	bytes, err := document.Bytes()
	if err != nil {
		panic(err)
	}
	return &Op{ID: "1.1.0", Database: database, Collection: collection, FullDocument: bytes, Attempt: 1}
}

func hostLog(_ level, message string) { Testing.Log = append(Testing.Log, message) }

func hostConfig(key string) (string, bool) {
	value, ok := Testing.Config[key]
	return value, ok
}

// Extended JSON is the host's. Here it says how long the document is.
func hostExtendedJSON(bytes []byte, _ bool) (string, error) {
	return fmt.Sprintf(`{"bytes":%d}`, len(bytes)), nil
}

func hostMail(message *Message) (string, error) {
	if Testing.MailError != nil {
		return "", Testing.MailError
	}
	Testing.Mails = append(Testing.Mails, *message)
	return fmt.Sprintf("<%d@test>", len(Testing.Mails)), nil
}

func hostHTTP(request *Request) (Response, error) {
	Testing.Requests = append(Testing.Requests, *request)
	if Testing.Answer == nil {
		return Response{}, &HostError{NotGranted, "the test answers no requests"}
	}
	return Testing.Answer(*request)
}

func hostCount(string, uint64)   {}
func hostGauge(string, float64)  {}
func hostRecord(string, float64) {}

func hostGet(key string) ([]byte, bool, error) {
	value, ok := Testing.State[key]
	return value, ok, nil
}

func hostSet(key string, value []byte) error {
	Testing.State[key] = value
	return nil
}

func hostDelete(key string) error {
	delete(Testing.State, key)
	return nil
}

func hostSwap(key string, expected *[]byte, value []byte) (bool, error) {
	present, ok := Testing.State[key]
	if ok != (expected != nil) || ok && string(present) != string(*expected) {
		return false, nil
	}
	Testing.State[key] = value
	return true, nil
}
