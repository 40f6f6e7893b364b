//! The product's plugin: loaded once, and asked for again only when something about it has changed.
//!
//! A registry is asked less often the longer it fails, whatever else wakes the product; a changed specification is tried at
//! once.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tollkeeper_api::convert::{Metered, PluginOrigin, PluginSource};
use tollkeeper_core::{
    artifact::{ArtifactRequest, PullSecret},
    identity::{Digest, ObjectKey},
    plugin::{PluginFailure, PluginLimits},
};

use super::{ProductHouse, source};
use crate::{
    backoff::Backoff,
    calls::CallError,
    meter::{Finding, LoadedPlugin, Quarantine},
};

/// What a loaded plugin depends on: the same bytes from the same place under the same limits, and the configuration that it
/// was asked about.
#[derive(Clone, PartialEq, Debug)]
struct PluginKey {
    digest: Digest,
    origin: PluginOrigin,
    limits: PluginLimits,
    config: String,
}

/// What is known about the plugins of products; losing it costs time only.
#[derive(Default)]
pub(super) struct Plugins(Mutex<Known>);

#[derive(Default)]
struct Known {
    loaded: BTreeMap<ObjectKey, (PluginKey, LoadedPlugin)>,
    refused: BTreeMap<ObjectKey, (PluginKey, Finding)>,
    waits: Backoff<ObjectKey>,
    /// Plugins that misbehaved while they were loaded.
    quarantines: BTreeMap<ObjectKey, (PluginKey, Quarantine)>,
}

impl PluginKey {
    fn of(metered: &Metered) -> Self {
        let meter = &metered.product.meter;
        Self {
            digest: meter.plugin.clone(),
            origin: metered.plugin.clone(),
            limits: meter.limits,
            config: meter.config.to_string(),
        }
    }
}

impl Plugins {
    /// When a registry is asked again for a product's plugin.
    pub(super) fn next_try(&self, product: &ObjectKey, now: Timestamp) -> Option<Timestamp> {
        let known = self.known();
        known.refused.get(product).and_then(|_| known.waits.waits_until(product, now))
    }

    /// Forgets a product that is gone.
    pub(super) fn forget(&self, product: &ObjectKey) {
        let mut known = self.known();
        known.loaded.remove(product);
        known.refused.remove(product);
        known.waits.succeeded(product);
        known.quarantines.remove(product);
    }

    /// That a plugin has misbehaved so often while it was loaded that it is left alone.
    fn quarantined(&self, product: &ObjectKey, key: &PluginKey, now: Timestamp) -> Option<Finding> {
        let known = self.known();
        let (_, quarantine) = known.quarantines.get(product).filter(|(known, _)| known == key)?;
        quarantine.finding(now)
    }

    fn note(&self, product: &ObjectKey, key: PluginKey, failure: &PluginFailure, now: Timestamp) {
        let mut known = self.known();
        let (known, quarantine) =
            known.quarantines.entry(product.clone()).or_insert_with(|| (key.clone(), Quarantine::default()));
        if *known != key {
            (*known, *quarantine) = (key, Quarantine::default());
        }
        quarantine.failed(now, failure);
    }

    fn loaded(&self, product: &ObjectKey, key: &PluginKey) -> Option<LoadedPlugin> {
        let known = self.known();
        known.loaded.get(product).filter(|(known, _)| known == key).map(|(_, plugin)| plugin.clone())
    }

    /// Why it was refused, while it is not to be tried again.
    fn refused(&self, product: &ObjectKey, key: &PluginKey, now: Timestamp) -> Option<Finding> {
        let known = self.known();
        known.waits.waits_until(product, now)?;
        known.refused.get(product).filter(|(known, _)| known == key).map(|(_, finding)| finding.clone())
    }

    fn load(&self, product: &ObjectKey, key: PluginKey, plugin: LoadedPlugin) {
        let mut known = self.known();
        known.refused.remove(product);
        known.waits.succeeded(product);
        known.quarantines.remove(product);
        known.loaded.insert(product.clone(), (key, plugin));
    }

    fn refuse(&self, product: &ObjectKey, key: PluginKey, finding: Finding, now: Timestamp) {
        let mut known = self.known();
        if known.refused.get(product).is_some_and(|(known, _)| *known != key) {
            known.waits.succeeded(product);
        }
        known.waits.failed(product, now);
        known.refused.insert(product.clone(), (key, finding));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The product's plugin, or why there is none.
pub(super) async fn plugin(
    metered: &Metered,
    house: &ProductHouse,
) -> Result<Result<LoadedPlugin, Finding>, CallError> {
    let key = PluginKey::of(metered);
    let product = &metered.product.key;
    let plugins = &house.memory.plugins;
    if let Some(plugin) = plugins.loaded(product, &key) {
        return Ok(Ok(plugin));
    }
    if let Some(finding) = plugins.quarantined(product, &key, house.clock.now()) {
        return Ok(Err(finding));
    }
    let loaded = match &metered.plugin.source {
        PluginSource::Oci(reference) => {
            let secrets =
                match source::pull_secrets(&product.namespace, &metered.plugin.pull_secrets, house).await? {
                    Ok(secrets) => secrets,
                    Err(finding) => return Ok(Err(finding)),
                };
            if let Some(finding) = plugins.refused(product, &key, house.clock.now()) {
                return Ok(Err(finding));
            }
            let loaded = pulled(metered, reference, secrets, house).await;
            if let Err(finding) = &loaded {
                plugins.refuse(product, key.clone(), finding.clone(), house.clock.now());
            }
            loaded
        }
        PluginSource::File(path) => match source::file(path).await {
            Ok(component) => load(metered, &component, house).await,
            Err(finding) => Err(finding),
        },
        PluginSource::ConfigMap { name, key } => {
            match source::config_map(&product.namespace, name.as_str(), key, house).await? {
                Ok(component) => load(metered, &component, house).await,
                Err(finding) => Err(finding),
            }
        }
    };
    if let Ok(plugin) = &loaded {
        plugins.load(product, key, plugin.clone());
    }
    Ok(loaded)
}

async fn pulled(
    metered: &Metered,
    reference: &str,
    pull_secrets: Vec<PullSecret>,
    house: &ProductHouse,
) -> Result<LoadedPlugin, Finding> {
    let request = ArtifactRequest {
        reference: reference.to_owned(),
        digest: metered.product.meter.plugin.clone(),
        max_component: metered.product.meter.limits.component,
        signer: metered.plugin.signer.clone(),
        pull_secrets,
    };
    let component = house
        .artifacts
        .component(&request)
        .await
        .map_err(|failure| Finding { reason: failure.reason(), message: failure.to_string() })?;
    load(metered, &component, house).await
}

async fn load(metered: &Metered, component: &[u8], house: &ProductHouse) -> Result<LoadedPlugin, Finding> {
    let meter = &metered.product.meter;
    let finding = |failure: PluginFailure| {
        if failure.is_misbehaviour() {
            let (product, key) = (&metered.product.key, PluginKey::of(metered));
            house.memory.plugins.note(product, key, &failure, house.clock.now());
        }
        Finding { reason: failure.reason(), message: failure.to_string() }
    };
    let plugin = house.host.load(component, &meter.plugin, meter.limits).await.map_err(finding)?;
    plugin.validate_config(&meter.config).await.map_err(finding)?;
    Ok(LoadedPlugin { digest: meter.plugin.clone(), plugin })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(reference: &str) -> PluginKey {
        let source = PluginSource::Oci(reference.to_owned());
        PluginKey {
            digest: Digest::of(b"component"),
            origin: PluginOrigin { source, pull_secrets: Vec::new(), signer: None },
            limits: PluginLimits::default(),
            config: "{}".to_owned(),
        }
    }

    #[test]
    fn a_registry_that_failed_is_asked_less_and_less_often_and_a_changed_product_at_once() {
        let (plugins, product) = (Plugins::default(), ObjectKey::new("vecdb", "vecdb"));
        let finding = Finding { reason: "PullNotFound", message: "gone".to_owned() };
        let mut now: Timestamp = "2026-11-21T14:00:00Z".parse().unwrap();
        let (first, second) = (key("registry.example.com/meter:1"), key("registry.example.com/meter:2"));
        assert_eq!(plugins.refused(&product, &first, now), None);
        let mut waits = Vec::new();
        for _ in 0..3 {
            plugins.refuse(&product, first.clone(), finding.clone(), now);
            assert_eq!(plugins.refused(&product, &first, now), Some(finding.clone()));
            assert_eq!(plugins.refused(&product, &second, now), None, "another reference is another matter");
            let next = plugins.next_try(&product, now).unwrap();
            waits.push(next.duration_since(now));
            now = next;
            assert_eq!(plugins.refused(&product, &first, now), None, "its time has come");
        }
        assert!(waits.is_sorted_by(|shorter, longer| shorter < longer), "{waits:?}");
        plugins.refuse(&product, second, finding, now);
        assert_eq!(plugins.next_try(&product, now).unwrap().duration_since(now), waits[0]);
        plugins.forget(&product);
        assert_eq!(plugins.next_try(&product, now), None);
    }
}
