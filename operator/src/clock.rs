//! The clocks of the process: the machine's, or the one that `TOLLKEEPER_TEST_CLOCK` describes.
//!
//! The only place that asks the operating system for the time.

use std::{str::FromStr, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::clock::Clock;

/// Sleeps are cut into pieces, so that a clock that is set forward is noticed within a minute.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

/// A clock that runs `scale` times as fast as the machine's and shows `virtual_start` when that shows `real_start`.
/// Several processes that are told the same three numbers share one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TestClock {
    real_start: f64,
    virtual_start: Timestamp,
    scale: f64,
}

/// Why a text does not describe a test clock.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error(
    "`{0}` is not a test clock: write REAL,VIRTUAL,SCALE with Unix seconds, an RFC 3339 time and a factor above 0, such as 1795312800.0,2026-11-21T14:58:00Z,360"
)]
pub(crate) struct InvalidTestClock(String);

impl FromStr for TestClock {
    type Err = InvalidTestClock;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = || {
            let mut parts = text.split(',').map(str::trim);
            let real_start: f64 = parts.next()?.parse().ok()?;
            let virtual_start = parts.next()?.parse().ok()?;
            let scale: f64 = parts.next()?.parse().ok()?;
            let is_usable =
                real_start.is_finite() && scale.is_finite() && scale > 0.0 && parts.next().is_none();
            is_usable.then_some(Self { real_start, virtual_start, scale })
        };
        parsed().ok_or_else(|| InvalidTestClock(text.to_owned()))
    }
}

impl TestClock {
    fn at(&self, real: Timestamp) -> Timestamp {
        let passed = (seconds(real) - self.real_start) * self.scale;
        SignedDuration::try_from_secs_f64(passed)
            .ok()
            .and_then(|passed| self.virtual_start.checked_add(passed).ok())
            .unwrap_or(Timestamp::MAX)
    }

    /// How long the machine's clock takes to show `moment` on this one.
    fn real_until(&self, moment: Timestamp) -> Duration {
        let left = seconds(moment) - seconds(self.now());
        Duration::try_from_secs_f64((left / self.scale).max(0.0)).unwrap_or(LONGEST_NAP)
    }
}

fn seconds(moment: Timestamp) -> f64 {
    moment.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}

#[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
fn machine_now() -> Timestamp {
    Timestamp::now()
}

#[allow(clippy::disallowed_methods, reason = "the one place that waits")]
async fn nap(length: Duration) {
    // A millisecond more, because a timer may fire in the last millisecond before its moment.
    tokio::time::sleep(length.min(LONGEST_NAP) + Duration::from_millis(1)).await;
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        machine_now()
    }

    async fn sleep_until(&self, moment: Timestamp) {
        while self.now() < moment {
            nap(moment.duration_since(self.now()).unsigned_abs()).await;
        }
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.at(machine_now())
    }

    async fn sleep_until(&self, moment: Timestamp) {
        while self.now() < moment {
            nap(self.real_until(moment)).await;
        }
    }
}

/// The clock that the process lives by.
pub(crate) fn of_process(test_clock: Option<TestClock>) -> Arc<dyn Clock> {
    match test_clock {
        Some(clock) => Arc::new(clock),
        None => Arc::new(SystemClock),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_clock_shows_the_same_time_in_every_process() {
        let clock: TestClock = "1795312800.0,2026-11-21T14:58:00Z,360".parse().unwrap();
        let real = Timestamp::from_second(1_795_312_810).unwrap();
        assert_eq!(clock.at(real).to_string(), "2026-11-21T15:58:00Z");
    }

    #[test]
    fn a_text_that_is_no_test_clock_is_refused_with_an_example() {
        for text in
            ["", "1,2", "x,2026-11-21T14:58:00Z,1", "1,2026-11-21T14:58:00Z,0", "1,2026-11-21T14:58:00Z,1,1"]
        {
            let error = text.parse::<TestClock>().unwrap_err().to_string();
            assert!(error.contains("1795312800.0,2026-11-21T14:58:00Z,360"), "{error}");
        }
    }
}
