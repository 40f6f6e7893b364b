//! How fast AWS may be called: one pace for all senders that share a quota, kept below it in every second.
//!
//! Take a turn *before* the claim is written: a claimed record that waits in line is in doubt if the process dies there.
//! Nothing is retried here; a turn is one call.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;

/// Calls of `MeterUsage` that AWS takes in one second from one account in one region (AWS Marketplace Metering Service quotas). The
/// account is the buyer's, so other vendors' products there draw on it too.
pub const METER_USAGE_PER_SECOND: u32 = 10;

/// The part of a quota that is used, in percent: the rest is for other callers and for calls that the network bunches up.
pub const SHARE_PERCENT: u32 = 95;

/// Hands out turns, one after another and evenly spaced, so that no second holds more than its share of the quota.
///
/// Spacing instead of a bucket: a full bucket plus its refill exceeds the quota in the second of the burst.
pub struct Pace {
    clock: Arc<dyn Clock>,
    spacing: SignedDuration,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    /// The next turn is not before this.
    next: Option<Timestamp>,
    /// Who waits, first come first.
    waiting: BTreeSet<u64>,
    last_ticket: u64,
}

impl Pace {
    /// The pace of `MeterUsage`: nine turns in a second.
    pub fn meter_usage(clock: Arc<dyn Clock>) -> Self {
        Self::new(clock, METER_USAGE_PER_SECOND)
    }

    /// At most [`SHARE_PERCENT`] of `quota` calls in any one second, rounded down; at least one.
    pub fn new(clock: Arc<dyn Clock>, quota: u32) -> Self {
        let turns = (u64::from(quota) * u64::from(SHARE_PERCENT) / 100).max(1);
        // Rounded up, and never a divisor of the second: as many spacings as turns are longer than one second.
        let spacing = i64::try_from(1_000_000_000 / turns + 1).unwrap_or(i64::MAX);
        let spacing = SignedDuration::from_nanos(spacing);
        // Whoever had the quota before, such as the last process of this pod, may have called just now.
        let next = Some(later(clock.now(), spacing, 1));
        Self { clock, spacing, line: Mutex::new(Line { next, ..Line::default() }) }
    }

    /// Returns when the caller may make one call. In the order of asking; a caller that gives up (drops the future) leaves the line.
    pub async fn turn(&self) {
        let place = Place::take(self);
        while let Some(moment) = self.advance(place.ticket) {
            self.clock.sleep_until(moment).await;
        }
    }

    /// A call leaves now, some time after its turn came: the next turn keeps its distance from the call.
    pub fn called(&self) {
        let after = later(self.clock.now(), self.spacing, 1);
        let mut line = self.line();
        line.next = line.next.max(Some(after));
    }

    /// Takes the turn if it has come, else says when to look again: always later than now, so that nobody spins.
    fn advance(&self, ticket: u64) -> Option<Timestamp> {
        let now = self.clock.now();
        let mut line = self.line();
        let after = later(now, self.spacing, 1);
        // A clock that was set back must not stop billing until it has caught up: no turn is further off than one spacing.
        let next = line.next.map_or(now, |next| next.min(after));
        line.next = Some(next);
        let ahead = line.waiting.range(..ticket).count();
        if ahead == 0 && next <= now {
            line.waiting.remove(&ticket);
            line.next = Some(after);
            return None;
        }
        Some(later(next.max(now), self.spacing, ahead))
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `count` spacings after `moment`; the end of time if that is past it.
fn later(moment: Timestamp, spacing: SignedDuration, count: usize) -> Timestamp {
    let wait = i32::try_from(count).ok().and_then(|count| spacing.checked_mul(count));
    wait.and_then(|wait| moment.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}

/// A place in the line, given up when dropped.
struct Place<'a> {
    pace: &'a Pace,
    ticket: u64,
}

impl<'a> Place<'a> {
    fn take(pace: &'a Pace) -> Self {
        let mut line = pace.line();
        line.last_ticket += 1;
        let ticket = line.last_ticket;
        line.waiting.insert(ticket);
        Self { pace, ticket }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pace.line().waiting.remove(&self.ticket);
    }
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
