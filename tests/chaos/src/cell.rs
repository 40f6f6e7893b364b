//! The fault matrix: every kind of fault has one name, and the table of a run says how often each was met.

mod happening;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::happening::Happening;

/// An effect of the production code: what a fault can hit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Step {
    /// The inputs of a tick are read.
    Collect,
    /// The plugin runs.
    Measure,
    /// A checkpoint is read.
    Restore,
    /// A checkpoint is written.
    Checkpoint,
    /// Reports of a product are read.
    History,
    /// A report is created.
    Seal,
    /// The reports that are not settled are read.
    Scan,
    /// A report is read again after a conflict.
    Reread,
    /// A claim is written.
    Claim,
    /// The high-water mark is raised.
    Mark,
    /// AWS is called.
    Send,
    /// An outcome, or what became of a record without one, is written.
    Record,
    /// A month's statement is written.
    RollUp,
    /// A report that a statement counts is deleted.
    Prune,
}

impl Step {
    /// Those that change something outside of the process, besides those of the books.
    pub const WRITES: [Self; 4] = [Self::Checkpoint, Self::Seal, Self::Claim, Self::Record];
    /// Those that read the store.
    pub const READS: [Self; 4] = [Self::Restore, Self::History, Self::Scan, Self::Reread];
    /// Those of keeping the books: reports have to be days old.
    pub const BOOKS: [Self; 2] = [Self::RollUp, Self::Prune];
    /// Those that the death of a process is tried at, besides those of the books.
    pub const DEADLY: [Self; 8] = [
        Self::Collect,
        Self::Measure,
        Self::Checkpoint,
        Self::Seal,
        Self::Claim,
        Self::Mark,
        Self::Send,
        Self::Record,
    ];
}

/// Where in an effect a process is hit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Moment {
    /// Nothing has happened yet.
    Before,
    /// It has happened, and the process does not know.
    During,
    /// The process knows and has done nothing else yet.
    After,
}

impl Moment {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Before, Self::During, Self::After];
}

/// Who comes after a process that died.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Successor {
    /// The container restarts in its pod.
    SamePod,
    /// The pod is replaced.
    NewPod,
}

impl Successor {
    /// Both.
    pub const ALL: [Self; 2] = [Self::SamePod, Self::NewPod];
}

/// What AWS, or what lies on the way to it, does to one call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum AwsFault {
    /// The record is taken and no reply comes.
    ReplyLost,
    /// The request never leaves.
    NotSent,
    /// HTTP 500 instead of taking it.
    Error500Before,
    /// HTTP 500 after taking it.
    Error500After,
    /// A proxy's page with status 502; not taken.
    Html502,
    /// A proxy's page with status 502; taken.
    Html502After,
    /// HTTP 200 without a record id, taken.
    NoRecordId,
    /// HTTP 200 with a body that breaks off, taken.
    Truncated,
    /// The reply takes 45 s.
    Slow,
    /// One of the error names that the API model documents, or that gateways use.
    Named(ErrorName),
}

/// Errors by name; those with status 400.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "AWS's own names")]
pub enum ErrorName {
    AccessDeniedException,
    CustomerNotEntitledException,
    DisabledApiException,
    DuplicateRequestException,
    ExpiredTokenException,
    IdempotencyConflictException,
    InvalidEndpointRegionException,
    InvalidProductCodeException,
    InvalidTagException,
    InvalidUsageAllocationsException,
    InvalidUsageDimensionException,
    ThrottlingException,
    TimestampOutOfBoundsException,
    UnheardOfException,
}

impl ErrorName {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::AccessDeniedException,
        Self::CustomerNotEntitledException,
        Self::DisabledApiException,
        Self::DuplicateRequestException,
        Self::ExpiredTokenException,
        Self::IdempotencyConflictException,
        Self::InvalidEndpointRegionException,
        Self::InvalidProductCodeException,
        Self::InvalidTagException,
        Self::InvalidUsageAllocationsException,
        Self::InvalidUsageDimensionException,
        Self::ThrottlingException,
        Self::TimestampOutOfBoundsException,
        Self::UnheardOfException,
    ];
}

impl AwsFault {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        [
            Self::ReplyLost,
            Self::NotSent,
            Self::Error500Before,
            Self::Error500After,
            Self::Html502,
            Self::Html502After,
            Self::NoRecordId,
            Self::Truncated,
            Self::Slow,
        ]
        .into_iter()
        .chain(ErrorName::ALL.into_iter().map(Self::Named))
    }
}

/// What a plugin does instead of measuring.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum PluginFault {
    /// It traps.
    Trap,
    /// It runs into its time limit.
    TimeLimit,
    /// It runs into its memory limit.
    MemoryLimit,
    /// NaN, a negative number, a million readings: the host refuses the output.
    InvalidOutput,
    /// A reading of a dimension that the product does not have.
    UnknownDimension,
    /// It reports an error.
    Failure,
}

impl PluginFault {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Trap,
        Self::TimeLimit,
        Self::MemoryLimit,
        Self::InvalidOutput,
        Self::UnknownDimension,
        Self::Failure,
    ];
}

/// What is wrong with the inputs of one tick.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum InputFault {
    /// They cannot be read.
    Missing,
    /// One source is left out, and the collector says so.
    Partial,
    /// They are those of the tick before.
    Late,
    /// They come in another order.
    Reordered,
}

impl InputFault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Missing, Self::Partial, Self::Late, Self::Reordered];
}

/// What happens to one effect.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Deed {
    /// The process dies.
    Kill(Moment, Successor),
    /// The process is suspended for ten minutes; another pod may take over meanwhile.
    Suspend(Moment, Takeover),
    /// It fails and nothing has happened.
    Refuse,
    /// It happens and the answer is lost.
    LoseAnswer,
    /// The store says that somebody else has written meanwhile.
    Conflict,
    /// A read returns what the read before it did.
    Stale,
    /// It takes eight seconds.
    Slow,
    /// AWS misbehaves.
    Aws(AwsFault),
    /// The plugin does.
    Plugin(PluginFault),
    /// The inputs do.
    Input(InputFault),
}

/// Whether another pod leads while a process is suspended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Takeover {
    /// None does.
    Nobody,
    /// One does.
    AnotherPod,
}

/// One cell of the fault matrix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Cell {
    /// Something happens to an effect.
    At(Step, Deed),
    /// Something happens at a moment.
    On(Happening),
}

impl Cell {
    /// The whole matrix.
    pub fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for step in Step::DEADLY.into_iter().chain(Step::BOOKS) {
            for moment in Moment::ALL {
                cells.extend(Successor::ALL.map(|next| Self::At(step, Deed::Kill(moment, next))));
                let takeovers = [Takeover::Nobody, Takeover::AnotherPod];
                cells.extend(takeovers.map(|takeover| Self::At(step, Deed::Suspend(moment, takeover))));
            }
        }
        for step in Step::WRITES.into_iter().chain(Step::BOOKS) {
            cells.extend(
                [Deed::Refuse, Deed::LoseAnswer, Deed::Conflict, Deed::Slow].map(|deed| Self::At(step, deed)),
            );
        }
        // Nobody else writes to the volume.
        cells.extend([Deed::Refuse, Deed::LoseAnswer, Deed::Slow].map(|deed| Self::At(Step::Mark, deed)));
        for step in Step::READS {
            cells.extend([Deed::Refuse, Deed::Slow].map(|deed| Self::At(step, deed)));
        }
        cells.extend([Step::History, Step::Scan].map(|step| Self::At(step, Deed::Stale)));
        cells.extend(AwsFault::all().map(|fault| Self::At(Step::Send, Deed::Aws(fault))));
        cells.extend(PluginFault::ALL.map(|fault| Self::At(Step::Measure, Deed::Plugin(fault))));
        cells.extend(InputFault::ALL.map(|fault| Self::At(Step::Collect, Deed::Input(fault))));
        cells.extend(Happening::ALL.map(Self::On));
        cells
    }

    /// Whether it takes a run of several days to meet it.
    pub fn takes_days(self) -> bool {
        match self {
            Self::At(step, _) => Step::BOOKS.contains(&step),
            Self::On(happening) => matches!(happening, Happening::ApiServerDown(86_400..)),
        }
    }

    /// Whether it is the trouble of one product: another one in the same processes must not notice.
    pub fn is_of_one_product(self) -> bool {
        use Happening::{
            BindingGone, BindingUnusable, ChangeMissed, CounterReset, DimensionGone, NewPlugin, NewSource,
        };
        match self {
            Self::At(_, Deed::Plugin(_) | Deed::Input(_) | Deed::Aws(AwsFault::Named(_)))
            | Self::On(
                NewPlugin | DimensionGone | BindingGone | BindingUnusable | ChangeMissed | CounterReset
                | NewSource,
            ) => true,
            Self::At(..) | Self::On(_) => false,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(step, deed) => write!(f, "{step:?}: {deed:?}"),
            Self::On(happening) => write!(f, "{happening:?}"),
        }
    }
}
