//! Settles sealed reports: claim, send, write down what became of it. Earliest deadline first.
//!
//! Nothing is sent before its claim is durable; what is sent was decided in the core. An outcome that could not be
//! written down is kept and written first; if the process dies before, its pod sends the identical request again.

mod act;
mod drive;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::{
    clock::Clock,
    identity::ObjectKey,
    ledger::{Entry, Ledger, LedgerError},
    metering::{Metering, Outcome},
    pace::Pace,
    plan::submission::{self, Sender},
    product::{AmbiguousPolicy, LatePolicy, Policy},
    settlement::{Attempt, Phase, RecordState},
};

pub use self::drive::run;
use crate::backoff::Backoff;

/// How often the ledger is looked through when nothing calls for it earlier: seals are, so this only has to find what a
/// person or another process has changed.
const SCAN_INTERVAL: SignedDuration = SignedDuration::from_secs(30);

/// What settling works with.
#[derive(Clone)]
pub struct Teller {
    /// The present moment.
    pub clock: Arc<dyn Clock>,
    /// The reports.
    pub ledger: Arc<dyn Ledger>,
    /// AWS.
    pub metering: Arc<dyn Metering>,
    /// How fast AWS may be called.
    pub pace: Arc<Pace>,
    /// Whether this process may still send.
    pub term: Arc<dyn Term>,
}

/// A term of leadership, as far as its holder can know without asking anybody.
pub trait Term: Send + Sync {
    /// Whether it still lasts. Asked right before every send: what is being sent is finished, nothing else is started.
    fn is_current(&self) -> bool;
}

/// A term without an end: for a process that has no rival.
pub struct Endless;

impl Term for Endless {
    fn is_current(&self) -> bool {
        true
    }
}

/// Policies by product. Reports of products that are gone are settled with caution.
pub type Policies = BTreeMap<ObjectKey, Policy>;

/// For reports whose product is gone: never bill twice, and let a person decide about what came too late.
const CAUTIOUS: Policy = Policy { ambiguous: AmbiguousPolicy::NeverDoubleBill, late: LatePolicy::Hold };

/// The outcome of one attempt.
#[derive(Clone, PartialEq, Debug)]
struct Answer {
    outcome: Outcome,
    attempt: Attempt,
}

/// Settles the reports of all products.
pub struct Settler {
    sender: Sender,
    backoff: Backoff<ObjectKey>,
    /// Outcomes that are not written down yet, by report and record.
    unwritten: BTreeMap<ObjectKey, BTreeMap<usize, Answer>>,
    problem: Option<LedgerError>,
}

/// What a turn has come to.
#[derive(Clone, PartialEq, Debug)]
pub struct Turn {
    /// When to come back.
    pub next: Timestamp,
    /// The reports that are not `Settled`, as they are now, earliest deadline first.
    pub open: Vec<Entry>,
    /// Reports that changed, as they are now.
    pub changed: Vec<Entry>,
}

impl Settler {
    /// One that sends as this pod.
    pub fn new(sender: Sender) -> Self {
        Self { sender, backoff: Backoff::default(), unwritten: BTreeMap::new(), problem: None }
    }

    /// Sends on under another epoch of the lease.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.sender.epoch = epoch;
    }

    /// Why the last turn could not do all of its work.
    pub fn problem(&self) -> Option<&LedgerError> {
        self.problem.as_ref()
    }

    /// Does what can be done now for every report that is not settled.
    pub async fn turn(&mut self, teller: &Teller, policies: &Policies) -> Turn {
        let now = teller.clock.now();
        self.problem = None;
        let entries = match teller.ledger.scan_unsettled().await {
            Ok(entries) => entries,
            Err(error) => {
                tracing::error!(reason = error.reason(), %error, "the ledger cannot be read");
                self.problem = Some(error);
                return Turn { next: now + SCAN_INTERVAL, open: vec![], changed: vec![] };
            }
        };
        let mut turn = Turn { next: now + SCAN_INTERVAL, open: vec![], changed: vec![] };
        for entry in entries {
            let key = entry.key();
            let policy = policies.get(&entry.product()).copied().unwrap_or(CAUTIOUS);
            if !teller.term.is_current() {
                turn.open.push(entry);
                continue;
            }
            if let Some(until) = self.backoff.waits_until(&key, teller.clock.now()) {
                turn.next = turn.next.min(until);
                turn.open.push(entry);
                continue;
            }
            let before = entry.clone();
            let after = match self.settle(teller, entry, policy).await {
                Ok(after) => after,
                Err(error) => {
                    tracing::warn!(report = %key, reason = error.reason(), %error, "not settled yet");
                    turn.next = turn.next.min(self.backoff.failed(&key, teller.clock.now()));
                    turn.open.push(before);
                    self.problem = Some(error);
                    continue;
                }
            };
            if is_waiting_for_an_answer(&after) {
                turn.next = turn.next.min(self.backoff.failed(&key, teller.clock.now()));
            } else {
                self.backoff.succeeded(&key);
            }
            if after != before {
                turn.changed.push(after.clone());
            }
            if after.settlement.phase() != Phase::Settled {
                turn.open.push(after);
            }
        }
        turn
    }

    async fn settle(&mut self, teller: &Teller, entry: Entry, policy: Policy) -> Result<Entry, LedgerError> {
        let entry = self.write_down(teller, entry).await?;
        let plan = submission::plan(&entry, &self.sender, policy, teller.clock.now());
        self.act(teller, entry, plan).await
    }
}

/// Whether a record was sent and is neither taken nor refused, or was refused for now.
fn is_waiting_for_an_answer(entry: &Entry) -> bool {
    entry
        .settlement
        .records
        .iter()
        .any(|record| matches!(record.state, RecordState::Sending | RecordState::Sealed))
}
