//go:build !wasip1

package gtm

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The limits of the host.
const (
	maxKeyBytes    = 512
	maxValueBytes  = 1 << 20
	maxPageEntries = 1000
)

// ends has the times at which values of the state end.
var ends map[string]time.Time

func hostCount(name string, by uint64) { Testing.Counters[name] += by }

func hostGauge(name string, value float64) { Testing.Gauges[name] = value }

func hostRecord(name string, value float64) {
	Testing.Recorded[name] = append(Testing.Recorded[name], value)
}

// checked returns why a key or a value is refused, and forgets the values whose time has passed.
func checked(key string, value []byte) error {
	if err := granted("state"); err != nil {
		return err
	}
	for key, end := range ends {
		if !end.After(time.Now()) {
			delete(Testing.State, key)
			delete(ends, key)
		}
	}
	if len(key) == 0 || len(key) > maxKeyBytes {
		return &HostError{Invalid, fmt.Sprintf("a key has 1 to %d bytes, and this one %d", maxKeyBytes, len(key))}
	}
	if len(value) > maxValueBytes {
		return &HostError{TooLarge, fmt.Sprintf("a value has at most %d bytes, and this one %d", maxValueBytes, len(value))}
	}
	return nil
}

// store stores a value if the quota has room for it.
func store(key string, value []byte) error {
	former, ok := Testing.State[key]
	quota, _ := hostQuota()
	keys, size := quota.Keys, quota.Bytes+uint64(len(value))-uint64(len(former))
	if !ok {
		keys++
		size += uint64(len(key))
	}
	isOver := quota.MaxKeys > 0 && keys > quota.MaxKeys || quota.MaxBytes > 0 && size > quota.MaxBytes
	if isOver && (!ok || len(value) > len(former)) {
		return &HostError{Unavailable, "the plugin keeps as much state as it may"}
	}
	Testing.State[key] = value
	return nil
}

func endIn(key string, lasting time.Duration) {
	if lasting > 0 {
		ends[key] = time.Now().Add(lasting)
	}
}

func hostGet(key string) ([]byte, bool, error) {
	if err := checked(key, nil); err != nil {
		return nil, false, err
	}
	value, ok := Testing.State[key]
	return value, ok, nil
}

func hostSet(key string, value []byte, lasting time.Duration) error {
	err := checked(key, value)
	if err == nil {
		err = store(key, value)
	}
	if err == nil {
		delete(ends, key)
		endIn(key, lasting)
	}
	return err
}

func hostIncrement(key string, by int64, lasting time.Duration) (int64, error) {
	if err := checked(key, nil); err != nil {
		return 0, err
	}
	number := int64(0)
	if value, ok := Testing.State[key]; ok {
		var err error
		if number, err = parseInt64(string(value)); err != nil {
			return 0, &HostError{Invalid, fmt.Sprintf("the value of %s is not a number", key)}
		}
	}
	if by > 0 && number > math.MaxInt64-by || by < 0 && number < math.MinInt64-by {
		return 0, &HostError{Invalid, "the sum does not fit"}
	}
	number += by
	err := store(key, []byte(strconv.FormatInt(number, 10)))
	if err == nil {
		endIn(key, lasting)
	}
	return number, err
}

func hostList(prefix, after string, limit uint32) ([]Entry, error) {
	if limit == 0 {
		return nil, &HostError{Invalid, "a page has at least 1 entry, and the limit is 0"}
	}
	for _, text := range []string{prefix, after} {
		if len(text) > maxKeyBytes {
			return nil, &HostError{Invalid, fmt.Sprintf("a key has at most %d bytes, and prefix or after has %d", maxKeyBytes, len(text))}
		}
	}
	if err := checked("-", nil); err != nil {
		return nil, err
	}
	var entries []Entry
	size := 0
	for _, key := range slices.Sorted(maps.Keys(Testing.State)) {
		if !strings.HasPrefix(key, prefix) || key <= after {
			continue
		}
		size += len(key) + len(Testing.State[key])
		if len(entries) == int(min(limit, maxPageEntries)) || len(entries) > 0 && size > maxValueBytes {
			break
		}
		entry := Entry{Key: key, Value: Testing.State[key]}
		if end, ok := ends[key]; ok {
			entry.TimeToLive = time.Until(end)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

func hostQuota() (Quota, error) {
	if err := checked("-", nil); err != nil {
		return Quota{}, err
	}
	quota := Quota{Keys: uint64(len(Testing.State)), MaxKeys: Testing.Quota.MaxKeys, MaxBytes: Testing.Quota.MaxBytes}
	for key, value := range Testing.State {
		quota.Bytes += uint64(len(key) + len(value))
	}
	return quota, nil
}

func hostDelete(key string) error {
	if err := checked(key, nil); err != nil {
		return err
	}
	delete(Testing.State, key)
	delete(ends, key)
	return nil
}

func hostSwap(key string, expected *[]byte, value []byte, lasting time.Duration) (bool, error) {
	if err := checked(key, value); err != nil {
		return false, err
	}
	present, ok := Testing.State[key]
	if ok != (expected != nil) || ok && string(present) != string(*expected) {
		return false, nil
	}
	return true, hostSet(key, value, lasting)
}
