//! What CloudTrail proves about a record whose outcome nobody here knows.
//!
//! CloudTrail keeps every call of `MeterUsage` in the buyer's account. A call that AWS took proves that the record is billed; a
//! call that AWS refused for good proves that it never will be. That no call is found proves nothing: delivery has no bound, so
//! the record stays `Ambiguous` and is never sent again because of it.

mod call;

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

pub use self::call::{CallResult, MeteredCall};
use crate::{
    classification::{Reply, classify_meter_usage},
    decision::{Author, Wish},
    identity::DimensionName,
    ledger::Entry,
    metering::{MeterUsage, Outcome, Refusal},
    settlement::{RecordState, RecordStatus, Settlement},
};

/// How long CloudTrail is given to deliver a call: AWS says 15 minutes on average and guarantees nothing, so five more.
pub const DELIVERY: SignedDuration = SignedDuration::from_mins(20);

/// Who decides where evidence does, as the record's decisions name it.
const WITNESS: &str = "tollkeeper";

/// One page of CloudTrail's event history.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Page {
    /// Each event as the JSON text that CloudTrail keeps of it.
    pub events: Vec<String>,
    /// Where the next page starts; none after the last one.
    pub next: Option<String>,
}

/// Why CloudTrail could not be asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TrailError {
    /// The role has no right to.
    #[error("AWS does not let the operator's role look up events (cloudtrail:LookupEvents): {0}")]
    Forbidden(String),
    /// The quota of the account and region is used up.
    #[error("CloudTrail is asked too often in this account and region: {0}")]
    Throttled(String),
    /// No answer, or none that can be read.
    #[error("CloudTrail cannot be asked: {0}")]
    Unavailable(String),
}

impl TrailError {
    /// The reason that conditions, metrics and log lines share.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Forbidden(_) => "EvidenceForbidden",
            Self::Throttled(_) => "EvidenceThrottled",
            Self::Unavailable(_) => "EvidenceUnavailable",
        }
    }
}

/// The seam to CloudTrail's event history. Never retries and never chooses: that is for the caller.
#[async_trait]
pub trait Trail: Send + Sync {
    /// One call of `LookupEvents`: the events named `MeterUsage` from `from` on, or the page that starts at `page`.
    async fn look_up(&self, from: Timestamp, page: Option<&str>) -> Result<Page, TrailError>;

    /// The OpenID issuer of the cluster, where it is known: what tells its calls from those of another cluster in the account.
    fn issuer(&self) -> Option<&str>;
}

/// What the calls prove about one record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// AWS took it.
    Taken {
        /// AWS's id of the record.
        record_id: String,
        /// The event that says so.
        event: String,
        /// When AWS took it.
        at: Timestamp,
    },
    /// AWS refused it for good.
    Refused {
        /// What AWS said.
        refusal: Refusal,
        /// The event that says so.
        event: String,
    },
    /// AWS took the same content under several ids: by this cluster and another, or twice.
    Contradictory(BTreeSet<String>),
    /// Nothing yet, and CloudTrail may still deliver it.
    Pending,
    /// Nothing, although there was time. No proof.
    Silent,
}

/// What is to become of a report, and what cannot be decided.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Plan {
    /// The settlement with what is proved; `None` if nothing is.
    pub write: Option<Settlement>,
    /// Records that stay ambiguous, and why.
    pub undecided: Vec<(DimensionName, Verdict)>,
}

/// Plans what the calls prove about a report's ambiguous records. `issuer` is that of this cluster's tokens.
pub fn plan(entry: &Entry, calls: &[MeteredCall], issuer: Option<&str>, now: Timestamp) -> Plan {
    let mut settlement = entry.settlement.clone();
    let mut undecided = Vec::new();
    for (sealed, record) in entry.report.body.records.iter().zip(&mut settlement.records) {
        if record.state != RecordState::Ambiguous {
            continue;
        }
        let since = record.claim.as_ref().map_or(entry.report.body.hour.end(), |claim| claim.at);
        let verdict = judge(&entry.report.request(sealed), calls, issuer, since, now);
        match proved(record, &verdict, now) {
            Some(proved) => *record = proved,
            None => undecided.push((record.dimension.clone(), verdict)),
        }
    }
    Plan { write: (settlement != entry.settlement).then_some(settlement), undecided }
}

/// What the calls prove about one request that was claimed at `since`.
pub fn judge(
    request: &MeterUsage,
    calls: &[MeteredCall],
    issuer: Option<&str>,
    since: Timestamp,
    now: Timestamp,
) -> Verdict {
    let matching: Vec<&MeteredCall> = calls.iter().filter(|call| call.is_of(request, issuer)).collect();
    let taken = matching.iter().filter_map(|call| match &call.result {
        CallResult::Taken { record_id } => Some((record_id, *call)),
        CallResult::Refused { .. } => None,
    });
    let ids: BTreeSet<String> = taken.clone().map(|(id, _)| id.clone()).collect();
    if ids.len() > 1 {
        return Verdict::Contradictory(ids);
    }
    if let Some((record_id, call)) = taken.min_by_key(|(_, call)| call.at) {
        return Verdict::Taken { record_id: record_id.clone(), event: call.event.clone(), at: call.at };
    }
    // A refusal says nothing about a call that CloudTrail has not delivered yet.
    let last = matching.iter().map(|call| call.at).fold(since, Timestamp::max);
    if now.duration_since(last) < DELIVERY {
        return Verdict::Pending;
    }
    let refused = matching.iter().find_map(|call| Some((refused_for_good(&call.result)?, *call)));
    match refused {
        Some((refusal, call)) => Verdict::Refused { refusal, event: call.event.clone() },
        None => Verdict::Silent,
    }
}

/// The refusal, if it would have ended the record had it been heard: any other one leaves open what other attempts came to.
fn refused_for_good(result: &CallResult) -> Option<Refusal> {
    let CallResult::Refused { code, message } = result else { return None };
    // CloudTrail names no HTTP status; AWS answers every refusal of a record with 400.
    let reply = Reply::Error { status: 400, code: Some(code.clone()), message: message.clone() };
    match classify_meter_usage(&reply) {
        Outcome::Rejected(refusal) => Some(refusal),
        Outcome::Accepted { .. }
        | Outcome::NotAccepted(_)
        | Outcome::OutOfWindow(_)
        | Outcome::Unknown(_) => None,
    }
}

/// The record after what is proved; `None` if nothing is.
fn proved(record: &RecordStatus, verdict: &Verdict, now: Timestamp) -> Option<RecordStatus> {
    match verdict {
        Verdict::Taken { record_id, event, at } => {
            let author = Author {
                name: WITNESS.to_owned(),
                is_verified: true,
                reason: format!("evidence: CloudTrail event {event} of {at}"),
                at: now,
            };
            let resolved = record.decided(&Wish::Resolve { record_id: record_id.clone() }, &author).ok()?;
            Some(RecordStatus { reason: Some("Evidence".to_owned()), ..resolved })
        }
        Verdict::Refused { refusal, event } => Some(RecordStatus {
            state: RecordState::Rejected,
            reason: Some(refusal.reason.clone()),
            message: Some(format!("{}; evidence: CloudTrail event {event}", refusal.message)),
            ..record.clone()
        }),
        Verdict::Contradictory(_) | Verdict::Pending | Verdict::Silent => None,
    }
}

#[cfg(test)]
mod tests;
