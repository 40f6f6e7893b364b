//! Exact amounts in millionths. No floating point: what a buyer pays can be added up by hand.

use std::{fmt, iter::Sum, ops::Add};

/// Millionths of a unit, from 0 to 999999999999.999999. Sums stop there; the host takes no more digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Amount(u64);

const MILLION: u64 = 1_000_000;

/// The most that can be reported: 12 digits before the point.
const MAX: u64 = 999_999_999_999_999_999;

impl Amount {
    /// Whole units.
    pub const fn units(units: u32) -> Self {
        Self(units as u64 * MILLION)
    }

    /// What a number prints as, rounded down to a millionth. `None` for what is negative, infinite, not a number or too large.
    pub fn of(value: f64) -> Option<Self> {
        if !(0.0..1e12).contains(&value) {
            return None;
        }
        // Not the sign of -0.
        scaled(&value.abs().to_string(), 6)
    }

    /// A whole number in units of so many, rounded down to a millionth: bytes in units of 1,000,000,000 are gigabytes.
    /// `None` for what is negative, infinite, not a number or too large, and for units of nothing.
    pub fn in_units(value: f64, unit: u64) -> Option<Self> {
        if value.is_nan() || value < 0.0 {
            return None;
        }
        // Whole numbers convert exactly; above 2⁵³ the number itself has lost single ones.
        let micros = (value as u128).checked_mul(u128::from(MILLION))?.checked_div(u128::from(unit))?;
        u64::try_from(micros).ok().filter(|micros| *micros <= MAX).map(Self)
    }

    /// A Kubernetes quantity such as `2`, `0.5`, `1500m`, `16Gi`, rounded down to a millionth.
    pub fn quantity(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        let digits = unsigned.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let suffix = unsigned.get(digits.len()..)?;
        if let Some(power) = ["Ki", "Mi", "Gi", "Ti", "Pi"].iter().position(|known| *known == suffix) {
            let factor = 1u128 << (10 * (power + 1));
            let Self(micros) = scaled(digits, 6)?;
            let micros = u128::from(micros).checked_mul(factor)?;
            return u64::try_from(micros).ok().filter(|micros| *micros <= MAX).map(Self);
        }
        let places = match suffix {
            "n" => -3,
            "u" => 0,
            "m" => 3,
            "" => 6,
            "k" => 9,
            "M" => 12,
            "G" => 15,
            "T" => 18,
            _ => return None,
        };
        scaled(digits, places)
    }
}

/// The decimal `digits` times 10^`places` millionths, rounded down.
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
        write!(f, "{}.{:06}", self.0 / MILLION, self.0 % MILLION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same table in every SDK: function, argument, result.
    const AMOUNTS: &str = include_str!("../amounts.tsv");

    #[test]
    fn amounts_are_those_of_every_sdk() {
        let mut seen = 0;
        for line in AMOUNTS.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = line.split('\t').collect();
            let [function, argument, expected] = columns[..] else { panic!("{line}") };
            let number = || argument.parse::<f64>().unwrap();
            let found = match function {
                "of" => Amount::of(number()),
                "gigabytes" => Amount::in_units(number(), 1_000_000_000),
                "quantity" => Amount::quantity(argument),
                other => panic!("{other}"),
            };
            assert_eq!(found.map_or("-".to_owned(), |amount| amount.to_string()), expected, "{line}");
            seen += 1;
        }
        assert!(seen > 30, "only {seen} lines");
    }

    #[test]
    fn a_sum_stops_at_the_most_that_can_be_reported() {
        let most = Amount::of(999_999_999_999.0).unwrap();
        assert_eq!([most, most].into_iter().sum::<Amount>().to_string(), "999999999999.999999");
    }
}
