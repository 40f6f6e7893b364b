//! Hours as AWS Marketplace bills them: UTC, half-open `[h, h+1)`, named by their start.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, tz::Offset};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Seconds in an hour.
pub const HOUR_SECONDS: i64 = 3600;

/// One hour of usage. Built from any moment inside it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BillingHour(i64);

/// Why a text does not name a billing hour.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` does not name an hour in UTC, such as 2026-11-21T14:00:00Z")]
pub struct InvalidHour(String);

impl BillingHour {
    /// The hour that holds this moment.
    pub fn of(moment: Timestamp) -> Self {
        Self(moment.as_second().div_euclid(HOUR_SECONDS) * HOUR_SECONDS)
    }

    /// Its first moment.
    pub fn start(self) -> Timestamp {
        Timestamp::from_second(self.0).unwrap_or(Timestamp::MAX)
    }

    /// The first moment after it.
    pub fn end(self) -> Timestamp {
        self.next().start()
    }

    /// The hour after it.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(HOUR_SECONDS))
    }

    /// The hour before it.
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(HOUR_SECONDS))
    }

    /// As in the names of reports: `2026112114`.
    pub fn compact(self) -> String {
        let start = Offset::UTC.to_datetime(self.start());
        let day = i64::from(start.year()) * 10_000 + i64::from(start.month()) * 100 + i64::from(start.day());
        format!("{:010}", day * 100 + i64::from(start.hour()))
    }
}

impl fmt::Display for BillingHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.start().fmt(f)
    }
}

impl fmt::Debug for BillingHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for BillingHour {
    type Err = InvalidHour;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidHour(text.chars().take(40).collect());
        let moment: Timestamp = text.parse().map_err(|_| invalid())?;
        let hour = Self::of(moment);
        if hour.start() == moment { Ok(hour) } else { Err(invalid()) }
    }
}

impl Serialize for BillingHour {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BillingHour {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_holds_its_start_and_not_its_end() {
        let hour: BillingHour = "2026-11-21T14:00:00Z".parse().unwrap();
        assert_eq!(BillingHour::of("2026-11-21T14:59:59.999Z".parse().unwrap()), hour);
        assert_eq!(BillingHour::of(hour.end()), hour.next());
        assert_eq!(hour.next().previous(), hour);
        assert_eq!(hour.compact(), "2026112114");
        assert_eq!(hour.to_string(), "2026-11-21T14:00:00Z");
    }

    #[test]
    fn a_moment_inside_an_hour_does_not_name_it() {
        assert!("2026-11-21T14:00:01Z".parse::<BillingHour>().is_err());
        assert!("2026-11-21".parse::<BillingHour>().is_err());
    }
}
