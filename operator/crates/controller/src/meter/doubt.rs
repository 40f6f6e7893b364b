//! What time it is: an hour is over only when this process and the store of the checkpoints agree that it is.
//!
//! A node whose clock is ahead would seal an hour that still runs, and AWS keeps the first number that it is told.

use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::checkpoint::Saved;

use super::{Finding, House, Meter, RETRY};

/// Clocks of a healthy cluster agree to well below a second; the API server tells whole seconds, and a write may take ten.
/// Half of the settle time after an hour's end.
pub(super) const TOLERANCE: SignedDuration = SignedDuration::from_secs(150);

/// What a save told about the time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SecondOpinion {
    /// When it was asked, by the clock of this process.
    asked: Timestamp,
    /// How far this process is ahead of the store; zero where the store does not tell.
    ahead: SignedDuration,
}

impl SecondOpinion {
    pub(super) fn new(asked: Timestamp, answered: Timestamp, saved: Saved) -> Self {
        // The store's moment lies between question and answer.
        let ahead = saved.at.map_or(SignedDuration::ZERO, |at| {
            if at < asked {
                asked.duration_since(at)
            } else {
                answered.duration_since(at).min(SignedDuration::ZERO)
            }
        });
        Self { asked, ahead }
    }

    fn agrees(self) -> bool {
        self.ahead.abs() <= TOLERANCE
    }
}

impl Meter {
    /// Whether the time can be trusted now: the store has been asked in this very turn and agrees.
    pub(super) async fn is_sure_of_the_time(&mut self, house: &House, now: Timestamp) -> bool {
        if self.second_opinion.is_none_or(|opinion| opinion.asked != now) {
            self.bindings
                .values_mut()
                .filter(|metered| metered.restored)
                .for_each(|metered| metered.unsaved = true);
            let due = self.next_checkpoint;
            self.checkpoint(house, now).await;
            if self.findings.storage.is_none() {
                // The question does not stand in for the checkpoint that follows the tick.
                self.next_checkpoint = due;
            }
        }
        self.second_opinion.is_some_and(|opinion| opinion.asked == now && opinion.agrees())
    }

    /// Whether something is odd about the time, or nobody has been asked yet. What was measured before this process is
    /// written back on the way.
    pub(super) fn should_ask_for_the_time(&self, now: Timestamp) -> bool {
        let jumped = self.expected.is_some_and(|(last, next)| {
            now < last || next.checked_add(TOLERANCE).is_ok_and(|latest| now > latest)
        });
        let is_due = self.next_question().is_some_and(|due| now >= due);
        let can_ask = self.bindings.values().any(|metered| metered.restored);
        can_ask && (jumped || is_due || self.second_opinion.is_none())
    }

    /// Whether the last save has shown that the clock is wrong. Then nothing is measured: it would be another hour's.
    pub(super) fn doubts_the_time(&self) -> bool {
        self.second_opinion.is_some_and(|opinion| !opinion.agrees())
    }

    /// Notes what a save told.
    pub(super) fn note_opinion(&mut self, opinion: SecondOpinion) {
        if !opinion.agrees() {
            let finding = Finding {
                reason: "ClockSkewed",
                message: format!(
                    "this process's clock is {} min off from the API server's; nothing is measured or sealed until they agree (check the time synchronisation of the nodes)",
                    opinion.ahead.as_mins()
                ),
            };
            tracing::error!(product = %self.product.key, reason = finding.reason, message = finding.message, "the time is in doubt");
            self.findings.clock = Some(finding);
        } else {
            self.findings.clock = None;
        }
        self.second_opinion = Some(opinion);
    }

    /// When to ask again while the time is in doubt.
    pub(super) fn next_question(&self) -> Option<Timestamp> {
        self.second_opinion.filter(|opinion| !opinion.agrees()).map(|opinion| opinion.asked + RETRY * 4)
    }
}
