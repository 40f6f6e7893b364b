//! Exact amounts in millionths. No floating point: what a buyer pays can be added up by hand.

use std::{fmt, iter::Sum, ops::Add};

/// Millionths of a unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Amount(u64);

/// The most that can be reported: 12 digits before the point.
const MAX: u64 = 999_999_999_999_999_999;

/// Bytes in a millionth of a gigabyte (10⁹ bytes, as storage is sold).
const BYTES_PER_MICRO: u128 = 1_000;

impl Amount {
    /// Whole units.
    pub fn units(units: u32) -> Self {
        Self(u64::from(units) * 1_000_000)
    }

    /// Cores, from a Kubernetes quantity such as `2`, `0.5`, `1500m`; smaller suffixes are rounded down to a millionth.
    pub fn cores(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        // What the digits after a suffix's point are worth, as a power of ten of a millionth.
        let (digits, places) = match unsigned.char_indices().next_back()? {
            (at, 'n') => (&unsigned[..at], -3),
            (at, 'u') => (&unsigned[..at], 0),
            (at, 'm') => (&unsigned[..at], 3),
            (at, 'k') => (&unsigned[..at], 9),
            _ => (unsigned, 6),
        };
        scaled(digits, places)
    }

    /// Gigabytes, from a counter of bytes. `None` for what no counter says: negative, infinite, not a number, absurd.
    pub fn gigabytes(bytes: f64) -> Option<Self> {
        // Whole bytes convert exactly (above 2⁵³ the counter itself has lost single ones); the rest is integers.
        let micros = bytes as u128 / BYTES_PER_MICRO;
        let micros = u64::try_from(micros).ok().filter(|micros| *micros <= MAX)?;
        (bytes >= 0.0).then_some(Self(micros))
    }
}

/// The decimal `digits` times 10^`places`, rounded down.
fn scaled(digits: &str, places: i32) -> Option<Amount> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = || whole.bytes().chain(fraction.bytes());
    if all().next().is_none() || !all().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = i32::try_from(whole.len()).ok()? + places;
    let mut micros: u64 = 0;
    for digit in all().chain(std::iter::repeat(b'0')).take(usize::try_from(kept.max(0)).ok()?) {
        micros = micros.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    (micros <= MAX).then_some(Amount(micros))
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0).min(MAX))
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

/// As `decimal` in the interface: `812.250000`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cores(text: &str) -> Option<String> {
        Amount::cores(text).map(|amount| amount.to_string())
    }

    #[test]
    fn cores_read_as_in_kubernetes() {
        for (text, expected) in [
            ("2", "2.000000"),
            ("0.5", "0.500000"),
            (".5", "0.500000"),
            ("1.", "1.000000"),
            ("1500m", "1.500000"),
            ("0.1m", "0.000100"),
            ("250u", "0.000250"),
            ("1999n", "0.000001"),
            ("1k", "1000.000000"),
            ("0.1234567", "0.123456"),
            ("+3", "3.000000"),
            ("0", "0.000000"),
        ] {
            assert_eq!(cores(text).as_deref(), Some(expected), "{text}");
        }
        for text in
            ["", "m", "-1", "1e3x", "one", "1.2.3", "1 ", "1000000000000", "99999999999999999999999", "é"]
        {
            assert_eq!(cores(text), None, "{text}");
        }
    }

    #[test]
    fn bytes_become_gigabytes_without_rounding_up() {
        for (bytes, expected) in [
            (0.0, "0.000000"),
            (999.0, "0.000000"),
            (1_000.0, "0.000001"),
            (1_234_567_890_123.0, "1234.567890"),
            (9_007_199_254_740_991.0, "9007199.254740"),
        ] {
            assert_eq!(Amount::gigabytes(bytes).unwrap().to_string(), expected);
        }
        for bytes in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e22] {
            assert_eq!(Amount::gigabytes(bytes), None, "{bytes}");
        }
    }
}
