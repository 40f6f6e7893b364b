//! A new plugin's way to its first hour: a dry run on inputs of its own, then the swap at the hour's edge.
//!
//! Until then the old plugin measures what the old specification says, so an hour is measured by one of both.

use jiff::Timestamp;
use tollkeeper_core::{hour::BillingHour, identity::Digest, plugin::PluginFailure, product::Product};

use super::{Duty, Finding, House, LoadedPlugin, Meter, observe};

/// A plugin that waits for its hour, with the specification that names it.
pub(super) struct Candidate {
    product: Product,
    plugin: LoadedPlugin,
    /// How the dry run went.
    rehearsal: Option<Result<(), Finding>>,
}

/// What is known of a plugin that has not taken over yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Successor {
    /// Its digest.
    pub digest: Digest,
    /// What its dry run came to grief on.
    pub problem: Option<Finding>,
}

impl Candidate {
    pub(super) fn new(product: Product, plugin: LoadedPlugin) -> Self {
        Self { product, plugin, rehearsal: None }
    }

    fn successor(&self) -> Successor {
        let problem = self.rehearsal.as_ref().and_then(|rehearsal| rehearsal.as_ref().err()).cloned();
        Successor { digest: self.plugin.digest.clone(), problem }
    }
}

impl Meter {
    /// Tries a new plugin as soon as there is one, and once more at each edge of an hour; lets it take over at an edge.
    pub(super) async fn take_over(&mut self, house: &House, now: Timestamp) {
        let Some(mut candidate) = self.next_plugin.take() else {
            self.findings.successor = None;
            return;
        };
        let tick = candidate.product.meter.interval.tick_at_or_before(now);
        let is_edge = self.plugin_hour != Some(BillingHour::of(tick));
        match &candidate.rehearsal {
            Some(Ok(())) => {}
            Some(Err(_)) if !is_edge => {}
            _ => {
                let rehearsal = self.rehearse(house, &candidate, tick).await;
                if let Err(finding) = &rehearsal {
                    tracing::warn!(
                        product = %self.product.key, digest = %candidate.plugin.digest, reason = finding.reason,
                        message = finding.message, "the new plugin failed its dry run; the old one measures on"
                    );
                }
                candidate.rehearsal = Some(rehearsal);
            }
        }
        if is_edge && matches!(candidate.rehearsal, Some(Ok(()))) {
            tracing::info!(product = %self.product.key, digest = %candidate.plugin.digest, %tick, "a new plugin takes over");
            self.product = candidate.product;
            self.plugin = candidate.plugin;
            self.forgive();
            self.findings.successor = None;
        } else {
            self.findings.successor = Some(candidate.successor());
            self.next_plugin = Some(candidate);
        }
    }

    /// One tick of the new plugin with the state that it would inherit. Nothing of the outcome is kept.
    async fn rehearse(&self, house: &House, candidate: &Candidate, tick: Timestamp) -> Result<(), Finding> {
        let Some(metered) =
            self.bindings.values().find(|metered| metered.restored && metered.duty == Duty::Ticks)
        else {
            return Ok(());
        };
        let Candidate { product, plugin, .. } = candidate;
        let namespaces = self.namespaces();
        let collected = house.inputs.collect(&product.meter.inputs, &namespaces, tick).await;
        let inputs = observe::narrowed(&collected, &metered.binding);
        let outcome = match plugin.plugin.measure(metered.told(product, tick), inputs).await {
            Ok(measurement) => observe::known_dimensions(product, measurement),
            Err(failure) => Err(failure),
        };
        outcome.map(|_| ()).map_err(|failure: PluginFailure| Finding::new(failure.reason(), failure))
    }
}
