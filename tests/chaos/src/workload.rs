//! What the metered software really does: functions of time, so that the oracle knows the truth.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tollkeeper_core::quantity::Quantity;

use crate::{random::Random, schedule::Setting, tenant::Tenant};

/// The dimension that is a gauge.
pub(crate) const GAUGE: &str = "gb_hours";
/// The dimension that is a counter.
pub(crate) const COUNTER: &str = "requests";

/// No gauge is ever above this.
pub(crate) const HIGHEST_GAUGE: Quantity = Quantity::from_units(8);

/// A counter in one namespace.
#[derive(Clone, Debug)]
struct Source {
    namespace: &'static str,
    appears: Timestamp,
    micros_a_second: u128,
    /// When it started again at zero, oldest first.
    resets: Vec<Timestamp>,
}

/// The sources and gauges of a run.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    start: Timestamp,
    end: Timestamp,
    seed: u64,
    sources: BTreeMap<String, Source>,
}

impl Workload {
    pub(crate) fn new(tenant: Tenant, setting: &Setting, seed: u64, start: Timestamp) -> Self {
        let end = start + SignedDuration::from_hours(i64::from(setting.hours));
        let mut random = Random::new(match tenant {
            Tenant::First => seed ^ 0x574F_524B,
            Tenant::Neighbour => seed ^ 0x4E45_4947,
        });
        let sources = tenant.namespaces().iter().enumerate().map(|(index, namespace)| {
            let micros_a_second = 1_000 + u128::from(random.below(700_000));
            let appears = start - SignedDuration::from_hours(9);
            (format!("source-{index}"), Source { namespace, appears, micros_a_second, resets: vec![] })
        });
        Self { start, end, seed, sources: sources.collect() }
    }

    /// A source starts again at zero. At a moment between ticks, so that what is lost is what the meter cannot know.
    pub(crate) fn reset_a_source(&mut self, now: Timestamp) {
        if let Some(source) = self.sources.values_mut().next() {
            source.resets.push(now);
        }
    }

    /// A source appears that counts from zero.
    pub(crate) fn add_a_source(&mut self, now: Timestamp) {
        let Some(first) = self.sources.values().map(|source| source.namespace).next() else { return };
        let name = format!("source-{}", self.sources.len());
        let source = Source { namespace: first, appears: now, micros_a_second: 250_000, resets: vec![] };
        self.sources.insert(name, source);
    }

    /// The total that a source shows; `None` before it appears.
    fn total(&self, source: &Source, at: Timestamp) -> Option<Quantity> {
        if at < source.appears {
            return None;
        }
        let since = source.resets.iter().rev().find(|reset| **reset <= at).copied().unwrap_or(source.appears);
        Some(grown(source, since, at.min(self.end)))
    }

    /// The counters of a namespace at a moment.
    pub(crate) fn counters(&self, namespace: &str, at: Timestamp) -> Vec<(String, Quantity)> {
        let own = self.sources.iter().filter(|(_, source)| source.namespace == namespace);
        own.filter_map(|(name, source)| Some((name.clone(), self.total(source, at)?))).collect()
    }

    /// The gauge of a namespace at a moment; another one every quarter of an hour.
    pub(crate) fn gauge(&self, namespace: &str, at: Timestamp) -> Option<Quantity> {
        if at >= self.end {
            return None;
        }
        let quarter = u64::try_from(at.as_second() / 900).unwrap_or_default();
        let mut random =
            Random::new(self.seed ^ quarter ^ u64::try_from(namespace.len()).unwrap_or_default());
        Some(Quantity::from_micros(u128::from(random.below(HIGHEST_GAUGE.micros().try_into().unwrap_or(1)))))
    }

    /// What all sources counted between two moments.
    pub(crate) fn counted(&self, from: Timestamp, to: Timestamp) -> Quantity {
        self.sources.values().map(|source| grown(source, from.max(source.appears), to.min(self.end))).sum()
    }

    /// Sources that appeared after the start.
    pub(crate) fn has_new_sources(&self) -> bool {
        self.sources.values().any(|source| source.appears > self.start)
    }

    pub(crate) fn end(&self) -> Timestamp {
        self.end
    }
}

fn grown(source: &Source, from: Timestamp, to: Timestamp) -> Quantity {
    let seconds = u128::try_from(to.duration_since(from).as_secs()).unwrap_or_default();
    Quantity::from_micros(seconds * source.micros_a_second)
}
