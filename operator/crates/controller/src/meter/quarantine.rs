//! Leaves a plugin alone that keeps misbehaving, on a binding or while it is loaded: its calls would cost the ticks of others.
//!
//! Counters heal at the next successful tick; gauges are held for five intervals, as after any missed tick.

use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::plugin::PluginFailure;

use super::Finding;

/// The reason of ticks at which a plugin was left alone.
pub const QUARANTINED: &str = "PluginQuarantined";

/// Failures in a row that are borne. A gauge is held for five intervals, so up to here a plugin that recovers loses nothing.
const BORNE: u32 = 5;

/// The first rest, and the longest: every hour is given a chance.
const FIRST: SignedDuration = SignedDuration::from_mins(5);
const LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// How often in a row a plugin misbehaved, and until when it is left alone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Quarantine {
    failures: u32,
    until: Option<Timestamp>,
    last: String,
}

impl Quarantine {
    /// That it is left alone at `tick`, if it is. The tick at the end of a rest is tried.
    pub(crate) fn finding(&self, tick: Timestamp) -> Option<Finding> {
        let until = self.until.filter(|until| *until > tick)?;
        let Self { failures, last, .. } = self;
        let message = format!(
            "it misbehaved {failures} times in a row and is left alone until {until}; the last time: {last}"
        );
        Some(Finding { reason: QUARANTINED, message })
    }

    /// Notes a failure; each one past those that are borne doubles the rest.
    pub(crate) fn failed(&mut self, tick: Timestamp, failure: &PluginFailure) {
        self.failures = self.failures.saturating_add(1);
        self.last = failure.to_string();
        if let Some(beyond) = self.failures.checked_sub(BORNE) {
            let rest = (0..beyond.min(16)).fold(FIRST, |rest, _| (rest * 2).min(LONGEST));
            self.until = tick.checked_add(rest).ok();
        }
    }

    /// Notes a success, or a change that makes everything before it meaningless.
    pub(crate) fn end(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_begin_after_five_failures_and_double_up_to_an_hour() {
        let mut quarantine = Quarantine::default();
        let tick: Timestamp = "2026-11-21T14:00:00Z".parse().unwrap();
        let trap = PluginFailure::Trapped("unreachable".into());
        for _ in 0..BORNE - 1 {
            quarantine.failed(tick, &trap);
            assert_eq!(quarantine.finding(tick), None);
        }
        for minutes in [5, 10, 20, 40, 60, 60] {
            quarantine.failed(tick, &trap);
            let end = tick + SignedDuration::from_mins(minutes);
            let finding = quarantine.finding(end - SignedDuration::from_secs(1)).unwrap();
            assert!(finding.message.contains(&end.to_string()), "{}", finding.message);
            assert!(finding.message.ends_with("the plugin trapped: unreachable"), "{}", finding.message);
            assert_eq!(quarantine.finding(end), None);
        }
        quarantine.end();
        assert_eq!(quarantine.finding(tick), None);
    }
}
