package gtm

import (
	"fmt"
	"strings"
	"time"
)

type level int32

const (
	levelDebug level = 1 + iota
	levelInfo
	levelWarn
	levelError
)

// Debugf logs an event.
func Debugf(format string, a ...any) { hostLog(levelDebug, fmt.Sprintf(format, a...)) }

// Infof logs an event.
func Infof(format string, a ...any) { hostLog(levelInfo, fmt.Sprintf(format, a...)) }

// Warnf logs an event.
func Warnf(format string, a ...any) { hostLog(levelWarn, fmt.Sprintf(format, a...)) }

// Errorf logs an event.
func Errorf(format string, a ...any) { hostLog(levelError, fmt.Sprintf(format, a...)) }

// JSON returns the document as Extended JSON, with types only where JSON has none, for encoding/json.
func (d Document) JSON() (string, error) { return hostExtendedJSON(d, false) }

// CanonicalJSON returns the document as Extended JSON, each value with its type.
func (d Document) CanonicalJSON() (string, error) { return hostExtendedJSON(d, true) }

// FromJSON returns the document for Extended JSON of at most 16 MiB.
func FromJSON(json string) (Document, error) { return hostFromJSON(json) }

// Message is an e-mail.
type Message struct {
	// From is the sender. Empty: the default sender of the host.
	From        string
	To, Cc, Bcc []string
	ReplyTo     string
	Subject     string
	// Text and HTML are the body: at least one.
	Text, HTML string
}

// SendMail sends a message, and returns its Message-ID. In a handler only.
func SendMail(message Message) (string, error) { return hostMail(&message) }

// Request is an HTTP request.
type Request struct {
	Method, URL string
	Headers     [][2]string
	Body        []byte
	// Timeout is the time to wait for an answer. Zero: the host's own limit, which applies in any case.
	Timeout time.Duration
}

// Response is the answer to a request, regardless of its status. The names of headers are in lowercase.
type Response struct {
	Status  uint16
	Headers [][2]string
	Body    []byte
}

// SendRequest sends a request, and returns the response. In a handler only.
func SendRequest(request Request) (Response, error) { return hostHTTP(&request) }

// IdempotencyKey returns the header Idempotency-Key with the id of the op, which is the same each time the op is delivered. A server that
// knows the header does the work once.
func IdempotencyKey(op *Op) [2]string { return [2]string{"Idempotency-Key", op.ID} }

// Header returns the first header of this name. False: there is none.
func (r *Response) Header(name string) (string, bool) {
	for _, header := range r.Headers {
		if strings.EqualFold(header[0], name) {
			return header[1], true
		}
	}
	return "", false
}

// Count adds to a counter of the plugin.
func Count(name string, by uint64) { hostCount(name, by) }

// Gauge sets a gauge of the plugin.
func Gauge(name string, value float64) { hostGauge(name, value) }

// Record adds a value to a histogram of the plugin.
func Record(name string, value float64) { hostRecord(name, value) }
