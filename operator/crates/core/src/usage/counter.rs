//! Counters: the last total of every source, and the increase since.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Series;
use crate::quantity::Quantity;

/// For how long ticks may find a source away before its last total is forgotten. A node that comes back after a day counts
/// on; older sources would make the checkpoint grow for ever. Time in which nothing was measured does not count: nobody has
/// looked then, and all sources count on however long it was.
const TOTALS_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// One thing that is counted.
pub(super) type Source = (Series, String);

/// The last totals.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Counters(#[serde(with = "crate::pairs")] BTreeMap<Source, LastTotal>);

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct LastTotal {
    total: Quantity,
    seen: Timestamp,
}

/// What series have grown by.
#[derive(PartialEq, Debug, Default)]
pub(super) struct Increases {
    /// Since a total that was seen in time.
    pub(super) sure: BTreeMap<Series, Quantity>,
    /// Since a total from before the moment until which there is doubt.
    pub(super) doubtful: BTreeMap<Series, Quantity>,
}

impl Counters {
    /// Takes the totals of a tick and returns what each series has grown by. `previous` is the last tick that succeeded.
    ///
    /// A total below the last one is a reset: everything since is new. A new source counts from zero if the plugin
    /// saw everything at the tick just before and did not report it, else its total is only a baseline, since nobody
    /// knows how much of it is old.
    pub(super) fn advance(
        &mut self,
        tick: Timestamp,
        previous: Option<Timestamp>,
        totals: BTreeMap<Source, Quantity>,
        previous_saw_all: bool,
        doubted_until: Option<Timestamp>,
    ) -> Increases {
        self.0.retain(|_, last| {
            previous.is_none_or(|previous| previous.duration_since(last.seen) <= TOTALS_KEPT)
        });
        let mut increases = Increases::default();
        for (source, total) in totals {
            let known = self.0.get(&source);
            let increase = match known {
                Some(last) if total >= last.total => total.saturating_sub(last.total),
                Some(_) => total,
                None if previous_saw_all => total,
                None => Quantity::ZERO,
            };
            let is_doubtful = known.is_some_and(|last| doubted_until.is_some_and(|until| last.seen < until));
            let series = if is_doubtful { &mut increases.doubtful } else { &mut increases.sure };
            *series.entry(source.0.clone()).or_insert(Quantity::ZERO) += increase;
            self.0.insert(source, LastTotal { total, seen: tick });
        }
        increases
    }
}
