//! The high-water mark: what is known to have been sent, kept outside of the ledger.
//!
//! A ledger that was restored from an older backup has forgotten charges, and would make them again. What the mark knows and
//! the ledger does not show is in doubt: it becomes `Ambiguous` and is not sent again, whatever the product's policy; only a
//! person may decide otherwise. The mark is raised after a claim is durable and before the first byte leaves.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    hour::BillingHour,
    identity::{Digest, DimensionName, ObjectKey},
    ledger::Entry,
    plan::submission::{NEVER_UNDER_BILL, RESEND_BEFORE_DEADLINE},
    report::SealedReport,
    settlement::{RecordState, RecordStatus, Settlement},
};

/// The reason of a record that an older backup of the ledger shows otherwise than it was.
pub const LEDGER_ROLLED_BACK: &str = "LedgerRolledBack";

const MESSAGE: &str =
    "an older backup of the ledger was restored: this record may have been sent after it was taken";

/// For how long single records are remembered, back from the newest report: AWS takes records for six hours, and twice that
/// leaves room for an outage. Older reports are compared as a whole.
const RECORDS_KEPT: SignedDuration = SignedDuration::from_hours(12);

/// How long after its hour a report that is missing was lost, not pruned: reports are kept for 54 hours at least.
const NEVER_PRUNED_FOR: SignedDuration = SignedDuration::from_hours(48);

/// The newest report of which something was sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Its hour.
    pub hour: BillingHour,
    /// Its hash.
    pub hash: Digest,
}

/// A record as it was when it was sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sent {
    /// Attempts whose outcome was written down before.
    pub attempts: u32,
    /// How many decisions people had taken about it.
    pub decisions: usize,
    /// When it was claimed.
    pub at: Timestamp,
}

/// The restore of an older backup, as it was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rollback {
    /// The last hour of which something had been sent.
    pub through: BillingHour,
    /// When it was found.
    pub at: Timestamp,
}

/// What raises a mark.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Note {
    /// Records of a report are about to be sent, or were seen to have been.
    #[serde(rename_all = "camelCase")]
    Sent {
        /// The report.
        report: Head,
        /// Its records.
        records: BTreeMap<DimensionName, Sent>,
    },
    /// The ledger does not show what was sent.
    RolledBack(Rollback),
}

impl Note {
    /// That the claimed records among these are about to be sent, as far as the mark does not know yet.
    pub fn of_sending(mark: &Mark, entry: &Entry, indices: impl Iterator<Item = usize>) -> Option<Self> {
        let hour = entry.report.body.hour;
        let statuses = indices.filter_map(|index| entry.settlement.records.get(index));
        let records: BTreeMap<_, _> = claimed(statuses)
            .filter(|(dimension, sent)| mark.sent(hour, dimension).is_none_or(|known| known.at != sent.at))
            .collect();
        (!records.is_empty()).then(|| Self::Sent { report: head(&entry.report), records })
    }

    /// What the newest report of a ledger shows to have been sent, as far as the mark does not know yet.
    pub fn of_seen(mark: &Mark, entry: &Entry) -> Option<Self> {
        let is_known = mark.covers(entry.report.body.hour);
        let touched = entry.settlement.records.iter().filter(|status| status.state != RecordState::Sealed);
        let records: BTreeMap<_, _> = claimed(touched).collect();
        (!is_known && !records.is_empty()).then(|| Self::Sent { report: head(&entry.report), records })
    }
}

fn head(report: &SealedReport) -> Head {
    Head { hour: report.body.hour, hash: report.hash.clone() }
}

fn claimed<'a>(
    statuses: impl Iterator<Item = &'a RecordStatus>,
) -> impl Iterator<Item = (DimensionName, Sent)> {
    statuses.filter_map(|status| {
        let at = status.claim.as_ref()?.at;
        let sent = Sent { attempts: status.attempts, decisions: status.decisions.len(), at };
        Some((status.dimension.clone(), sent))
    })
}

/// What is known to have been sent of one product.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// None before the first send, and after a rollback until the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    head: Option<Head>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "crate::pairs")]
    sent: BTreeMap<(BillingHour, DimensionName), Sent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rollback: Option<Rollback>,
}

impl Mark {
    /// The newest report of which something was sent.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The last rollback that was found.
    pub fn rollback(&self) -> Option<Rollback> {
        self.rollback
    }

    fn sent(&self, hour: BillingHour, dimension: &DimensionName) -> Option<&Sent> {
        self.sent.get(&(hour, dimension.clone()))
    }

    /// Takes a note.
    pub fn raise(&mut self, note: Note) {
        match note {
            Note::Sent { report, records } => {
                let hour = report.hour;
                self.sent.extend(records.into_iter().map(|(dimension, sent)| ((hour, dimension), sent)));
                if self.head.as_ref().is_none_or(|head| head.hour <= hour) {
                    self.head = Some(report);
                    self.sent.retain(|(known, _), _| known.start() > hour.start() - RECORDS_KEPT);
                }
            }
            Note::RolledBack(rollback) => {
                self.head = None;
                self.rollback = Some(rollback);
            }
        }
    }

    /// Whether something of this hour or of a later one has been sent: a report of it that is new was lost before.
    pub fn covers(&self, hour: BillingHour) -> bool {
        let sent = self.head.as_ref().map(|head| head.hour);
        sent.max(self.rollback.map(|rollback| rollback.through)).is_some_and(|through| hour <= through)
    }

    /// Whether the ledger was rolled back, judged by what it shows in the place of [`Self::head`].
    pub fn compare(&self, shown: Option<&SealedReport>, now: Timestamp) -> Option<Rollback> {
        let head = self.head.as_ref()?;
        let is_there = match shown {
            Some(report) => report.hash == head.hash,
            None => now.duration_since(head.hour.end()) > NEVER_PRUNED_FOR,
        };
        (!is_there).then_some(Rollback { through: head.hour, at: now })
    }

    /// Whether a record may have been sent although the ledger does not say so.
    pub fn doubts(&self, report: &SealedReport, status: &RecordStatus) -> bool {
        self.is_before_rollback(report.body.hour, status) || self.is_undone(report, status)
    }

    /// The settlement with all records in doubt made `Ambiguous`; `None` if there are none.
    pub fn doubted(&self, entry: &Entry) -> Option<Settlement> {
        let is_doubted = |status: &RecordStatus| self.doubts(&entry.report, status);
        if !entry.settlement.records.iter().any(is_doubted) {
            return None;
        }
        let mut settlement = entry.settlement.clone();
        for status in settlement.records.iter_mut().filter(|status| is_doubted(status)) {
            *status = status.clone().ambiguous(LEDGER_ROLLED_BACK, MESSAGE);
        }
        Some(settlement)
    }

    /// Nobody knows what became of these after the backup, unless somebody has decided since.
    fn is_before_rollback(&self, hour: BillingHour, status: &RecordStatus) -> bool {
        let is_open = matches!(status.state, RecordState::Sealed | RecordState::Expired | RecordState::Held);
        self.rollback.is_some_and(|rollback| {
            let is_decided = status.decisions.last().is_some_and(|decision| decision.at > rollback.at);
            is_open && hour <= rollback.through && !is_decided
        })
    }

    /// Whether a claim is gone although nobody has answered, released or decided it, or a later one was known.
    fn is_undone(&self, report: &SealedReport, status: &RecordStatus) -> bool {
        let Some(sent) = self.sent(report.body.hour, &status.dimension) else { return false };
        let resend_from = report.deadline() - RESEND_BEFORE_DEADLINE;
        match status.state {
            RecordState::Sealed => {
                let is_released_by_policy =
                    status.reason.as_deref() == Some(NEVER_UNDER_BILL) && sent.at < resend_from;
                status.attempts <= sent.attempts
                    && status.decisions.len() <= sent.decisions
                    && !is_released_by_policy
            }
            RecordState::Ambiguous => {
                status.reason.as_deref() != Some(LEDGER_ROLLED_BACK)
                    && status.claim.as_ref().is_some_and(|claim| claim.at < sent.at)
            }
            _ => false,
        }
    }
}

/// A settlement all of whose unsent records are in doubt: of a report that was lost and is sealed a second time.
#[must_use]
pub fn in_doubt(settlement: Settlement) -> Settlement {
    let records = settlement.records.into_iter().map(|status| match status.state {
        RecordState::Sealed => status.ambiguous(LEDGER_ROLLED_BACK, MESSAGE),
        _ => status,
    });
    Settlement { records: records.collect() }
}

/// The mark could not be made durable, so nothing may be sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the high-water mark cannot be written: {0}")]
pub struct MarkError(pub String);

impl MarkError {
    /// The reason that conditions, events, metrics and log lines share.
    pub const fn reason(&self) -> &'static str {
        "MarkUnavailable"
    }
}

/// Keeps the marks of all products, in a place that a restore of the ledger does not touch.
#[async_trait]
pub trait Marks: Send + Sync {
    /// What is known of a product.
    fn of(&self, product: &ObjectKey) -> Arc<Mark>;

    /// Raises the mark. Durable when it returns.
    async fn raise(&self, product: &ObjectKey, note: Note) -> Result<(), MarkError>;
}

#[cfg(test)]
mod tests;
