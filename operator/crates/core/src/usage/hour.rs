//! One hour of one binding: sums that the seal turns into a quantity.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Series, TickOrigin};
use crate::{
    hour::HOUR_SECONDS,
    identity::{Digest, DimensionName},
    plugin::ConfiguredPlugin,
    product::{Dimension, Fold, Interval, Rules},
    quantity::Quantity,
    tags::TagSet,
};

/// What one hour of a binding has come to.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HourUsage {
    /// The first tick that was due in it.
    first_tick: Option<Timestamp>,
    due: u32,
    missed: u32,
    inputs: Option<Digest>,
    plugin: Option<Digest>,
    /// Digest of the plugin's configuration; unknown in checkpoints of before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config: Option<Digest>,
    /// What measured it before, in order: the plugin or its configuration has changed in the middle of the hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<ConfiguredPlugin>,
    /// What was sold when it was measured, as it was then; empty in checkpoints of before there were any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    measured_by: Vec<Dimension>,
    #[serde(with = "crate::pairs")]
    sums: BTreeMap<Series, Sums>,
}

/// Usage of one tag set in one hour, folded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// The reading's own tags.
    pub tags: TagSet,
    /// How much.
    pub quantity: Quantity,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missed {
    Yes,
    No,
}

#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Sums {
    counted: Quantity,
    ticks: u32,
    sum: Quantity,
    max: Quantity,
    last: Quantity,
    /// Quantity times seconds.
    weighted: Quantity,
}

impl HourUsage {
    /// The first tick that was due in the hour.
    pub fn first_tick(&self) -> Option<Timestamp> {
        self.first_tick
    }

    /// Ticks that were due.
    pub fn due(&self) -> u32 {
        self.due
    }

    /// Those of them that were missed.
    pub fn missed(&self) -> u32 {
        self.missed
    }

    /// Digest over the inputs of all ticks, in order.
    pub fn inputs(&self) -> Option<&Digest> {
        self.inputs.as_ref()
    }

    /// All that measured it, oldest first; what measured it last comes last. `present` is the product's configuration, for
    /// checkpoints of before it was kept.
    pub fn configured_plugins(&self, present: &Digest) -> impl Iterator<Item = ConfiguredPlugin> {
        let config = self.config.as_ref().unwrap_or(present).clone();
        let last = self.plugin.clone().map(|plugin| ConfiguredPlugin { plugin, config });
        self.earlier.iter().cloned().chain(last)
    }

    /// The dimensions that it was measured by, each as it was at its first tick: those that were sold at the last tick, and
    /// others that have readings. Empty if an older version has measured it.
    pub fn measured_by(&self) -> &[Dimension] {
        &self.measured_by
    }

    /// The dimensions that have readings.
    pub fn dimensions(&self) -> impl Iterator<Item = &DimensionName> {
        self.sums.keys().map(|(dimension, _)| dimension)
    }

    /// The usage of one dimension, a part for each tag set, in canonical order.
    pub fn folded(&self, dimension: &DimensionName, fold: Fold) -> Vec<Part> {
        self.sums
            .iter()
            .filter(|((name, _), _)| name == dimension)
            .map(|((_, tags), sums)| Part { tags: tags.clone(), quantity: sums.folded(fold) })
            .collect()
    }

    pub(super) fn note_tick(&mut self, tick: Timestamp, rules: Rules<'_>, missed: Missed) {
        let is_sold = |name: &DimensionName| rules.dimensions.iter().any(|sold| &sold.name == name);
        let sums = &self.sums;
        self.measured_by
            .retain(|known| is_sold(&known.name) || sums.keys().any(|(name, _)| *name == known.name));
        rules.dimensions.iter().for_each(|sold| self.note_dimension(sold));
        self.first_tick.get_or_insert(tick);
        self.due += 1;
        self.missed += u32::from(missed == Missed::Yes);
    }

    pub(super) fn note_origin(&mut self, origin: &TickOrigin) {
        let before = self.inputs.as_ref().map_or("", Digest::as_str);
        self.inputs = Some(Digest::of(format!("{before}{}", origin.inputs).as_bytes()));
        let now = &origin.measured_by;
        let config = self.config.replace(now.config.clone()).unwrap_or_else(|| now.config.clone());
        if let Some(plugin) = self.plugin.replace(now.plugin.clone()) {
            let before = ConfiguredPlugin { plugin, config };
            if before != *now && !self.earlier.contains(&before) {
                self.earlier.push(before);
            }
        }
    }

    fn note_dimension(&mut self, dimension: &Dimension) {
        if !self.measured_by.iter().any(|known| known.name == dimension.name) {
            self.measured_by.push(dimension.clone());
        }
    }

    pub(super) fn count(&mut self, increases: BTreeMap<Series, Quantity>, rules: Rules<'_>) {
        let counts = |sold: &&Dimension| increases.keys().any(|(name, _)| *name == sold.name);
        rules.dimensions.iter().filter(counts).for_each(|sold| self.note_dimension(sold));
        for (series, increase) in increases {
            self.sums.entry(series).or_default().counted += increase;
        }
    }

    pub(super) fn hold(&mut self, gauges: &BTreeMap<Series, Quantity>, interval: Interval) {
        for (series, value) in gauges {
            self.sums.entry(series.clone()).or_default().hold(*value, interval);
        }
    }
}

impl Sums {
    fn hold(&mut self, value: Quantity, interval: Interval) {
        self.ticks += 1;
        self.sum += value;
        self.max = self.max.max(value);
        self.last = value;
        self.weighted += Quantity::from_micros(value.micros().saturating_mul(u128::from(interval.seconds())));
    }

    /// The only division of an hour; it rounds down to 10⁻⁶.
    fn folded(&self, fold: Fold) -> Quantity {
        let divided =
            |sum: Quantity, by: u128| Quantity::from_micros(sum.micros().checked_div(by).unwrap_or(0));
        let gauge = match fold {
            Fold::Sum => self.sum,
            Fold::Max => self.max,
            Fold::Last => self.last,
            Fold::Mean => divided(self.sum, u128::from(self.ticks)),
            Fold::TimeWeighted => divided(self.weighted, HOUR_SECONDS.unsigned_abs().into()),
        };
        gauge + self.counted
    }
}
