//! Settles sealed reports: claim, send, write down what became of it. Earliest deadline first.
//!
//! Nothing is sent before its claim is durable; what is sent was decided in the core. An outcome that could not be
//! written down is kept and written first; if the process dies before, its pod sends the identical request again.

mod act;
mod drive;
mod rollback;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::{
    audit::Violation,
    clock::Clock,
    guard::{Breaches, Guard},
    identity::ObjectKey,
    ledger::{Damage, Entry, Ledger, LedgerError},
    mark::Marks,
    metering::{Metering, Outcome},
    pace::Pace,
    plan::submission::{self, Sender},
    product::{AmbiguousPolicy, LatePolicy, Policy},
    settlement::{Attempt, Claim, Phase, RecordState},
};

pub use self::drive::run;
use crate::{attention::INVARIANT_BROKEN, backoff::Backoff};

/// How often the ledger is looked through when nothing calls for it earlier: seals are, so this only has to find what a
/// person or another process has changed.
const SCAN_INTERVAL: SignedDuration = SignedDuration::from_secs(30);

/// How long a later claim of another pod is believed: a lease that was really lost ends this process's term in 15 s.
const SUPERSEDED_FOR: SignedDuration = SignedDuration::from_secs(120);

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
    /// What is known to have been sent, whatever the ledger says.
    pub marks: Arc<dyn Marks>,
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

/// What every product has decided in advance. Reports of products that are gone are settled with caution.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Policies {
    products: BTreeMap<ObjectKey, Policy>,
    /// Namespaces whose products have not been seen.
    unseen: BTreeSet<String>,
}

impl Policies {
    /// The same, with namespaces of whose products nobody knows whether they are gone: their reports are left alone.
    #[must_use]
    pub fn without(self, unseen: impl IntoIterator<Item = String>) -> Self {
        Self { unseen: unseen.into_iter().collect(), ..self }
    }

    fn products(&self) -> impl Iterator<Item = &ObjectKey> {
        self.products.keys()
    }

    fn of(&self, product: &ObjectKey) -> Option<Policy> {
        let is_seen = !self.unseen.contains(&product.namespace);
        is_seen.then(|| self.products.get(product).copied().unwrap_or(CAUTIOUS))
    }
}

impl FromIterator<(ObjectKey, Policy)> for Policies {
    fn from_iter<T: IntoIterator<Item = (ObjectKey, Policy)>>(policies: T) -> Self {
        Self { products: policies.into_iter().collect(), unseen: BTreeSet::new() }
    }
}

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
    guard: Guard,
    /// Whether the epoch has been compared with those of the ledger's claims.
    knows_epochs: bool,
    /// Since when another pod's claim is of a later epoch.
    superseded_since: Option<Timestamp>,
    backoff: Backoff<ObjectKey>,
    /// Outcomes that are not written down yet, by report and record.
    unwritten: BTreeMap<ObjectKey, BTreeMap<usize, Answer>>,
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
    /// Why no report could be read.
    pub failure: Option<LedgerError>,
    /// Why the reports of single namespaces could not be read.
    pub unread: BTreeMap<String, LedgerError>,
}

impl Turn {
    fn new(now: Timestamp) -> Self {
        Self {
            next: now + SCAN_INTERVAL,
            open: vec![],
            changed: vec![],
            failure: None,
            unread: BTreeMap::new(),
        }
    }

    /// Why the reports of a product could not be read.
    fn unread(&self, product: &ObjectKey) -> Option<&LedgerError> {
        self.failure.as_ref().or_else(|| self.unread.get(&product.namespace))
    }
}

impl Settler {
    /// One that sends as this pod.
    pub fn new(sender: Sender) -> Self {
        Self {
            sender,
            guard: Guard::default(),
            knows_epochs: false,
            superseded_since: None,
            backoff: Backoff::default(),
            unwritten: BTreeMap::new(),
        }
    }

    /// The same, which halts what an earlier term of this process has halted.
    #[must_use]
    pub fn remembering(self, breaches: Breaches) -> Self {
        Self { guard: Guard::knowing(breaches), ..self }
    }

    /// Why nothing is sent for a product any more.
    pub fn breach(&self, product: &ObjectKey) -> Option<Violation> {
        self.guard.breach(product)
    }

    /// Does what can be done now for every report that is not settled.
    pub async fn turn(&mut self, teller: &Teller, policies: &Policies) -> Turn {
        let now = teller.clock.now();
        let mut turn = Turn::new(now);
        let scan = match teller.ledger.scan_unsettled().await {
            Ok(scan) => scan,
            Err(error) => {
                tracing::error!(reason = error.reason(), %error, "the ledger cannot be read");
                return Turn { failure: Some(error), ..turn };
            }
        };
        for (namespace, error) in &scan.unread {
            tracing::error!(namespace, reason = error.reason(), %error, "reports cannot be read");
        }
        turn.unread = scan.unread;
        self.condemn(&scan.damaged);
        let may_send = self.leads(&scan.open, now);
        for entry in scan.open {
            let key = entry.key();
            let may_act = may_send && teller.term.is_current();
            let Some(policy) = policies.of(&entry.product()).filter(|_| may_act) else {
                turn.open.push(entry);
                continue;
            };
            if let Some(until) = self.backoff.waits_until(&key, teller.clock.now()) {
                turn.next = turn.next.min(until);
                turn.open.push(entry);
                continue;
            }
            let after = match self.settle(teller, &entry, policy).await {
                Ok(None) => entry,
                Ok(Some(after)) => {
                    if after != entry {
                        turn.changed.push(after.clone());
                    }
                    after
                }
                Err(error) => {
                    tracing::warn!(report = %key, reason = error.reason(), %error, "not settled yet");
                    turn.next = turn.next.min(self.backoff.failed(&key, teller.clock.now()));
                    turn.open.push(entry);
                    continue;
                }
            };
            if is_waiting_for_an_answer(&after) {
                turn.next = turn.next.min(self.backoff.failed(&key, teller.clock.now()));
            } else {
                self.backoff.succeeded(&key);
            }
            if after.settlement.phase() != Phase::Settled {
                turn.open.push(after);
            }
        }
        turn
    }

    fn condemn(&mut self, damaged: &[Damage]) {
        for damage in damaged.iter().filter(|damage| self.guard.condemn(damage)) {
            let Damage { report, problem, .. } = damage;
            tracing::error!(%report, reason = INVARIANT_BROKEN, problem, "nothing is sent for its product");
        }
    }

    /// Whether no claim of another pod is of a later epoch. A process that starts takes at least the epoch of the newest
    /// claim, and so does one whose lease lasts although a later claim is there: the lease's count starts anew when somebody
    /// deletes it, and a mistake in it must not stop the sending for ever.
    fn leads(&mut self, entries: &[Entry], now: Timestamp) -> bool {
        let claims = entries
            .iter()
            .flat_map(|entry| &entry.settlement.records)
            .filter_map(|record| record.claim.as_ref());
        let is_later = |claim: &&Claim| claim.pod != self.sender.pod && claim.epoch > self.sender.epoch;
        let Some(newest) = (if self.knows_epochs {
            claims.filter(is_later).map(|claim| claim.epoch).max()
        } else {
            claims.map(|claim| claim.epoch).filter(|epoch| *epoch > self.sender.epoch).max()
        }) else {
            self.knows_epochs = true;
            self.superseded_since = None;
            return true;
        };
        let since = *self.superseded_since.get_or_insert(now);
        if self.knows_epochs && now.duration_since(since) < SUPERSEDED_FOR {
            tracing::warn!(
                newest,
                epoch = self.sender.epoch,
                "another pod has claimed in a later epoch; nothing is sent"
            );
            return false;
        }
        self.knows_epochs = true;
        self.superseded_since = None;
        self.sender.epoch = newest;
        true
    }

    /// The report after what could be done; `None` if it is as it was.
    async fn settle(
        &mut self,
        teller: &Teller,
        entry: &Entry,
        policy: Policy,
    ) -> Result<Option<Entry>, LedgerError> {
        let written = match self.unwritten.is_empty() {
            true => None,
            false => Some(self.write_down(teller, entry.clone()).await?),
        };
        let current = written.as_ref().unwrap_or(entry);
        let written = self.doubt(teller, current).await?.or(written);
        let current = written.as_ref().unwrap_or(entry);
        if let Err(breach) = self.guard.inspect(current, teller.clock.now()) {
            tracing::error!(report = %current.key(), reason = INVARIANT_BROKEN, %breach, "nothing is sent for its product");
            return Ok(written);
        }
        let plan = submission::plan(current, &self.sender, policy, teller.clock.now());
        if plan.is_empty() {
            return Ok(written);
        }
        let current = written.unwrap_or_else(|| entry.clone());
        self.act(teller, current, plan).await.map(Some)
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
