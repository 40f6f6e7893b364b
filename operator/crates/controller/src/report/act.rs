//! The writes of settling: claim, send, write down.

use std::collections::BTreeMap;

use tollkeeper_core::{
    ledger::{Entry, LedgerError},
    metering::{Outcome, Refusal},
    plan::submission::{Plan, Send},
    settlement::{Attempt, RecordState, RecordStatus, Settlement},
};

use super::{Answer, Settler, Teller};
use crate::attention::INVARIANT_BROKEN;

/// How often an outcome is applied to a newer version of its report before the next turn has another go.
const SWAPS: usize = 3;

impl Settler {
    /// Writes the claim, sends what it names, and writes down the outcomes.
    pub(super) async fn act(
        &mut self,
        teller: &Teller,
        entry: Entry,
        plan: Plan,
    ) -> Result<Entry, LedgerError> {
        if !plan.send.is_empty() {
            // Before the claim: a claimed record that waits in line would be in doubt if the process died there.
            teller.pace.turn().await;
        }
        let entry = match &plan.write {
            Some(settlement) => teller.ledger.compare_and_swap(&entry, settlement).await?,
            None => unchanged(teller, entry).await?,
        };
        for record in plan.write.iter().flat_map(|settlement| &settlement.records) {
            log_state(&entry, record);
        }
        if plan.send.is_empty() {
            return Ok(entry);
        }
        let marked = self.mark(teller, &entry, plan.send.iter().map(|send| send.index)).await;
        let mut answers = BTreeMap::new();
        for (position, Send { index, attempt }) in plan.send.iter().copied().enumerate() {
            let Some(record) = entry.report.body.records.get(index) else { continue };
            if position > 0 {
                teller.pace.turn().await;
            }
            // A process that slept through the end of its term finds out here, after the claim and before the call.
            let outcome = if !teller.term.is_current() {
                not_started("Stopping", "the term of this operator ended before it sent this record")
            } else if let Err(breach) = self.guard.permit(&entry, record, &self.sender) {
                tracing::error!(report = %entry.key(), reason = INVARIANT_BROKEN, %breach, "not sent");
                not_started(INVARIANT_BROKEN, &breach.to_string())
            } else if let Err(error) = &marked {
                tracing::error!(report = %entry.key(), reason = error.reason(), %error, "not sent");
                not_started(error.reason(), &error.to_string())
            } else {
                teller.pace.called();
                teller.metering.meter_usage(&entry.report.request(record)).await
            };
            answers.insert(index, Answer { outcome, attempt });
        }
        self.unwritten.entry(entry.key()).or_default().extend(answers);
        self.write_down(teller, entry).await
    }

    /// Writes the outcomes that this process knows and the ledger does not.
    pub(super) async fn write_down(&mut self, teller: &Teller, entry: Entry) -> Result<Entry, LedgerError> {
        let key = entry.key();
        let Some(answers) = self.unwritten.get(&key).cloned() else { return Ok(entry) };
        let mut entry = entry;
        for _ in 0..SWAPS {
            let settlement = self.applied(&entry, &answers);
            if settlement == entry.settlement {
                self.unwritten.remove(&key);
                return Ok(entry);
            }
            match teller.ledger.compare_and_swap(&entry, &settlement).await {
                Ok(written) => {
                    settlement.records.iter().for_each(|record| log_state(&written, record));
                    self.unwritten.remove(&key);
                    return Ok(written);
                }
                Err(LedgerError::Stale(_)) => match teller.ledger.get(&key).await? {
                    Some(newer) => entry = newer,
                    None => {
                        self.unwritten.remove(&key);
                        return Err(LedgerError::Gone(key));
                    }
                },
                Err(error) => return Err(error),
            }
        }
        Err(LedgerError::Stale(key))
    }

    /// Writes what only this process knows: the last act of a term. It sends nothing, and what somebody else has written since
    /// holds.
    pub(super) async fn write_down_all(&mut self, teller: &Teller) {
        let keys: Vec<_> = self.unwritten.keys().cloned().collect();
        for key in keys {
            let written = match teller.ledger.get(&key).await {
                Ok(Some(entry)) => self.write_down(teller, entry).await.map(|_| ()),
                Ok(None) => Err(LedgerError::Gone(key.clone())),
                Err(error) => Err(error),
            };
            if let Err(error) = written {
                tracing::error!(report = %key, reason = error.reason(), %error, "what AWS has answered is not written down; this pod may ask again, no other");
            }
        }
    }

    /// The answers applied to the records that this pod claimed. An answer that leaves no doubt also moves a record that
    /// somebody else took for ambiguous meanwhile: it is the evidence.
    fn applied(&self, entry: &Entry, answers: &BTreeMap<usize, Answer>) -> Settlement {
        let mut settlement = entry.settlement.clone();
        for (index, Answer { outcome, attempt }) in answers {
            let Some(record) = settlement.records.get_mut(*index) else { continue };
            let is_ours = record.claim.as_ref().is_some_and(|claim| claim.pod == self.sender.pod);
            let is_open = match record.state {
                RecordState::Sending => true,
                RecordState::Ambiguous => is_evidence(outcome, *attempt),
                _ => false,
            };
            if is_ours && is_open {
                *record = record.clone().answered(outcome, *attempt);
            }
        }
        settlement
    }
}

/// The report, if it is still as it was read. An attempt is repeated without a write, which would have shown that: the read may
/// have been an old one, and somebody may have settled the record or decided about it since.
async fn unchanged(teller: &Teller, entry: Entry) -> Result<Entry, LedgerError> {
    let key = entry.key();
    match teller.ledger.get(&key).await? {
        Some(now) if now.version == entry.version => Ok(entry),
        Some(_) => Err(LedgerError::Stale(key)),
        None => Err(LedgerError::Gone(key)),
    }
}

/// Whether an answer proves what AWS has of a record: that it took it, or that no attempt under the claim can have got through.
fn is_evidence(outcome: &Outcome, attempt: Attempt) -> bool {
    match outcome {
        Outcome::Accepted { .. } => true,
        Outcome::NotAccepted(_) | Outcome::Rejected(_) | Outcome::OutOfWindow(_) => attempt == Attempt::First,
        Outcome::Unknown(_) => false,
    }
}

/// A claimed record that was not sent by this attempt, for certain.
fn not_started(reason: &str, message: &str) -> Outcome {
    Outcome::NotAccepted(Refusal { reason: reason.to_owned(), message: message.to_owned() })
}

fn log_state(entry: &Entry, record: &RecordStatus) {
    let report = entry.key();
    let (dimension, state, reason) = (&record.dimension, record.state, record.reason.as_deref());
    match record.state {
        RecordState::Accepted => tracing::info!(
            %report, %dimension, ?state, record_id = record.metering_record_id.as_deref(), "record"
        ),
        RecordState::Sealed | RecordState::Sending | RecordState::CarriedForward => {
            tracing::info!(%report, %dimension, ?state, reason, "record");
        }
        RecordState::Rejected
        | RecordState::Ambiguous
        | RecordState::Expired
        | RecordState::WrittenOff
        | RecordState::Held => {
            tracing::warn!(%report, %dimension, ?state, reason, message = record.message.as_deref(), "record");
        }
    }
}
