//! The usage of one binding while its hours are open: what the readings of each tick add up to.
//!
//! A tick is committed whole: usage, the sources' last totals and the plugin's state change together and are
//! checkpointed together, so a lost or repeated tick heals. The rules are those of "The arithmetic of an hour"
//! in `docs/arithmetic.md`; nothing here knows the present moment.

mod counter;
mod hour;

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::hour::{HourUsage, Part};
use self::{
    counter::{Counters, Increases},
    hour::Missed,
};
use crate::{
    hour::BillingHour,
    identity::{Digest, DimensionName},
    plugin::ConfiguredPlugin,
    product::Rules,
    quantity::Quantity,
    reading::{Measurement, Reading, Value},
    tags::TagSet,
};

/// How many missed ticks a gauge outlives. Long enough for a restart or a short outage of an input, short enough
/// that a workload that is gone is not billed on.
pub const GAUGE_HOLDS_FOR_TICKS: i64 = 5;

/// Usage of one dimension with one tag set.
pub(crate) type Series = (DimensionName, TagSet);

/// What the readings of a tick rest on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TickOrigin {
    /// What ran.
    pub measured_by: ConfiguredPlugin,
    /// Digest of what the plugin saw.
    pub inputs: Digest,
    /// Whether every input could be read as a whole. Where a pod did not answer, a source that is missing is not
    /// therefore new at the next tick.
    pub is_complete: bool,
}

/// The open usage of one binding; what a checkpoint stores.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// The last tick that was due, run or missed.
    last_tick: Option<Timestamp>,
    /// The last tick that succeeded.
    last_success: Option<Timestamp>,
    /// The last of them that had all inputs as a whole.
    last_complete: Option<Timestamp>,
    #[serde(with = "crate::pairs")]
    gauges: BTreeMap<Series, Quantity>,
    counters: Counters,
    /// The last hour of which something was sent before an older checkpoint was restored: what counters have grown by since
    /// may have been billed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubtful: Option<BillingHour>,
    #[serde(with = "hex")]
    plugin_state: Vec<u8>,
    #[serde(with = "crate::pairs")]
    hours: BTreeMap<BillingHour, HourUsage>,
}

impl Tally {
    /// The last tick that was due, run or missed; `None` before the first.
    pub fn last_tick(&self) -> Option<Timestamp> {
        self.last_tick
    }

    /// The last tick that succeeded; `None` before the first.
    pub fn last_success(&self) -> Option<Timestamp> {
        self.last_success
    }

    /// What the plugin wants back at its next tick.
    pub fn plugin_state(&self) -> Arc<[u8]> {
        self.plugin_state.as_slice().into()
    }

    /// Hours that have not been forgotten, oldest first.
    pub fn hours(&self) -> impl Iterator<Item = (BillingHour, &HourUsage)> {
        self.hours.iter().map(|(hour, usage)| (*hour, usage))
    }

    /// The usage of one hour so far.
    pub fn hour(&self, hour: BillingHour) -> Option<&HourUsage> {
        self.hours.get(&hour)
    }

    /// Forgets the hours up to and including `hour`: their report exists.
    pub fn forget_through(&mut self, hour: BillingHour) {
        self.hours.retain(|open, _| *open > hour);
    }

    /// What counters have grown by since before the end of this hour counts for it, whenever they are seen: this tally was
    /// restored from a backup that is older than the last send.
    pub fn doubt_through(&mut self, hour: BillingHour) {
        self.doubtful = self.doubtful.max(Some(hour));
    }

    /// Commits a successful tick.
    ///
    /// Its gauges replace all of the previous ones and hold until the next tick. Its counters add their increase
    /// to the hour that ends at the tick, if one does, else to the hour that holds it.
    pub fn commit(
        &mut self,
        tick: Timestamp,
        rules: Rules<'_>,
        measurement: &Measurement,
        origin: &TickOrigin,
    ) {
        let interval = rules.interval;
        let previous_saw_all = self.last_complete.is_some_and(|last| interval.after(last) == tick);
        let (gauges, totals) = split(&measurement.readings);
        let doubted_until = self.doubtful.map(BillingHour::end);
        let Increases { sure, doubtful } =
            self.counters.advance(tick, self.last_success, totals, previous_saw_all, doubted_until);
        if let Some(hour) = self.doubtful.filter(|_| !doubtful.is_empty()) {
            self.hours.entry(hour).or_default().count(doubtful, rules);
        }

        let hour = BillingHour::of(tick);
        self.hours.entry(hour).or_default().note_tick(tick, rules, Missed::No);
        let counted = if hour.start() == tick && self.hours.contains_key(&hour.previous()) {
            hour.previous()
        } else {
            hour
        };
        self.hours.entry(counted).or_default().count(sure, rules);

        self.gauges = gauges;
        self.last_tick = Some(tick);
        self.last_success = Some(tick);
        if origin.is_complete {
            self.last_complete = Some(tick);
        }
        self.plugin_state.clone_from(&measurement.state);
        let usage = self.hours.entry(hour).or_default();
        usage.note_origin(origin);
        usage.hold(&self.gauges, interval);
    }

    /// Commits a missed tick: counters wait for the next one, gauges of what is still sold hold their last value for a while.
    pub fn miss(&mut self, tick: Timestamp, rules: Rules<'_>) {
        let interval = rules.interval;
        let longest = SignedDuration::from_secs(i64::from(interval.seconds()) * GAUGE_HOLDS_FOR_TICKS);
        let holds = self.last_success.is_some_and(|last| tick.duration_since(last) <= longest);
        self.last_tick = Some(tick);
        let usage = self.hours.entry(BillingHour::of(tick)).or_default();
        usage.note_tick(tick, rules, Missed::Yes);
        if holds {
            self.gauges.retain(|(name, _), _| rules.dimensions.iter().any(|sold| &sold.name == name));
            usage.hold(&self.gauges, interval);
        }
    }
}

/// Readings of one dimension and tag set (and source) in one tick are added.
fn split(readings: &[Reading]) -> (BTreeMap<Series, Quantity>, BTreeMap<counter::Source, Quantity>) {
    let mut gauges = BTreeMap::new();
    let mut totals = BTreeMap::new();
    for reading in readings {
        let series = (reading.dimension.clone(), reading.tags.clone());
        match &reading.value {
            Value::Gauge(value) => *gauges.entry(series).or_insert(Quantity::ZERO) += *value,
            Value::Counter { total, source } => {
                *totals.entry((series, source.clone())).or_insert(Quantity::ZERO) += *total;
            }
        }
    }
    (gauges, totals)
}

#[cfg(test)]
mod tests;
