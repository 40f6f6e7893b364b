//! Computes a recorded hour again, with the code that measured it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tollkeeper_core::{
    identity::Digest,
    product::InvalidInterval,
    recording::{Entry, RecordedTick, Recording, Start},
    report::SealedReport,
};

use super::{Duty, Identity, LoadedPlugin, Meter, Metered, Quarantine, identity};

/// Why an hour cannot be computed again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The recording does not say how the hour was sealed.
    #[error("the recording ends before the hour was sealed")]
    NotSealed,
    /// A tick comes before the product.
    #[error("the recording does not begin with the product's terms")]
    NoTerms,
    /// The product's interval is none.
    #[error("the recorded product cannot be used: {0}")]
    Terms(#[from] InvalidInterval),
    /// A plugin is missing.
    #[error("the tick at {at} was run by the plugin {plugin}, which was not given")]
    NoPlugin {
        /// The tick.
        at: Timestamp,
        /// The digest of the component.
        plugin: Digest,
    },
    /// The plugin measured then, and does not now.
    #[error("the tick at {at} of {binding} succeeded, and fails when it is run again: {reason}")]
    Missed {
        /// The tick.
        at: Timestamp,
        /// The binding.
        binding: String,
        /// Why.
        reason: String,
    },
}

/// The report that the recorded inputs come to; `None` if nothing has to be said about the hour.
pub async fn replay(
    recording: &Recording,
    plugins: &BTreeMap<Digest, LoadedPlugin>,
) -> Result<Option<SealedReport>, ReplayError> {
    let mut meter: Option<Meter> = None;
    for entry in &recording.entries {
        match (entry, &mut meter) {
            (Entry::Terms(terms), Some(meter)) => {
                meter.product = terms.product(recording.header.product.clone())?;
            }
            (Entry::Terms(terms), None) => {
                let product = terms.product(recording.header.product.clone())?;
                let plugin = plugins.get(&terms.plugin).or_else(|| plugins.values().next()).cloned();
                let plugin = plugin.ok_or_else(|| ReplayError::NoPlugin {
                    at: Timestamp::MIN,
                    plugin: terms.plugin.clone(),
                })?;
                meter = Some(Meter::new(product, plugin));
            }
            (_, None) => return Err(ReplayError::NoTerms),
            (Entry::Start(start), Some(meter)) => meter.resume(start),
            (Entry::Tick(tick), Some(meter)) => meter.repeat(tick, plugins).await?,
            (Entry::Seal(seal), Some(meter)) => {
                meter.bindings.retain(|(key, _), _| seal.bindings.contains(&key.name));
                let hour = recording.header.hour;
                return Ok(meter.plan_seal(&seal.cluster, hour, seal.previous.as_ref(), &seal.late).report);
            }
        }
    }
    Err(ReplayError::NotSealed)
}

impl Meter {
    fn resume(&mut self, start: &Start) {
        let metered = Metered {
            binding: start.binding.clone(),
            tally: start.tally.clone(),
            first_tick: Timestamp::MIN,
            restored: true,
            duty: Duty::Ticks,
            unsaved: false,
            quarantine: Quarantine::default(),
        };
        self.bindings.insert(identity(&start.binding), metered);
    }

    async fn repeat(
        &mut self,
        tick: &RecordedTick,
        plugins: &BTreeMap<Digest, LoadedPlugin>,
    ) -> Result<(), ReplayError> {
        let plugin = plugins.get(&tick.plugin);
        self.plugin = plugin
            .cloned()
            .ok_or_else(|| ReplayError::NoPlugin { at: tick.at, plugin: tick.plugin.clone() })?;
        let collected = tick.collected();
        let keys: Vec<Identity> = self.bindings.keys().cloned().collect();
        for key in keys {
            let Some(missed) = tick.bindings.get(&key.0.name) else { continue };
            if missed.is_some() {
                // A time-out is not in the inputs; what was missed then is missed again.
                self.miss(&key, tick.at);
            } else if let Some(finding) = self.tick(&key, tick.at, &collected).await {
                let reason = finding.message;
                return Err(ReplayError::Missed { at: tick.at, binding: key.0.name, reason });
            }
        }
        Ok(())
    }

    fn miss(&mut self, binding: &Identity, tick: Timestamp) {
        let rules = self.product.rules();
        if let Some(metered) = self.bindings.get_mut(binding) {
            metered.miss_until(tick, rules, None);
            metered.tally.miss(tick, rules);
        }
    }
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
