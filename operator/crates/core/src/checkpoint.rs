//! The seam to the checkpoints: what the operator resumes from after a crash.
//!
//! An hour is sealed only from what has been checkpointed, so that a restart after the seal can never count
//! the same increase of a counter again.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    hour::BillingHour,
    identity::{DimensionName, ObjectKey},
    product::Binding,
    quantity::Quantity,
    usage::Tally,
};

/// What is stored of one binding.
#[derive(Clone, PartialEq, Debug)]
pub struct Checkpoint {
    /// Everything that the next tick needs.
    pub tally: Tally,
    /// The open hour and its usage so far, for people to read.
    pub current: Option<(BillingHour, Vec<(DimensionName, Quantity)>)>,
}

/// A checkpoint is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Saved {
    /// When, by the store's own clock; `None` where it does not tell. A second opinion on what time it is.
    pub at: Option<Timestamp>,
}

/// Why a checkpoint was not read or written.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CheckpointError {
    /// Another process has written one since: this process must not go on with its own.
    #[error("another process has taken over the metering of {0}")]
    Superseded(ObjectKey),
    /// The binding is gone.
    #[error("the binding {0} does not exist")]
    Gone(ObjectKey),
    /// It cannot be decoded.
    #[error("the checkpoint of {binding} cannot be read: {problem}")]
    Damaged {
        /// Whose.
        binding: ObjectKey,
        /// What is wrong with it.
        problem: String,
    },
    /// The store cannot be reached or refused.
    #[error("checkpoints are unavailable: {0}")]
    Unavailable(String),
}

impl CheckpointError {
    /// The reason that conditions, events, metrics and log lines share.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Superseded(_) => "CheckpointSuperseded",
            Self::Gone(_) => "BindingGone",
            Self::Damaged { .. } => "CheckpointDamaged",
            Self::Unavailable(_) => "CheckpointUnavailable",
        }
    }
}

/// Stores one checkpoint a binding.
#[async_trait]
pub trait Checkpoints: Send + Sync {
    /// The last one of this binding, if there is one. A binding of the same name but another UID has none.
    async fn load(&self, binding: &Binding) -> Result<Option<Tally>, CheckpointError>;

    /// Replaces it, unless another process has done so since this one loaded or saved.
    async fn save(&self, binding: &Binding, checkpoint: &Checkpoint) -> Result<Saved, CheckpointError>;
}
