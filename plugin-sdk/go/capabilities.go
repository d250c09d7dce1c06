package gtm

import "fmt"

type level int32

const (
	levelDebug level = 1 + iota
	levelInfo
	levelWarn
	levelError
)

// Debugf logs a line.
func Debugf(format string, a ...any) { hostLog(levelDebug, fmt.Sprintf(format, a...)) }

// Infof logs a line.
func Infof(format string, a ...any) { hostLog(levelInfo, fmt.Sprintf(format, a...)) }

// Warnf logs a line.
func Warnf(format string, a ...any) { hostLog(levelWarn, fmt.Sprintf(format, a...)) }

// Errorf logs a line.
func Errorf(format string, a ...any) { hostLog(levelError, fmt.Sprintf(format, a...)) }

// Config is a value of the plugin's config. False: there is none.
func Config(key string) (string, bool) { return hostConfig(key) }

// JSON is the document as Extended JSON, with types only where JSON has none, for encoding/json.
func (d Document) JSON() (string, error) { return hostExtendedJSON(d, false) }

// CanonicalJSON is the document as Extended JSON, each value with its type.
func (d Document) CanonicalJSON() (string, error) { return hostExtendedJSON(d, true) }

// SendMail sends a message, and gives its Message-ID. In Handle only.
func SendMail(message Message) (string, error) { return hostMail(&message) }

// SendRequest sends a request, and gives the response. In Handle only.
func SendRequest(request Request) (Response, error) { return hostHTTP(&request) }

// Count adds to a counter of the plugin's own.
func Count(name string, by uint64) { hostCount(name, by) }

// Gauge sets a gauge of the plugin's own.
func Gauge(name string, value float64) { hostGauge(name, value) }

// Record adds to a histogram of the plugin's own.
func Record(name string, value float64) { hostRecord(name, value) }

// GetState is what is kept under a key. In Handle only.
func GetState(key string) (value []byte, ok bool, err error) { return hostGet(key) }

// SetState keeps a value. In Handle only.
func SetState(key string, value []byte) error { return hostSet(key, value) }

// DeleteState keeps it no longer. In Handle only.
func DeleteState(key string) error { return hostDelete(key) }

// SwapState keeps a value if what is kept is expected (nil: nothing), in one step. In Handle only.
func SwapState(key string, expected *[]byte, value []byte) (bool, error) {
	return hostSwap(key, expected, value)
}
