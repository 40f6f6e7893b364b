//! Months as statements cover them: UTC, named like 2026-11.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hour::BillingHour;

/// One month. Counted from year 0, so that months can be compared and subtracted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Month(i32);

/// Why a text does not name a month.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a month such as 2026-11")]
pub struct InvalidMonth(String);

impl Month {
    /// The month that holds this hour.
    pub fn of(hour: BillingHour) -> Self {
        let date = hour.start().to_zoned(jiff::tz::TimeZone::UTC).date();
        Self(i32::from(date.year()) * 12 + i32::from(date.month()) - 1)
    }

    /// The month this many months before.
    pub const fn before(self, months: u32) -> Self {
        Self(self.0.saturating_sub_unsigned(months))
    }

    /// As in the names of statements: `202611`.
    pub fn compact(self) -> String {
        format!("{:04}{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

/// The day of an hour in UTC, such as 2026-11-21.
pub fn day_of(hour: BillingHour) -> String {
    hour.start().strftime("%Y-%m-%d").to_string()
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

impl FromStr for Month {
    type Err = InvalidMonth;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let month = text.split_once('-').filter(|(year, month)| {
            let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            year.len() == 4 && month.len() == 2 && is_number(year) && is_number(month)
        });
        month
            .and_then(|(year, month)| Some((year.parse::<i32>().ok()?, month.parse::<i32>().ok()?)))
            .filter(|(_, month)| (1..=12).contains(month))
            .map(|(year, month)| Self(year * 12 + month - 1))
            .ok_or_else(|| InvalidMonth(text.chars().take(40).collect()))
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_that_of_its_hours_in_utc() {
        let last: BillingHour = "2026-12-31T23:00:00Z".parse().unwrap();
        let month = Month::of(last);
        assert_eq!((month.to_string(), month.compact()), ("2026-12".to_owned(), "202612".to_owned()));
        assert_eq!(Month::of(last.next()).to_string(), "2027-01");
        assert_eq!(Month::of(last.next()).before(13).to_string(), "2025-12");
        assert_eq!(month.to_string().parse(), Ok(month));
        assert_eq!(day_of(last), "2026-12-31");
    }

    #[test]
    fn what_is_no_month_is_refused() {
        for text in ["", "2026", "2026-13", "2026-00", "26-11", "2026-1", "2026-11-01", "+026-11"] {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
    }
}
