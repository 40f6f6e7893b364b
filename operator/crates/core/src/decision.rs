//! A person's decision about a record that the protocol cannot move on by itself.
//!
//! Decisions are only ever added. States that have ended do not change (I5): a rejected record can be acknowledged, which
//! says that somebody has seen it, and nothing else.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::settlement::{RecordState, RecordStatus};

/// Decisions about one record. A record moves in a circle only by `release`, and each round of that can charge the buyer
/// again: a person who needs more than this has another problem.
pub const MAX_DECISIONS: usize = 16;

/// Longest reason, in characters: a sentence or two, and the bound of the schema.
pub const MAX_REASON: usize = 1024;

/// What a person wants to happen to a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// AWS has taken it: the person has seen it in CloudTrail or on the bill, under this record id.
    Resolve {
        /// AWS's id of the record.
        record_id: String,
    },
    /// Its usage is given up.
    WriteOff,
    /// It is to be billed after all: an ambiguous record is sent again, a held one goes into the next hour's record.
    Release {
        /// Whether the person accepts that AWS may bill it twice.
        accepts_second_charge: bool,
    },
    /// The rejection has been seen, and nothing more is to be done about it.
    Acknowledge,
}

/// The name of a wish.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum DecisionKind {
    /// Accepted, on evidence.
    Resolve,
    /// Given up.
    WriteOff,
    /// To be billed after all.
    Release,
    /// Seen.
    Acknowledge,
}

/// Who decides, why and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Author {
    /// The name by which the API server knows the person, or the one in their kubeconfig.
    pub name: String,
    /// Whether the API server has confirmed it.
    pub is_verified: bool,
    /// Why, in the person's own words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A decision that was taken. Never changed, never removed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// What was decided.
    pub kind: DecisionKind,
    /// The state that the record was in.
    pub from: RecordState,
    /// Who decided.
    pub by: String,
    /// Whether the API server has confirmed who it was; else `by` is what the person's kubeconfig says.
    pub verified: bool,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// Why a decision is not possible: a sentence for the person who wanted it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IllegalDecision {
    /// The state has ended.
    #[error("{dimension} is {state:?} and stays so: a state that has ended does not change")]
    Ended {
        /// Of the record.
        dimension: String,
        /// Where it is.
        state: RecordState,
    },
    /// The protocol is not done with it.
    #[error(
        "{dimension} is {state:?}, which the operator moves on by itself: wait until it is Ambiguous or Held"
    )]
    InProgress {
        /// Of the record.
        dimension: String,
        /// Where it is.
        state: RecordState,
    },
    /// A held record was certainly not taken.
    #[error("{0} is Held, and AWS has certainly not taken it: use `write-off` or `release`")]
    NotTaken(String),
    /// A rejected record cannot be moved.
    #[error(
        "{0} is Rejected and stays so, because AWS will never take it: use `acknowledge` to say that you have seen it"
    )]
    Rejected(String),
    /// Only a rejected record is acknowledged.
    #[error(
        "{dimension} is {state:?}, not Rejected: there is nothing to acknowledge; decide by `resolve`, `write-off` or `release`"
    )]
    NotRejected {
        /// Of the record.
        dimension: String,
        /// Where it is.
        state: RecordState,
    },
    /// Once is enough.
    #[error("the rejection of {0} has been acknowledged before")]
    Acknowledged(String),
    /// Sending an ambiguous record again can bill it twice.
    #[error(
        "{0} is Ambiguous: AWS may have taken it, and would then bill it a second time; look for it in CloudTrail first, or say --i-accept-a-second-charge"
    )]
    SecondCharge(String),
    /// The reason is missing or too long.
    #[error(
        "a reason of 1 to {MAX_REASON} characters is needed: it is all that people will later have to understand the decision"
    )]
    Reason,
    /// The record id is missing or too long.
    #[error("a record id of 1 to 255 printable characters is needed, as AWS wrote it")]
    RecordId,
    /// It has been decided about too often.
    #[error("{0} has {MAX_DECISIONS} decisions already, which is the most that a report keeps")]
    TooMany(String),
}

impl Wish {
    /// Its name.
    pub const fn kind(&self) -> DecisionKind {
        match self {
            Self::Resolve { .. } => DecisionKind::Resolve,
            Self::WriteOff => DecisionKind::WriteOff,
            Self::Release { .. } => DecisionKind::Release,
            Self::Acknowledge => DecisionKind::Acknowledge,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doubt = if self.verified { "" } else { " (not confirmed by the API server)" };
        write!(
            f,
            "{:?} by {}{doubt} at {}, from {:?}: {}",
            self.kind, self.by, self.at, self.from, self.reason
        )
    }
}

impl RecordStatus {
    /// The record after a decision. Total: every state and wish has its answer, and it depends on nothing else.
    pub fn decided(&self, wish: &Wish, author: &Author) -> Result<Self, IllegalDecision> {
        let dimension = || self.dimension.to_string();
        if !(1..=MAX_REASON).contains(&author.reason.trim().chars().count()) {
            return Err(IllegalDecision::Reason);
        }
        if self.decisions.len() >= MAX_DECISIONS {
            return Err(IllegalDecision::TooMany(dimension()));
        }
        let state = self.destination(wish)?;
        let mut decided = Self { state, ..self.clone() };
        match wish {
            Wish::Resolve { record_id } => decided.metering_record_id = Some(record_id.clone()),
            Wish::Release { .. } => decided.claim = None,
            Wish::WriteOff | Wish::Acknowledge => {}
        }
        // A rejection keeps AWS's own reason: it is why.
        if state != RecordState::Rejected {
            decided.reason = Some("Decided".to_owned());
            let verb = match wish {
                Wish::Resolve { .. } => "found accepted",
                Wish::WriteOff => "written off",
                Wish::Release { .. } => "released",
                Wish::Acknowledge => "acknowledged",
            };
            decided.message = Some(format!("{verb} by {}: {}", author.name, author.reason.trim()));
        }
        decided.decisions.push(Decision {
            kind: wish.kind(),
            from: self.state,
            by: author.name.clone(),
            verified: author.is_verified,
            at: author.at,
            reason: author.reason.trim().to_owned(),
        });
        Ok(decided)
    }

    /// Where a wish leads from the present state.
    fn destination(&self, wish: &Wish) -> Result<RecordState, IllegalDecision> {
        let dimension = self.dimension.to_string();
        match (self.state, wish) {
            (RecordState::Ambiguous, Wish::Resolve { record_id }) => {
                let fits = (1..=255).contains(&record_id.len())
                    && record_id.bytes().all(|byte| byte.is_ascii_graphic());
                if fits { Ok(RecordState::Accepted) } else { Err(IllegalDecision::RecordId) }
            }
            // An expired record waits for a report that carries it, and there may be none any more.
            (RecordState::Ambiguous | RecordState::Held | RecordState::Expired, Wish::WriteOff) => {
                Ok(RecordState::WrittenOff)
            }
            (RecordState::Ambiguous, Wish::Release { accepts_second_charge: true }) => {
                Ok(RecordState::Sealed)
            }
            (RecordState::Ambiguous, Wish::Release { accepts_second_charge: false }) => {
                Err(IllegalDecision::SecondCharge(dimension))
            }
            // The next seal carries it, whatever the product's policy says: a person has decided.
            (RecordState::Held, Wish::Release { .. }) => Ok(RecordState::Expired),
            (RecordState::Held, Wish::Resolve { .. }) => Err(IllegalDecision::NotTaken(dimension)),
            (RecordState::Rejected, Wish::Acknowledge) if self.is_acknowledged() => {
                Err(IllegalDecision::Acknowledged(dimension))
            }
            (RecordState::Rejected, Wish::Acknowledge) => Ok(RecordState::Rejected),
            (RecordState::Rejected, _) => Err(IllegalDecision::Rejected(dimension)),
            (state @ (RecordState::Accepted | RecordState::CarriedForward | RecordState::WrittenOff), _) => {
                Err(IllegalDecision::Ended { dimension, state })
            }
            (state @ (RecordState::Sealed | RecordState::Sending | RecordState::Expired), _) => {
                Err(IllegalDecision::InProgress { dimension, state })
            }
            (state @ (RecordState::Ambiguous | RecordState::Held), Wish::Acknowledge) => {
                Err(IllegalDecision::NotRejected { dimension, state })
            }
        }
    }

    /// Whether a person should look at it: its state asks for it and nobody has said that they have.
    pub fn needs_attention(&self) -> bool {
        self.state.needs_attention() && !self.is_acknowledged() && !self.is_released()
    }

    /// Whether a person has seen its rejection.
    pub fn is_acknowledged(&self) -> bool {
        self.state == RecordState::Rejected && self.was_last(DecisionKind::Acknowledge)
    }

    /// Whether a person wants its usage in a later hour, although it is late: no policy takes it back.
    pub fn is_released(&self) -> bool {
        self.state == RecordState::Expired
            && self
                .decisions
                .last()
                .is_some_and(|last| last.kind == DecisionKind::Release && last.from == RecordState::Held)
    }

    fn was_last(&self, kind: DecisionKind) -> bool {
        self.decisions.last().is_some_and(|last| last.kind == kind)
    }
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
