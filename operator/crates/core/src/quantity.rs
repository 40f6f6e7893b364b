//! Exact amounts of usage.
//!
//! A quantity is a whole number of millionths and never negative. Nothing in the project measures
//! usage in floating point, so that anybody can check a bill by hand.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MICROS_PER_UNIT: u128 = 1_000_000;

/// Digits before the point that a plugin may report (`decimal` in `plugins/wit/meter.wit`).
const MAX_REPORTED_DIGITS: usize = 12;

/// Digits before the point of any stored quantity: sums of years of readings fit, and the sum of two cannot overflow.
const MAX_DIGITS: usize = 30;

/// The largest quantity that MeterUsage takes (API model: `UsageQuantity` is 0 to 2147483647).
pub const MAX_BILLABLE: u32 = 2_147_483_647;

/// An amount of usage in units of 10⁻⁶, zero or more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Quantity(u128);

/// Why a text is not a quantity.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a decimal of at most {1} digits and 6 decimal places, such as 812.25")]
pub struct InvalidQuantity(String, usize);

impl Quantity {
    /// No usage.
    pub const ZERO: Self = Self(0);

    /// From millionths of a unit.
    pub const fn from_micros(micros: u128) -> Self {
        Self(micros)
    }

    /// From whole units.
    pub const fn from_units(units: u32) -> Self {
        Self(units as u128 * MICROS_PER_UNIT)
    }

    /// From a decimal as a plugin reports it: `[0-9]{1,12}(\.[0-9]{1,6})?`.
    pub fn from_reported(text: &str) -> Result<Self, InvalidQuantity> {
        parse(text, MAX_REPORTED_DIGITS)
    }

    /// In millionths of a unit.
    pub const fn micros(self) -> u128 {
        self.0
    }

    /// Whether there is no usage at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whole units, rounded down; at most [`MAX_BILLABLE`].
    pub fn billable_floor(self) -> u32 {
        u32::try_from(self.0 / MICROS_PER_UNIT).map_or(MAX_BILLABLE, |units| units.min(MAX_BILLABLE))
    }

    /// The next whole unit down, if this is not one already.
    pub const fn rounded_down(self) -> Self {
        Self(self.0 / MICROS_PER_UNIT * MICROS_PER_UNIT)
    }

    /// The next whole unit up, if this is not one already.
    pub const fn rounded_up(self) -> Self {
        Self(self.0.div_ceil(MICROS_PER_UNIT) * MICROS_PER_UNIT)
    }

    /// The nearest whole unit; a half goes up.
    pub const fn rounded_half_up(self) -> Self {
        Self((self.0 + MICROS_PER_UNIT / 2) / MICROS_PER_UNIT * MICROS_PER_UNIT)
    }

    /// What remains after taking `other` away, or zero.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

fn parse(text: &str, max_digits: usize) -> Result<Quantity, InvalidQuantity> {
    let invalid = || InvalidQuantity(text.chars().take(40).collect(), max_digits);
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if (1..=6).contains(&fraction.len()) => (whole, fraction),
        Some(_) => return Err(invalid()),
        None => (text, ""),
    };
    let all_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if !all_digits || whole.is_empty() || whole.len() > max_digits {
        return Err(invalid());
    }
    format!("{whole}{fraction:0<6}").parse().map(Quantity).map_err(|_| invalid())
}

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, MAX_DIGITS)
    }
}

/// Always with six decimal places: `812.250000`.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / MICROS_PER_UNIT, self.0 % MICROS_PER_UNIT)
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_reported_decimal_has_at_most_twelve_digits_and_six_places() {
        assert_eq!(Quantity::from_reported("812.25").unwrap().to_string(), "812.250000");
        assert_eq!(Quantity::from_reported("007").unwrap(), Quantity::from_units(7));
        for text in
            ["", ".", "1.", ".5", "-1", "+1", "1e3", "NaN", "1.1234567", "1234567890123", "1,5", " 1", "١"]
        {
            assert!(Quantity::from_reported(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn a_quantity_above_the_limit_of_aws_is_billed_up_to_the_limit() {
        let huge: Quantity = "2147483652".parse().unwrap();
        assert_eq!(huge.billable_floor(), MAX_BILLABLE);
    }

    #[test]
    fn halves_round_up() {
        let half: Quantity = "2.5".parse().unwrap();
        let less: Quantity = "2.499999".parse().unwrap();
        assert_eq!(half.rounded_half_up(), Quantity::from_units(3));
        assert_eq!(less.rounded_half_up(), Quantity::from_units(2));
        assert_eq!(less.rounded_up(), Quantity::from_units(3));
        assert_eq!(Quantity::from_units(2).rounded_up(), Quantity::from_units(2));
    }

    proptest! {
        #[test]
        fn printing_and_parsing_a_quantity_changes_nothing(micros in 0u128..=10u128.pow(36) - 1) {
            let quantity = Quantity::from_micros(micros);
            prop_assert_eq!(quantity.to_string().parse::<Quantity>().unwrap(), quantity);
        }
    }
}
