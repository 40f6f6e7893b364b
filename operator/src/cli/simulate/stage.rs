//! What is simulated: products with their plugins and bindings. What no operator would meter is refused.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use tollkeeper_api::{convert::CheckedProduct, product::Delivery};
use tollkeeper_controller::meter::{House, LoadedPlugin, Meter};
use tollkeeper_core::{identity::ObjectKey, plugin::PluginHost as _, product::Binding, trace::Trace};
use tollkeeper_ledger::{
    marks::KeptMarks,
    memory::{MemoryCheckpoints, MemoryLedger},
};
use tollkeeper_plugin_host::WasmHost;
use tollkeeper_simulator::VirtualClock;

use super::trace::TraceInputs;
use crate::{
    cli::{Failure, workshop},
    manifest::Manifests,
};

/// The cluster that client tokens are derived for.
const CLUSTER: &str = "simulation";

/// One product, ready to run.
pub(super) struct Stage {
    pub(super) meter: Meter,
    pub(super) house: House,
}

/// What a simulation writes its charges in.
pub(super) struct Books {
    pub(super) ledger: Arc<MemoryLedger>,
    pub(super) marks: Arc<KeptMarks>,
}

/// Every product of the manifests, ready to run.
pub(super) fn stages(
    manifests: &Manifests,
    trace: &Trace,
    clock: &Arc<VirtualClock>,
    books: &Books,
    plugins: Option<&Path>,
) -> Result<BTreeMap<ObjectKey, Stage>, Failure> {
    let host = workshop::host()?;
    let checkpoints = Arc::new(MemoryCheckpoints::default());
    let mut stages = BTreeMap::new();
    for (key, (product, _)) in &manifests.products {
        let Some(metered) = &product.metered else { continue };
        refuse_unmetered(product, &stages)?;
        let house = House {
            cluster: CLUSTER.to_owned(),
            clock: clock.clone(),
            inputs: Arc::new(TraceInputs::new(trace, &metered.product.meter.inputs).map_err(Failure::new)?),
            ledger: books.ledger.clone(),
            marks: books.marks.clone(),
            checkpoints: checkpoints.clone(),
        };
        let plugin = load(&host, manifests, product, plugins)?;
        stages.insert(key.clone(), Stage { meter: Meter::new(metered.product.clone(), plugin), house });
    }
    if stages.is_empty() {
        return Err(Failure::new("none of the files holds a MarketplaceProduct with spec.meter; add one"));
    }
    Ok(stages)
}

/// Loads a product's plugin and lets it check its configuration.
fn load(
    host: &WasmHost,
    manifests: &Manifests,
    product: &CheckedProduct,
    plugins: Option<&Path>,
) -> Result<LoadedPlugin, Failure> {
    let Some(metered) = &product.metered else {
        return Err(Failure::new(format!("the product {} has no meter", product.key)));
    };
    let named = |error: &dyn std::fmt::Display| {
        Failure::new(format!("the plugin of the product {} cannot be used: {error}", product.key))
    };
    let meter = &metered.product.meter;
    let component =
        manifests.component(&product.key, &metered.plugin.source, plugins).map_err(Failure::new)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| named(&error))?;
    runtime.block_on(async {
        let plugin =
            host.load(&component, &meter.plugin, meter.limits).await.map_err(|error| named(&error))?;
        plugin.validate_config(&meter.config).await.map_err(|error| named(&error))?;
        Ok(LoadedPlugin { digest: meter.plugin.clone(), plugin })
    })
}

/// The bindings of each product. One that names no product, or whose workload overlaps another's, is an error here: in a
/// cluster it would be a condition.
pub(super) fn bindings(
    manifests: &Manifests,
    stages: &BTreeMap<ObjectKey, Stage>,
) -> Result<BTreeMap<ObjectKey, Vec<Binding>>, Failure> {
    let mut bindings: BTreeMap<ObjectKey, Vec<Binding>> = BTreeMap::new();
    for checked in manifests.bindings.values() {
        let key = &checked.binding.key;
        if !stages.contains_key(&checked.product) {
            return Err(Failure::new(format!(
                "the binding {key} names the product {}, which none of the files holds (or which has no meter)",
                checked.product
            )));
        }
        bindings.entry(checked.product.clone()).or_default().push(checked.binding.clone());
    }
    for (product, own) in &bindings {
        refuse_overlaps(product, own)?;
    }
    if let Some(unbound) = stages.keys().find(|key| !bindings.contains_key(key)) {
        return Err(Failure::new(format!(
            "the product {unbound} has no LicenseBinding, so nothing of it would be metered; add one"
        )));
    }
    Ok(bindings)
}

fn refuse_overlaps(product: &ObjectKey, bindings: &[Binding]) -> Result<(), Failure> {
    for (index, one) in bindings.iter().enumerate() {
        let earlier = bindings.iter().take(index).find(|earlier| earlier.workload.may_overlap(&one.workload));
        if let Some(earlier) = earlier {
            return Err(Failure::new(format!(
                "WorkloadOverlap: the bindings {} and {} of the product {product} may mean the same workload, which would be billed twice; tell them apart by namespaces or matchLabels",
                earlier.key, one.key
            )));
        }
    }
    Ok(())
}

/// What no operator would meter is no simulation either.
fn refuse_unmetered(product: &CheckedProduct, others: &BTreeMap<ObjectKey, Stage>) -> Result<(), Failure> {
    if product.delivery == Delivery::SaaS {
        return Err(Failure::new(format!(
            "DeliveryNotSupported: the product {} has delivery SaaS, which this version does not meter; use Container",
            product.key
        )));
    }
    let rival = others.iter().find(|(_, stage)| stage.meter.product().code == product.code);
    if let Some((rival, _)) = rival {
        return Err(Failure::new(format!(
            "ProductCodeTaken: the products {rival} and {} have the same product code; AWS would take only the first record of both: remove one",
            product.key
        )));
    }
    Ok(())
}
