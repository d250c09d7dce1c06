package gtm

import "time"

// The functions of state work in a handler only.

// Entry is a value that the plugin keeps.
type Entry struct {
	Key   string
	Value []byte
	// TimeToLive is the time until the store forgets it. Zero: it keeps the value.
	TimeToLive time.Duration
}

// Quota is what the plugin keeps, and its limits. A limit of 0 means none.
type Quota struct{ Keys, MaxKeys, Bytes, MaxBytes uint64 }

// GetState returns the value of a key. False: it has none.
func GetState(key string) (value []byte, ok bool, err error) { return hostGet(key) }

// SetState sets the value of a key. The store keeps it.
func SetState(key string, value []byte) error { return hostSet(key, value, 0) }

// SetStateFor sets the value of a key, which the store forgets after this time.
func SetStateFor(key string, value []byte, timeToLive time.Duration) error {
	return hostSet(key, value, timeToLive)
}

// DeleteState removes the value of a key.
func DeleteState(key string) error { return hostDelete(key) }

// SwapState sets the value of a key if the current one is expected (nil: if it has none), in one step, and returns whether it did.
func SwapState(key string, expected *[]byte, value []byte) (bool, error) {
	return hostSwap(key, expected, value, 0)
}

// SwapStateFor is SwapState with a value that the store forgets after this time.
func SwapStateFor(key string, expected *[]byte, value []byte, timeToLive time.Duration) (bool, error) {
	return hostSwap(key, expected, value, timeToLive)
}

// IncrementState adds to a number, in one step, and returns the sum. A key without a value counts as 0. The value is in decimal digits. With
// a time to live of zero, the value keeps the one that it has.
func IncrementState(key string, by int64, timeToLive time.Duration) (int64, error) {
	return hostIncrement(key, by, timeToLive)
}

// ListState returns the entries whose keys begin with prefix, in order: at most limit, 1,000 and 1 MiB. For the next page, pass the last key
// as after; for the first one, an empty text.
func ListState(prefix, after string, limit uint32) ([]Entry, error) {
	return hostList(prefix, after, limit)
}

// GetStateQuota returns what the plugin keeps, and its limits.
func GetStateQuota() (Quota, error) { return hostQuota() }
