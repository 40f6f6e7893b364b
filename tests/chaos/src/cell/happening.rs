//! What goes wrong at a moment, and not with one effect.

use serde::{Deserialize, Serialize};

use super::Successor;

/// What happens at a moment of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Happening {
    /// The API server is away for so many seconds.
    ApiServerDown(u32),
    /// AWS is away for so many seconds.
    AwsDown(u32),
    /// AWS throttles everything for so many seconds.
    Throttled(u32),
    /// Every other write to the store finds that somebody else was there first, for so many seconds.
    ConflictStorm(u32),
    /// Another pod takes the lease while the leader is alive.
    SecondLeader,
    /// The process is told to end, and another one starts.
    Restart(Successor),
    /// The clock of the process is an hour ahead for half an hour.
    ClockAhead,
    /// The clock of the process is an hour behind for half an hour.
    ClockBehind,
    /// The clock steps over an hour's edge, two minutes ahead, and back half an hour later.
    EdgeSkipped,
    /// The clock steps back over an hour's edge that has passed, by two minutes.
    EdgeRepeated,
    /// The vendor publishes another plugin.
    NewPlugin,
    /// The vendor takes a dimension out of the product, and back in more than an hour later.
    DimensionGone,
    /// A binding cannot be used for more than an hour, as after an older one was made to overlap with it. What was measured of
    /// it is known.
    BindingUnusable,
    /// A binding cannot even be read for more than an hour: a process that starts meanwhile does not know of it.
    BindingGone,
    /// The vendor takes a dimension out of the product, and whoever runs hears of it twenty minutes later: its watch was broken.
    ChangeMissed,
    /// The buyer is not entitled for so many seconds.
    NotEntitled(u32),
    /// A source starts again at zero.
    CounterReset,
    /// A new source appears.
    NewSource,
    /// The store goes back to a backup from minutes or hours before, and the process is replaced.
    Restored(Successor),
}

impl Happening {
    /// All of them. The lengths are those of `ledger.md`'s matrix.
    pub const ALL: [Self; 30] = [
        Self::ApiServerDown(1),
        Self::ApiServerDown(300),
        Self::ApiServerDown(5 * 3600),
        Self::ApiServerDown(50 * 3600),
        Self::AwsDown(600),
        Self::AwsDown(5 * 3600),
        Self::AwsDown(7 * 3600),
        Self::AwsDown(26 * 3600),
        Self::Throttled(60),
        Self::Throttled(1800),
        Self::ConflictStorm(60),
        Self::ConflictStorm(1800),
        Self::SecondLeader,
        Self::Restart(Successor::SamePod),
        Self::Restart(Successor::NewPod),
        Self::ClockAhead,
        Self::ClockBehind,
        Self::EdgeSkipped,
        Self::EdgeRepeated,
        Self::NewPlugin,
        Self::DimensionGone,
        Self::BindingUnusable,
        Self::BindingGone,
        Self::ChangeMissed,
        Self::NotEntitled(3600),
        Self::NotEntitled(20 * 3600),
        Self::CounterReset,
        Self::NewSource,
        Self::Restored(Successor::SamePod),
        Self::Restored(Successor::NewPod),
    ];
}
