//! The invariants, looked at in production before money moves.
//!
//! The state machine keeps them by construction; this is for what construction does not see: a hand that edits the ledger, a
//! restored backup, a mistake of ours. A breach halts the sending of its product until the process ends, and says why.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    audit::Violation,
    identity::{ClientToken, Digest, ObjectKey},
    ledger::{Damage, Entry},
    plan::submission::Sender,
    quantity::Quantity,
    report::{SealedRecord, SealedReport, canonical},
    settlement::{RecordState, RecordStatus, Settlement},
};

/// How long after its deadline a report is remembered: nothing is sent for it any more, and it must not come back to life
/// while a late answer is written down. One that waits for a person long after that is remembered from look to look, so that it
/// is not hashed at each of them.
const REMEMBERED_AFTER_DEADLINE: SignedDuration = SignedDuration::from_hours(1);

/// Products whose sending is halted, and why. Clones share: a process keeps them from one term of leadership to the next.
#[derive(Clone, Debug, Default)]
pub struct Breaches(Arc<Mutex<BTreeMap<ObjectKey, Violation>>>);

impl Breaches {
    fn of(&self, product: &ObjectKey) -> Option<Violation> {
        self.all().get(product).cloned()
    }

    /// Halts a product, unless it is. Whether that is news.
    fn halt(&self, product: ObjectKey, violation: Violation) -> bool {
        let mut all = self.all();
        let is_news = !all.contains_key(&product);
        all.entry(product).or_insert(violation);
        is_news
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Violation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches over what one process sends.
#[derive(Debug, Default)]
pub struct Guard {
    /// The digest of the first request of each slot that this process sent, and until when to remember it.
    requests: BTreeMap<ClientToken, (Digest, Timestamp)>,
    /// How each report was seen last.
    seen: BTreeMap<ObjectKey, Seen>,
    breaches: Breaches,
}

#[derive(Debug)]
struct Seen {
    version: String,
    report: SealedReport,
    settlement: Settlement,
    until: Timestamp,
}

impl Guard {
    /// One that goes by what the process has found broken before, too.
    pub fn knowing(breaches: Breaches) -> Self {
        Self { breaches, ..Self::default() }
    }

    /// Looks at a report as the ledger has it now. Once a breach is found, its product is halted.
    pub fn inspect(&mut self, entry: &Entry, now: Timestamp) -> Result<(), Violation> {
        self.check_halted(entry)?;
        let key = entry.key();
        // The same version is the same content: an hour that waits for AWS is looked at every few seconds.
        if self.seen.get(&key).is_some_and(|seen| seen.version == entry.version) {
            return Ok(());
        }
        self.forget(now);
        if now < entry.report.body.hour.end() {
            // Not for good: a clock that was set back is set right again.
            let message = "its hour is not over by this process's clock".to_owned();
            return Err(Violation { invariant: "Closed", report: key.to_string(), message });
        }
        let seen = self.seen.get(&key);
        let problem = problem(entry, seen).or_else(|| contradiction(entry, seen?));
        if let Some((invariant, message)) = problem {
            return Err(self.halt(entry, Violation { invariant, report: key.to_string(), message }));
        }
        let seen = Seen {
            version: entry.version.clone(),
            report: entry.report.clone(),
            settlement: entry.settlement.clone(),
            until: entry.report.deadline().max(now) + REMEMBERED_AFTER_DEADLINE,
        };
        self.seen.insert(key, seen);
        Ok(())
    }

    /// Whether a record may be sent now: it is claimed, by this very pod, in no later epoch than its own, and what is sent
    /// is what was sent before.
    pub fn permit(&mut self, entry: &Entry, record: &SealedRecord, sender: &Sender) -> Result<(), Violation> {
        self.check_halted(entry)?;
        let request = entry.report.request(record);
        let json = serde_json::to_value(&request).unwrap_or_default();
        let digest = Digest::of(canonical(&json).as_bytes());
        let until = entry.report.deadline() + REMEMBERED_AFTER_DEADLINE;
        let first = self.requests.entry(request.client_token).or_insert_with(|| (digest.clone(), until));
        let is_same = first.0 == digest;
        let claim = entry
            .settlement
            .record(&record.dimension)
            .filter(|status| status.state == RecordState::Sending)
            .and_then(|status| status.claim.as_ref());
        let dimension = &record.dimension;
        let problem = if !is_same {
            Some(("I2", format!("{dimension} would be sent with other content than before")))
        } else if claim.is_none_or(|claim| claim.pod != sender.pod) {
            Some(("I3", format!("{dimension} would be sent without a claim of this pod")))
        } else if claim.is_some_and(|claim| claim.epoch > sender.epoch) {
            Some((
                "I8",
                format!("{dimension} was claimed in a later epoch than this process's {}", sender.epoch),
            ))
        } else {
            None
        };
        match problem {
            Some((invariant, message)) => {
                Err(self.halt(entry, Violation { invariant, report: entry.key().to_string(), message }))
            }
            None => Ok(()),
        }
    }

    /// Halts the product of a report that is not what was sealed. Whether that is news.
    pub fn condemn(&mut self, damage: &Damage) -> bool {
        let violation = Violation {
            invariant: "Chain",
            report: damage.report.to_string(),
            message: damage.problem.clone(),
        };
        self.breaches.halt(damage.product.clone(), violation)
    }

    /// Forgets how a report was seen: an older backup of it was restored, and that is known.
    pub fn forget_report(&mut self, report: &ObjectKey) {
        self.seen.remove(report);
    }

    /// Why a product's sending is halted.
    pub fn breach(&self, product: &ObjectKey) -> Option<Violation> {
        self.breaches.of(product)
    }

    fn check_halted(&self, entry: &Entry) -> Result<(), Violation> {
        self.breaches.of(&entry.product()).map_or(Ok(()), Err)
    }

    fn halt(&self, entry: &Entry, violation: Violation) -> Violation {
        self.breaches.halt(entry.product(), violation.clone());
        violation
    }

    fn forget(&mut self, now: Timestamp) {
        self.requests.retain(|_, (_, until)| *until > now);
        self.seen.retain(|_, seen| seen.until > now);
    }
}

/// What a report says now against what it said before.
fn contradiction(entry: &Entry, seen: &Seen) -> Option<(&'static str, String)> {
    if seen.report.hash != entry.report.hash {
        return Some(("I2", "it was sealed with other content".to_owned()));
    }
    let mut pairs = seen.settlement.records.iter().zip(&entry.settlement.records);
    let went_back = pairs.find(|(before, after)| {
        let was_final = before.state.is_terminal() && before.state != after.state;
        was_final || is_undone(before, after)
    });
    went_back.map(|(before, after)| {
        let (dimension, was, is) = (&before.dimension, before.state, after.state);
        ("I5", format!("{dimension} was {was:?} and is {is:?}; was an older backup restored?"))
    })
}

/// Whether a claim is gone although nobody has answered or released it: only a backup does that.
fn is_undone(before: &RecordStatus, after: &RecordStatus) -> bool {
    before.state == RecordState::Sending
        && after.state == RecordState::Sealed
        && after.attempts <= before.attempts
        && after.reason.is_none()
}

/// What is wrong with a report by itself. What was sealed is hashed once: a report that is equal to one that was intact is too.
fn problem(entry: &Entry, seen: Option<&Seen>) -> Option<(&'static str, String)> {
    let report = &entry.report;
    if seen.is_none_or(|seen| seen.report != *report) && !report.is_intact() {
        return Some(("Chain", "its content is not what was sealed: the hash differs".to_owned()));
    }
    let (records, statuses) = (&report.body.records, &entry.settlement.records);
    let dimensions = records.iter().map(|record| &record.dimension);
    if !dimensions.eq(statuses.iter().map(|status| &status.dimension)) {
        return Some(("I4", "its status does not name its records".to_owned()));
    }
    records.iter().zip(statuses).find_map(|(record, status)| problem_of(record, status))
}

fn problem_of(record: &SealedRecord, status: &RecordStatus) -> Option<(&'static str, String)> {
    let dimension = &record.dimension;
    let allocated: u64 = record.allocations.iter().map(|part| u64::from(part.quantity)).sum();
    if !record.allocations.is_empty() && allocated != u64::from(record.quantity) {
        let quantity = record.quantity;
        return Some(("I13", format!("the allocations of {dimension} sum to {allocated}, not {quantity}")));
    }
    // Rounding up adds less than one unit; nothing takes any away.
    let placed = Quantity::from_units(record.quantity) + record.remainder;
    if placed < record.measured.rounded_down()
        || placed.saturating_sub(record.measured) >= Quantity::from_units(1)
    {
        let measured = record.measured;
        return Some(("I4", format!("{dimension} measured {measured}, but {placed} are billed or carried")));
    }
    match (status.state, &status.metering_record_id, &status.claim) {
        (RecordState::Accepted, None, _) => {
            Some(("I1", format!("{dimension} is Accepted without a record id")))
        }
        (RecordState::Sending, _, None) => Some(("I3", format!("{dimension} is Sending without a claim"))),
        (RecordState::Accepted, Some(_), _) | (_, None, _) => None,
        (state, Some(id), _) => Some(("I5", format!("{dimension} was accepted as {id} and is {state:?}"))),
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
