//! Whether the usage of a binding is settled, and whether a deleted one may go.
//!
//! A deleted binding waits until its last hours are sealed and every report that can hold its usage has its outcome, or
//! until AWS takes none of it any more.

use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::hour::BillingHour;

use super::observe::Observed;
use crate::{
    attention,
    conditions::{Verdict, Voice, find},
};

/// The condition.
pub const SETTLED: &str = "Settled";

/// AWS takes an hour's usage for six hours after it, and the hour itself may have just begun.
const WINDOW: SignedDuration = SignedDuration::from_hours(7);

/// An hour is usually settled within minutes of its end; one that is not after this long deserves a look.
const DELAY: SignedDuration = SignedDuration::from_hours(2);

/// Whether a deleted binding may go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Departure {
    /// Not yet.
    Wait {
        /// For what.
        verdict: Verdict,
        /// At the longest.
        until: Timestamp,
    },
    /// Now.
    Go {
        /// What to say about it.
        verdict: Verdict,
    },
}

/// What the condition says of a binding that stays; `None` where nothing new is known since the last time.
pub fn settled(observed: &Observed, now: Timestamp) -> Option<Verdict> {
    let Some(progress) = observed.known_progress() else {
        let message = "nothing of the product has been measured since Tollkeeper started";
        let is_new = find(observed.conditions(), SETTLED).is_none();
        return is_new.then(|| Verdict::unknown(SETTLED, "NotMetered", message));
    };
    let findings = progress.attention.iter().chain(&progress.unread).cloned().collect();
    if let Some(finding) = attention::joined(findings) {
        return Some(Verdict::fails(SETTLED, finding.reason, finding.message));
    }
    let late = progress.oldest_unsettled.filter(|hour| now > hour.end() + DELAY);
    Some(match (late, progress.unsettled) {
        (Some(hour), _) => Verdict::fails(
            SETTLED,
            "SettlementDelayed",
            format!("the usage of {hour} is not settled yet; see the UsageReport of that hour for why"),
        ),
        (None, 0) => Verdict::holds(SETTLED, SETTLED, "all sealed usage of the product has its outcome")
            .with_voice(Voice::Silent),
        (None, _) => {
            Verdict::waits(SETTLED, "Settling", "the usage of the last hours is being submitted to AWS")
        }
    })
}

/// Why usage of the binding may not be sealed yet.
pub fn open_hours(observed: &Observed) -> Option<(&'static str, String)> {
    let product = observed.product.as_ref()?;
    if !product.is_to_be_metered {
        return None;
    }
    let key = &observed.subject.key;
    let progress = observed.progress.as_ref();
    match progress.and_then(|progress| progress.bindings.get(key)) {
        Some(binding) if binding.has_open_hours => {
            let hour = binding.last_hour.map(|hour| format!(" ({hour})")).unwrap_or_default();
            Some(("HoursOpen", format!("its last hour{hour} has not been sealed yet")))
        }
        Some(_) => None,
        // It has been measured once, and the product's meter has not looked at it since the operator started.
        None if observed.has_checkpoint => Some((
            "MeterNotRunning",
            "the meter of its product does not run, so its last hours are not sealed".to_owned(),
        )),
        None => None,
    }
}

/// Whether a deleted binding may go.
pub fn departure(observed: &Observed, now: Timestamp) -> Departure {
    let seen = observed.subject.deletion_seen.unwrap_or(now);
    let until = seen + WINDOW;
    let Some((reason, what)) = obstacle(observed, seen) else {
        let verdict = Verdict::holds(SETTLED, SETTLED, "all usage of the binding has its outcome");
        return Departure::Go { verdict };
    };
    if now >= until {
        let message = format!("the binding goes although {what}: AWS takes that usage no more");
        return Departure::Go { verdict: Verdict::fails(SETTLED, "SettlementAbandoned", message) };
    }
    let message = format!("the deleted binding stays because {what}; it goes at {until} at the latest");
    Departure::Wait { verdict: Verdict::waits(SETTLED, reason, message).with_voice(Voice::Note), until }
}

fn obstacle(observed: &Observed, seen: Timestamp) -> Option<(&'static str, String)> {
    if observed.product.is_none() {
        return Some(("ProductUnknown", "its product cannot be read from it".to_owned()));
    }
    if let Some(open) = open_hours(observed) {
        return Some(open);
    }
    // It has no ticks after its deletion; the meter may have learned of that just after the hour's end.
    let last = BillingHour::of(seen).next();
    let hour = observed.unsettled.iter().find(|hour| **hour <= last)?;
    Some(("ReportsUnsettled", format!("the report of {hour} has not been settled yet")))
}
