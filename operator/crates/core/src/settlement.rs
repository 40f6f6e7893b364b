//! The life of a sealed record: every outcome has exactly one place and nothing disappears.
//!
//! ```text
//! Sealed -> Sending(claim) -> Accepted | Rejected | Sealed again | Ambiguous | Expired
//! Ambiguous -> Accepted | Sealed | WrittenOff      Expired -> CarriedForward | WrittenOff | Held
//! ```
//! Accepted, Rejected, CarriedForward and WrittenOff never change again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    decision::Decision,
    hour::BillingHour,
    identity::DimensionName,
    metering::{Outcome, Refusal},
    product::{LatePolicy, Mode},
    report::SealedReport,
};

/// Where a record is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum RecordState {
    /// Frozen, not sent.
    Sealed,
    /// Claimed by a pod, which may have sent it.
    Sending,
    /// AWS took it.
    Accepted,
    /// AWS will never take it.
    Rejected,
    /// It may have been taken; nobody here knows.
    Ambiguous,
    /// AWS certainly did not take it in time.
    Expired,
    /// Its usage is in a later hour's record.
    CarriedForward,
    /// Given up, by policy or by a person.
    WrittenOff,
    /// Waits for a person's decision.
    Held,
}

impl RecordState {
    /// Whether it changes no more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Accepted | Self::Rejected | Self::CarriedForward | Self::WrittenOff)
    }

    /// Whether a person should look at it, unless one has said that they did: [`RecordStatus::needs_attention`].
    pub const fn needs_attention(self) -> bool {
        matches!(self, Self::Rejected | Self::Ambiguous | Self::Expired | Self::Held)
    }
}

/// Who may be sending a record. Written before the first byte leaves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// UID of the pod: AWS deduplicates by it.
    pub pod: String,
    /// Transitions of the leader lease when it was written.
    pub epoch: u64,
    /// When it was written.
    pub at: Timestamp,
}

/// Whether an earlier attempt under the same claim may have reached AWS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attempt {
    /// Certainly not: the claim was written just before this attempt.
    First,
    /// It may have: this process or one before it in the same pod has sent the record already.
    Repeated,
}

/// What has become of one record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordStatus {
    /// The dimension.
    pub dimension: DimensionName,
    /// Where it is.
    pub state: RecordState,
    /// AWS's id of it, once accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metering_record_id: Option<String>,
    /// Attempts whose outcome was written down.
    #[serde(default)]
    pub attempts: u32,
    /// Who may be sending it, or was the last to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Why it is where it is; the AWS error name where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// One sentence about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What people have decided about it, or evidence has, oldest first. Only ever added to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decision>,
}

/// A report as a whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Phase {
    /// Records wait to be sent.
    Sealed,
    /// Records may be on their way.
    Sending,
    /// Nothing is left to do.
    Settled,
    /// A person should look at it.
    NeedsAttention,
}

impl Phase {
    /// As it is written in labels and status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "Sealed",
            Self::Sending => "Sending",
            Self::Settled => "Settled",
            Self::NeedsAttention => "NeedsAttention",
        }
    }
}

/// What has become of all records of a report, in the report's order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settlement {
    /// One a record.
    pub records: Vec<RecordStatus>,
}

impl Settlement {
    /// Of a report that has just been sealed. In shadow mode its records are given up at once.
    pub fn of(report: &SealedReport, mode: Mode) -> Self {
        let records = report.body.records.iter().map(|record| {
            let status = RecordStatus::sealed(record.dimension.clone());
            match mode {
                Mode::Live => status,
                Mode::Shadow => status.moved(
                    RecordState::WrittenOff,
                    "Shadow",
                    "the product is in shadow mode: this record was not sent",
                ),
            }
        });
        Self { records: records.collect() }
    }

    /// The report as a whole.
    pub fn phase(&self) -> Phase {
        let any = |state: RecordState| self.records.iter().any(|record| record.state == state);
        if self.records.iter().any(RecordStatus::needs_attention) {
            Phase::NeedsAttention
        } else if any(RecordState::Sending) {
            Phase::Sending
        } else if any(RecordState::Sealed) || any(RecordState::Expired) {
            Phase::Sealed
        } else {
            Phase::Settled
        }
    }

    /// Whether no record changes any more.
    pub fn is_terminal(&self) -> bool {
        self.records.iter().all(|record| record.state.is_terminal())
    }

    /// Records that AWS has neither taken nor refused for good.
    pub fn unsettled(&self) -> usize {
        self.records.iter().filter(|record| !record.state.is_terminal()).count()
    }

    /// Records that AWS took.
    pub fn accepted(&self) -> usize {
        self.records.iter().filter(|record| record.state == RecordState::Accepted).count()
    }

    /// What has become of one dimension.
    pub fn record(&self, dimension: &DimensionName) -> Option<&RecordStatus> {
        self.records.iter().find(|record| &record.dimension == dimension)
    }

    /// The settlement after a change to one dimension.
    #[must_use]
    pub fn with(mut self, changed: RecordStatus) -> Self {
        if let Some(record) = self.records.iter_mut().find(|record| record.dimension == changed.dimension) {
            *record = changed;
        }
        self
    }
}

impl RecordStatus {
    /// Frozen, not sent.
    pub fn sealed(dimension: DimensionName) -> Self {
        Self {
            dimension,
            state: RecordState::Sealed,
            metering_record_id: None,
            attempts: 0,
            claim: None,
            reason: None,
            message: None,
            decisions: vec![],
        }
    }

    fn moved(self, state: RecordState, reason: &str, message: &str) -> Self {
        Self { state, reason: Some(reason.to_owned()), message: Some(message.to_owned()), ..self }
    }

    /// Claimed for sending.
    #[must_use]
    pub fn claimed(self, claim: Claim) -> Self {
        Self { state: RecordState::Sending, claim: Some(claim), reason: None, message: None, ..self }
    }

    /// After an attempt of the claim's own pod.
    ///
    /// Only the first attempt under a claim can prove that AWS did not take the record: if an earlier one got lost, a
    /// later refusal says nothing about it, so the claim stands and no other pod may send.
    #[must_use]
    pub fn answered(self, outcome: &Outcome, attempt: Attempt) -> Self {
        let attempted = Self { attempts: self.attempts.saturating_add(1), ..self };
        let refused = |state: RecordState, refusal: &Refusal| {
            attempted.clone().moved(state, &refusal.reason, &refusal.message)
        };
        match (outcome, attempt) {
            (Outcome::Accepted { metering_record_id }, _) => Self {
                state: RecordState::Accepted,
                metering_record_id: Some(metering_record_id.clone()),
                reason: None,
                message: None,
                ..attempted
            },
            // The claim stays as a sign of its epoch: without it, an older leader could not see that there is a newer one.
            (Outcome::NotAccepted(refusal), Attempt::First) => refused(RecordState::Sealed, refusal),
            (Outcome::Rejected(refusal), _) => refused(RecordState::Rejected, refusal),
            (Outcome::OutOfWindow(refusal), Attempt::First) => refused(RecordState::Expired, refusal),
            (Outcome::OutOfWindow(refusal), Attempt::Repeated) => refused(RecordState::Ambiguous, refusal),
            (Outcome::Unknown(refusal), _) | (Outcome::NotAccepted(refusal), Attempt::Repeated) => {
                refused(RecordState::Sending, refusal)
            }
        }
    }

    /// After an attempt of another pod, or one whose outcome is unknown at the deadline.
    #[must_use]
    pub fn ambiguous(self, reason: &str, message: &str) -> Self {
        self.moved(RecordState::Ambiguous, reason, message)
    }

    /// An ambiguous record that is to be sent again although it may have been taken.
    #[must_use]
    pub fn released(self, reason: &str, message: &str) -> Self {
        Self { claim: None, ..self.moved(RecordState::Sealed, reason, message) }
    }

    /// Given up.
    #[must_use]
    pub fn written_off(self, reason: &str, message: &str) -> Self {
        self.moved(RecordState::WrittenOff, reason, message)
    }

    /// Not sent before its deadline.
    #[must_use]
    pub fn expired(self) -> Self {
        let last = self
            .reason
            .clone()
            .map_or(String::new(), |reason| format!("; the last attempt ended with {reason}"));
        self.moved(
            RecordState::Expired,
            "DeadlinePassed",
            &format!("AWS takes no records for this hour any more{last}"),
        )
    }

    /// An expired record under the product's policy. `CarryForward` changes nothing until a later report carries it, and
    /// so does a person who has released it.
    #[must_use]
    pub fn under(self, policy: LatePolicy) -> Self {
        match policy {
            LatePolicy::CarryForward => self,
            _ if self.is_released() => self,
            LatePolicy::WriteOff => {
                self.written_off("LatePolicy", "too late for AWS; the product's policy is WriteOff")
            }
            LatePolicy::Hold => {
                self.moved(RecordState::Held, "LatePolicy", "too late for AWS; the product's policy is Hold")
            }
        }
    }

    /// An expired record whose usage a later hour carries.
    #[must_use]
    pub fn carried_to(self, hour: BillingHour) -> Self {
        self.moved(RecordState::CarriedForward, "CarriedForward", &format!("billed with the hour {hour}"))
    }
}
