package gtm

import (
	"strconv"
	"strings"
	"time"
)

// SettingType is the type of the value of a setting.
type SettingType uint8

const (
	// TextSetting is any text.
	TextSetting SettingType = iota
	// IntegerSetting is a whole number: see ConfigInt64.
	IntegerSetting
	// NumberSetting is a number with a fraction: see ConfigFloat64.
	NumberSetting
	// BooleanSetting is true or false: see ConfigBool.
	BooleanSetting
	// DurationSetting is a time with its unit, such as 10s: see ConfigDuration.
	DurationSetting
	// SizeSetting is a size with its unit, such as 1 MiB. ConfigInt64 returns the bytes.
	SizeSetting
	// TextsSetting is several texts, separated by commas: see ConfigTexts.
	TextsSetting
	// ChoiceSetting is one of Choices.
	ChoiceSetting
)

// Setting is a setting that a plugin declares.
type Setting struct {
	Name string
	Type SettingType
	// Doc describes it in one or two sentences.
	Doc string
	// Default is the value if the user sets none, as the user would write it: 10s. Empty: it has no value then.
	Default string
	// Required is whether the plugin does not start without it.
	Required bool
	// Secret is whether the host keeps its value out of logs, errors and lists.
	Secret bool
	// Choices are the texts of a ChoiceSetting.
	Choices []string
	// FormerNames are names that it had before, which still work.
	FormerNames []string
}

// Config returns the value of a setting. False: it has no value.
func Config(name string) (string, bool) { return hostConfig(name) }

// ConfigInt64 returns the value of an integer, or of a size in bytes. False: it has no value.
func ConfigInt64(name string) (int64, bool) { return configOf(name, parseInt64) }

// ConfigFloat64 returns the value of a number. False: it has no value.
func ConfigFloat64(name string) (float64, bool) {
	return configOf(name, func(text string) (float64, error) { return strconv.ParseFloat(text, 64) })
}

// ConfigBool returns the value of a boolean. False, false: it has no value.
func ConfigBool(name string) (value, ok bool) { return configOf(name, strconv.ParseBool) }

// ConfigDuration returns the value of a duration. False: it has no value.
func ConfigDuration(name string) (time.Duration, bool) {
	millis, ok := configOf(name, parseInt64)
	return time.Duration(millis) * time.Millisecond, ok
}

// ConfigTexts returns the texts of a setting, without the spaces around them.
func ConfigTexts(name string) []string {
	all, _ := Config(name)
	var texts []string
	for text := range strings.SplitSeq(all, ",") {
		if text = strings.TrimSpace(text); text != "" {
			texts = append(texts, text)
		}
	}
	return texts
}

func parseInt64(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) }

func configOf[T any](name string, parse func(string) (T, error)) (T, bool) {
	text, ok := Config(name)
	value, err := parse(text)
	if !ok || err != nil {
		var none T
		return none, false
	}
	return value, true
}
