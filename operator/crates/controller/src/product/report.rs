//! The status and events of a product. Written only when they say something new.

use kube::{Api, Resource as _, api::Patch};
use serde_json::json;
use tollkeeper_api::{MarketplaceProduct, product::PluginStatus};

use super::{
    ProductHouse,
    observe::Observed,
    plan::{Finalizer, Plan},
};
use crate::{
    calls::{CallError, call, patch_params},
    conditions,
};

/// Writes status and events.
pub(super) async fn report(observed: &Observed, plan: &Plan, house: &ProductHouse) -> Result<(), CallError> {
    if plan.finalizer == Finalizer::Remove {
        return Ok(());
    }
    let object = &observed.object;
    let old = object.status.clone().unwrap_or_default();
    let generation = object.metadata.generation;
    let conditions = conditions::updated(&old.conditions, &plan.verdicts, generation, observed.now);
    let plugin = plugin(observed, old.plugin.as_ref());
    let status = json!({"observedGeneration": generation, "conditions": conditions, "plugin": plugin});
    let stored = serde_json::to_value(&old).unwrap_or_default();
    let is_new = ["observedGeneration", "conditions", "plugin"].iter().any(|part| {
        stored.get(part).filter(|value| !value.is_null()) != status.get(part).filter(|value| !value.is_null())
    });
    if !is_new {
        return Ok(());
    }
    // Before the status, which says what has been told: after a crash in between it is told once more, and not never.
    let news = conditions::announcements(&old.conditions, &plan.verdicts);
    house.events.announce(&object.object_ref(&()), "Meter", news).await;
    let api: Api<MarketplaceProduct> = Api::namespaced(house.client.clone(), &observed.key.namespace);
    let patch = json!({"status": status});
    match call(api.patch_status(&observed.key.name, &patch_params(), &Patch::Merge(&patch))).await {
        Ok(_) | Err(CallError::Absent) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The plugin that measures. The one that the product names may be on its way: it cannot be used, waits for the next hour, or
/// has failed its dry run. Then the old one is the product's.
fn plugin(observed: &Observed, old: Option<&PluginStatus>) -> Option<PluginStatus> {
    let loaded = observed.plugin.as_ref().and_then(|plugin| plugin.as_ref().ok());
    let named = observed.manifest.as_ref().zip(loaded).map(|(manifest, loaded)| PluginStatus {
        digest: loaded.digest.to_string(),
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        dimensions: manifest.dimensions.clone(),
    });
    let progress = &observed.progress;
    let measures = progress.findings.plugin.as_ref().map(ToString::to_string);
    measuring(named, old.filter(|_| progress.is_metered), measures.as_deref())
}

/// The plugin that the product names, unless another one measures. Before the first tick nobody knows.
fn measuring(
    named: Option<PluginStatus>,
    old: Option<&PluginStatus>,
    measures: Option<&str>,
) -> Option<PluginStatus> {
    let is_waiting = |named: &PluginStatus| measures.is_some_and(|digest| digest != named.digest);
    match (named, old) {
        (Some(named), Some(old)) if is_waiting(&named) && measures == Some(old.digest.as_str()) => {
            Some(old.clone())
        }
        (Some(named), _) => Some(named),
        (None, old) => old.cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(digest: &str) -> PluginStatus {
        PluginStatus { digest: digest.to_owned(), ..PluginStatus::default() }
    }

    #[test]
    fn a_plugin_is_shown_once_it_measures() {
        let (old, new) = (status("old"), status("new"));
        let shown = |named: Option<&PluginStatus>, measures| measuring(named.cloned(), Some(&old), measures);
        assert_eq!(shown(Some(&new), Some("old")), Some(old.clone()), "it waits, or its dry run fails");
        assert_eq!(shown(None, Some("old")), Some(old.clone()), "it cannot be used");
        assert_eq!(shown(Some(&new), Some("new")), Some(new.clone()), "it has taken over");
        assert_eq!(shown(Some(&new), None), Some(new.clone()), "nothing has measured since the start");
        assert_eq!(measuring(Some(new.clone()), None, Some("old")), Some(new), "a status that is new");
    }
}
