//go:build !wasip1

package gtm

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// A Decimal128 is 113 bits of digits, 14 bits of an exponent that is greater by decimalBias, and a sign.
const (
	decimalBias   = 6176
	decimalDigits = 34
)

// decimalText returns the number of a Decimal128, as its standard writes it: 1.10, 1E-6176.
func decimalText(b []byte) string {
	low, high := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	sign := ""
	if high>>63 == 1 {
		sign = "-"
	}
	switch high >> 58 & 0x1f {
	case 0x1f:
		return "NaN"
	case 0x1e:
		return sign + "Infinity"
	}
	digits, exponent := "0", int(high>>47&0x3fff)-decimalBias
	if high>>61&3 != 3 {
		number := new(big.Int).SetUint64(high & (1<<49 - 1))
		if number.Or(number.Lsh(number, 64), new(big.Int).SetUint64(low)); len(number.String()) <= decimalDigits {
			digits = number.String()
		}
		exponent = int(high>>49&0x3fff) - decimalBias
	}
	adjusted := exponent + len(digits) - 1
	switch {
	case exponent > 0 || adjusted < -6:
		if len(digits) > 1 {
			digits = digits[:1] + "." + digits[1:]
		}
		return fmt.Sprintf("%s%sE%+d", sign, digits, adjusted)
	case exponent == 0:
		return sign + digits
	}
	if missing := 1 - exponent - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) + exponent
	return sign + digits[:point] + "." + digits[point:]
}

// decimalOf returns the Decimal128 of a text. False: it is not a number, or has more digits than a Decimal128.
func decimalOf(text string) ([]byte, bool) {
	high := uint64(0)
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		text, high = rest, 1<<63
	}
	low := uint64(0)
	switch text {
	case "NaN":
		high |= 0x1f << 58
	case "Infinity":
		high |= 0x1e << 58
	default:
		digits, power, _ := strings.Cut(strings.ToUpper(text), "E")
		whole, fraction, _ := strings.Cut(digits, ".")
		exponent, err := 0, error(nil)
		if power != "" {
			exponent, err = strconv.Atoi(power)
		}
		exponent += decimalBias - len(fraction)
		number, ok := new(big.Int).SetString(whole+fraction, 10)
		if !ok || err != nil || number.Sign() < 0 || len(number.String()) > decimalDigits || exponent < 0 || exponent > 12287 {
			return nil, false
		}
		low = new(big.Int).And(number, new(big.Int).SetUint64(1<<64-1)).Uint64()
		high |= uint64(exponent)<<49 | number.Rsh(number, 64).Uint64()
	}
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, low), high), true
}
