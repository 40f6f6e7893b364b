//! The status and events of a product. Written only when they say something new.

use kube::{Api, Resource as _, api::Patch};
use serde_json::json;
use tollkeeper_api::MarketplaceProduct;

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
    let loaded =
        observed.manifest.as_ref().zip(observed.plugin.as_ref().and_then(|plugin| plugin.as_ref().ok())).map(
            |(manifest, loaded)| {
                json!({
                    "digest": loaded.digest,
                    "name": manifest.name,
                    "version": manifest.version,
                    "dimensions": manifest.dimensions,
                })
            },
        );
    // While a new plugin cannot be used, the old one is the product's.
    let plugin = match loaded {
        None if observed.progress.is_metered => serde_json::to_value(&old.plugin).ok(),
        loaded => loaded,
    };
    let status = json!({"observedGeneration": generation, "conditions": conditions, "plugin": plugin});
    let stored = serde_json::to_value(&old).unwrap_or_default();
    let is_new = ["observedGeneration", "conditions", "plugin"].iter().any(|part| {
        stored.get(part).filter(|value| !value.is_null()) != status.get(part).filter(|value| !value.is_null())
    });
    if !is_new {
        return Ok(());
    }
    let api: Api<MarketplaceProduct> = Api::namespaced(house.client.clone(), &observed.key.namespace);
    let patch = json!({"status": status});
    match call(api.patch_status(&observed.key.name, &patch_params(), &Patch::Merge(&patch))).await {
        Ok(_) => {}
        Err(CallError::Absent) => return Ok(()),
        Err(error) => return Err(error),
    }
    let news = conditions::announcements(&old.conditions, &plan.verdicts);
    house.events.announce(&object.object_ref(&()), "Meter", news).await;
    Ok(())
}
