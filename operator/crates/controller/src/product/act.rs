//! All writes of a product's reconciliation but its status.

use kube::{Api, ResourceExt as _, api::Patch};
use serde_json::json;
use tollkeeper_api::{MarketplaceProduct, SETTLE_FINALIZER};
use tollkeeper_core::identity::ObjectKey;

use super::{
    ProductHouse,
    observe::Observed,
    plan::{Finalizer, Plan},
};
use crate::{
    calls::{CallError, call, patch_params},
    meter::{Assignment, Finding},
    roster::ProductProgress,
};

/// Does what the plan says.
pub(super) async fn act(observed: &Observed, plan: &Plan, house: &ProductHouse) -> Result<(), CallError> {
    // The finalizer comes first: usage that nobody would settle must not be measured.
    change_finalizer(observed, plan.finalizer, house).await?;
    let refusal = observed.plugin.as_ref().and_then(|plugin| plugin.as_ref().err());
    house.roster.update(&observed.key, |progress| {
        progress.overlapping.clone_from(&plan.overlapping);
        note_refusal(&observed.key, progress, refusal);
    });
    let metered = observed.checked.as_ref().ok().and_then(|checked| checked.metered.as_ref());
    match (&plan.metering, metered, &observed.plugin) {
        (Some(bindings), Some(metered), Some(Ok(plugin))) => house.meters.assign(Assignment {
            cluster: observed.cluster.clone(),
            product: metered.product.clone(),
            plugin: plugin.clone(),
            bindings: bindings.clone(),
        }),
        // A changed plugin or spec that cannot be used: a meter that runs goes on with the old one.
        (Some(bindings), Some(_), Some(Err(_))) => house.meters.rebind(&observed.key, bindings),
        (None, Some(_), Some(Err(_))) if observed.rival.is_none() => {}
        (None, None, None) if observed.checked.is_err() => {}
        _ => house.meters.dismiss(&observed.key).await,
    }
    Ok(())
}

/// A refusal is noted and logged when its reason is new: its words may change at every try, and what changes here wakes the
/// product.
fn note_refusal(product: &ObjectKey, progress: &mut ProductProgress, refusal: Option<&Finding>) {
    let reason = |finding: &Finding| finding.reason;
    if progress.plugin.as_ref().map(reason) == refusal.map(reason) {
        return;
    }
    if let Some(finding) = refusal {
        tracing::warn!(%product, reason = finding.reason, "its plugin cannot be used: {}", finding.message);
    }
    progress.plugin = refusal.cloned();
}

async fn change_finalizer(
    observed: &Observed,
    change: Finalizer,
    house: &ProductHouse,
) -> Result<(), CallError> {
    let mut finalizers = observed.object.finalizers().to_vec();
    match change {
        Finalizer::Keep => return Ok(()),
        Finalizer::Add => finalizers.push(SETTLE_FINALIZER.to_owned()),
        Finalizer::Remove => finalizers.retain(|own| own != SETTLE_FINALIZER),
    }
    let patch = json!({
        "metadata": {"resourceVersion": observed.object.resource_version(), "finalizers": finalizers}
    });
    let api: Api<MarketplaceProduct> = Api::namespaced(house.client.clone(), &observed.key.namespace);
    match call(api.patch(&observed.key.name, &patch_params(), &Patch::Merge(&patch))).await {
        Err(CallError::Absent) if change == Finalizer::Remove => Ok(()),
        other => other.map(|_| ()),
    }
}
