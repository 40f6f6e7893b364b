package meter

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Amount is exact: millionths of a unit, from 0 to 999999999999.999999. No floating point: what a buyer pays can be added up
// by hand.
type Amount uint64

const (
	million   = 1_000_000
	maxAmount = 999_999_999_999_999_999
)

// Units is a whole number of units.
func Units(units uint32) Amount { return Amount(units) * million }

// Of is what a number prints as, rounded down to a millionth; false for what is negative, infinite, not a number or too large.
func Of(value float64) (Amount, bool) {
	if !(value >= 0 && value < 1e12) {
		return 0, false
	}
	return scaled(strconv.FormatFloat(math.Abs(value), 'f', -1, 64), 6)
}

// InUnits is a whole number in units of so many, rounded down to a millionth: bytes in units of 1,000,000,000 are gigabytes.
// False for what is negative, infinite, not a number or too large, and for units of nothing.
func InUnits(value float64, unit uint64) (Amount, bool) {
	if !(value >= 0 && value < 1e30) || unit == 0 {
		return 0, false
	}
	// The whole number is mantissa times 2^exponent, exactly.
	mantissa, exponent := uint64(value), 0
	if value >= 1<<63 {
		fraction, power := math.Frexp(value)
		mantissa, exponent = uint64(math.Ldexp(fraction, 53)), power-53
	}
	high, low := bits.Mul64(mantissa, million)
	if exponent > bits.LeadingZeros64(high) {
		return 0, false
	}
	high, low = high<<exponent|low>>(64-exponent), low<<exponent
	if high >= unit {
		return 0, false
	}
	quotient, _ := bits.Div64(high, low, unit)
	return Amount(quotient), quotient <= maxAmount
}

// Quantity reads a Kubernetes quantity such as 2, 0.5, 1500m, 16Gi, rounded down to a millionth.
func Quantity(text string) (Amount, bool) {
	unsigned := strings.TrimPrefix(text, "+")
	digits := strings.TrimRight(unsigned, "EGKMPTikmnu")
	suffix := unsigned[len(digits):]
	for power, known := range []string{"Ki", "Mi", "Gi", "Ti", "Pi"} {
		if suffix == known {
			amount, ok := scaled(digits, 6)
			high, low := bits.Mul64(uint64(amount), 1<<(10*(power+1)))
			return Amount(low), ok && high == 0 && low <= maxAmount
		}
	}
	places, ok := map[string]int{"n": -3, "u": 0, "m": 3, "": 6, "k": 9, "M": 12, "G": 15, "T": 18}[suffix]
	if !ok {
		return 0, false
	}
	return scaled(digits, places)
}

// scaled is the decimal times 10^places millionths, rounded down.
func scaled(decimal string, places int) (Amount, bool) {
	whole, fraction, _ := strings.Cut(decimal, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	kept := max(len(whole)+places, 0)
	for len(digits) < kept {
		digits += "0"
	}
	if kept == 0 {
		return 0, true
	}
	micros, err := strconv.ParseUint(digits[:kept], 10, 64)
	return Amount(micros), err == nil && micros <= maxAmount
}

// Plus is the sum; it stops at the most that can be reported.
func (a Amount) Plus(other Amount) Amount { return min(a+other, maxAmount) }

// String is the decimal of the interface, such as 812.250000.
func (a Amount) String() string { return fmt.Sprintf("%d.%06d", uint64(a)/million, uint64(a)%million) }
