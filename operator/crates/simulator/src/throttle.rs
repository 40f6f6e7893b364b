//! The call quota of an account in a region.

use std::collections::BTreeMap;

use jiff::Timestamp;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// A token bucket a key: as many calls at once as the rate, refilled evenly. AWS documents the rate and not the algorithm.
#[derive(Default, Debug)]
pub(crate) struct Throttle {
    buckets: BTreeMap<(String, String), Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// In millionths of a call.
    level: i64,
    at: Timestamp,
}

impl Throttle {
    /// Whether one more call is within the quota at `now`. A clock that goes back refills nothing.
    pub(crate) fn admit(&mut self, now: Timestamp, account: &str, region: &str, calls_a_second: u32) -> bool {
        if calls_a_second == 0 {
            return true;
        }
        let rate = i64::from(calls_a_second);
        let full = rate.saturating_mul(MICROS_PER_SECOND);
        let bucket = self
            .buckets
            .entry((account.to_owned(), region.to_owned()))
            .or_insert(Bucket { level: full, at: now });
        let passed = now.as_microsecond().saturating_sub(bucket.at.as_microsecond()).max(0);
        bucket.level = bucket.level.saturating_add(passed.saturating_mul(rate)).min(full);
        bucket.at = now;
        let admitted = bucket.level >= MICROS_PER_SECOND;
        if admitted {
            bucket.level -= MICROS_PER_SECOND;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_its_calls_a_second_in_each_region() {
        let mut throttle = Throttle::default();
        let start: Timestamp = "2026-11-21T14:00:00Z".parse().unwrap();
        let later = |millis| start + jiff::SignedDuration::from_millis(millis);
        assert!((0..10).all(|_| throttle.admit(start, "a", "r", 10)));
        assert!(!throttle.admit(start, "a", "r", 10));
        assert!(throttle.admit(start, "a", "other", 10));
        assert!(throttle.admit(start, "b", "r", 10));
        assert!(!throttle.admit(later(99), "a", "r", 10));
        assert!(throttle.admit(later(100), "a", "r", 10));
        assert!(!throttle.admit(later(50), "a", "r", 10));
        assert!((0..10).all(|_| throttle.admit(later(9_000), "a", "r", 10)));
        assert!(!throttle.admit(later(9_000), "a", "r", 10));
    }
}
