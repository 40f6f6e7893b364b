//! The reconciler of `MarketplaceProduct`: observe, plan, act, report.
//!
//! It loads the plugin, decides which bindings are metered, and hands both to the product's meter. It bills nothing.

mod act;
mod observe;
mod plan;
mod plugin;
mod report;
mod source;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tollkeeper_api::{LicenseBinding, MarketplaceProduct};
use tollkeeper_core::{
    artifact::Artifacts, clock::Clock, identity::ObjectKey, ledger::Ledger, plugin::PluginHost,
};

use crate::{calls::CallError, events::Events, meter::Meters, roster::Roster, watch::Watched, work::Next};

/// How often a product is looked at when nothing changes: a plugin in a ConfigMap is not watched, and a plugin that could
/// not be loaded may be there now.
const RESYNC: SignedDuration = SignedDuration::from_mins(1);

/// What the reconciler works with.
pub struct ProductHouse {
    /// Writes objects.
    pub client: Client,
    /// The present moment.
    pub clock: Arc<dyn Clock>,
    /// All products.
    pub products: Arc<Watched<MarketplaceProduct>>,
    /// All bindings.
    pub bindings: Arc<Watched<LicenseBinding>>,
    /// Loads plugins.
    pub host: Arc<dyn PluginHost>,
    /// The reports.
    pub ledger: Arc<dyn Ledger>,
    /// Takes plugins from registries.
    pub artifacts: Arc<dyn Artifacts>,
    /// The meters of this process.
    pub meters: Arc<Meters>,
    /// What meters and settler have come to.
    pub roster: Arc<Roster>,
    /// Tells people.
    pub events: Events,
    /// What is kept from one pass to the next.
    pub memory: Memory,
}

/// What is kept from one pass to the next; losing it costs time only.
#[derive(Default)]
pub struct Memory {
    plugins: plugin::Plugins,
    namespaces: Mutex<BTreeMap<String, String>>,
    deletions: Mutex<BTreeMap<ObjectKey, Timestamp>>,
}

impl Memory {
    fn forget(&self, product: &ObjectKey) {
        self.plugins.forget(product);
        self.deletions.lock().unwrap_or_else(PoisonError::into_inner).remove(product);
    }
}

/// Reconciles one product.
pub async fn reconcile(key: ObjectKey, house: &ProductHouse) -> Next {
    if !(house.products.is_listed(&key.namespace) && house.bindings.is_listed(&key.namespace)) {
        // Hours would be sealed without the bindings that have not been seen yet.
        return Next::At(house.clock.now() + RESYNC);
    }
    match pass(&key, house).await {
        Ok(()) => {
            let now = house.clock.now();
            let next_try = house.memory.plugins.next_try(&key, now);
            Next::At(next_try.into_iter().fold(now + RESYNC, Timestamp::min))
        }
        Err(error) => {
            tracing::warn!(product = %key, reason = error.reason(), %error, "not reconciled; it will be tried again");
            Next::Failed
        }
    }
}

async fn pass(key: &ObjectKey, house: &ProductHouse) -> Result<(), CallError> {
    let Some(observed) = observe::observe(key, house).await? else {
        house.meters.dismiss(key).await;
        house.roster.forget(key);
        house.memory.forget(key);
        return Ok(());
    };
    let plan = plan::plan(&observed);
    act::act(&observed, &plan, house).await?;
    report::report(&observed, &plan, house).await
}
