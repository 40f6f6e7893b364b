//! How long to wait before trying again what has just failed.

use std::{collections::BTreeMap, hash::Hash};

use jiff::{SignedDuration, Timestamp};

/// First wait. AWS's throttle is per second, so one that hits it is over by then.
const FIRST: SignedDuration = SignedDuration::from_secs(2);

/// Longest wait: an outage that ends is noticed within five minutes, which six hours of window bear easily.
const LONGEST: SignedDuration = SignedDuration::from_mins(5);

/// Waits that double with every failure of the same thing in a row.
#[derive(Debug)]
pub struct Backoff<K> {
    waits: BTreeMap<K, Wait>,
}

#[derive(Debug, Clone, Copy)]
struct Wait {
    length: SignedDuration,
    until: Timestamp,
}

impl<K: Ord + Clone + Hash> Default for Backoff<K> {
    fn default() -> Self {
        Self { waits: BTreeMap::new() }
    }
}

impl<K: Ord + Clone + Hash> Backoff<K> {
    /// Notes a failure and returns when to try again.
    pub fn failed(&mut self, key: &K, now: Timestamp) -> Timestamp {
        let length = self.waits.get(key).map_or(FIRST, |wait| {
            SignedDuration::from_secs(wait.length.as_secs().saturating_mul(2)).min(LONGEST)
        });
        // A few tenths that differ from key to key keep what failed together from coming back together.
        let spread = SignedDuration::from_millis(spread(key) * length.as_secs().max(1) / 4);
        let until = now + length + spread;
        self.waits.insert(key.clone(), Wait { length, until });
        until
    }

    /// Notes a success.
    pub fn succeeded(&mut self, key: &K) {
        self.waits.remove(key);
    }

    /// Until when to leave it alone, if that is in the future.
    pub fn waits_until(&self, key: &K, now: Timestamp) -> Option<Timestamp> {
        self.waits.get(key).map(|wait| wait.until).filter(|until| *until > now)
    }
}

/// 0 to 999 milliseconds, the same for the same key.
fn spread<K: Hash>(key: &K) -> i64 {
    use std::hash::{DefaultHasher, Hasher as _};
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    i64::try_from(hasher.finish() % 1000).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_end_with_a_success() {
        let mut backoff = Backoff::default();
        let now: Timestamp = "2026-11-21T14:00:00Z".parse().unwrap();
        let first = backoff.failed(&"a", now).duration_since(now);
        let second = backoff.failed(&"a", now).duration_since(now);
        assert!(first >= FIRST && second >= FIRST * 2, "{first} {second}");
        for _ in 0..20 {
            backoff.failed(&"a", now);
        }
        let longest = backoff.failed(&"a", now).duration_since(now);
        assert!(longest >= LONGEST && longest <= LONGEST * 3 / 2, "{longest}");
        assert_eq!(backoff.waits_until(&"b", now), None);
        backoff.succeeded(&"a");
        assert_eq!(backoff.waits_until(&"a", now), None);
    }
}
