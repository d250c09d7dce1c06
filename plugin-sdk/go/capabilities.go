package gtm

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

type level int32

const (
	levelTrace level = iota
	levelDebug
	levelInfo
	levelWarn
	levelError
)

// Tracef logs an event.
func Tracef(format string, a ...any) { hostLog(levelTrace, fmt.Sprintf(format, a...)) }

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

// ErrorForStatus returns nil for a status of success (2xx). For one that may pass (408, 425, 429, 5xx), it returns an error after which the
// host retries the op, after the time in the header Retry-After if there is one; otherwise a rejection.
func (r *Response) ErrorForStatus() error {
	err := fmt.Errorf("the server answers with status %d", r.Status)
	switch {
	case r.Status >= 200 && r.Status < 300:
		return nil
	case r.Status != 408 && r.Status != 425 && r.Status != 429 && (r.Status < 500 || r.Status > 599):
		return Reject(err)
	}
	text, _ := r.Header("retry-after")
	// More than a year is not a time to wait for; the host waits for an hour at most.
	if seconds, parsed := strconv.ParseUint(text, 10, 64); parsed == nil && seconds > 0 && seconds < 31536000 {
		return RetryAfter(time.Duration(seconds)*time.Second, err)
	}
	if at, parsed := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", text); parsed == nil {
		if wait := time.Until(at); wait > 0 {
			return RetryAfter(wait, err)
		}
	}
	return err
}

// SendRequest sends a request, and returns the response, regardless of its status: see ErrorForStatus. In a handler only.
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
