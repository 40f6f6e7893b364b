//! All reads of a product's reconciliation.

use std::sync::PoisonError;

use jiff::Timestamp;
use k8s_openapi::{api::core::v1::Namespace, apimachinery::pkg::apis::meta::v1::Time};
use kube::{Api, ResourceExt as _};
use tollkeeper_api::{
    LicenseBinding, MarketplaceProduct,
    convert::{CheckedBinding, CheckedProduct, InvalidProduct},
};
use tollkeeper_core::{identity::ObjectKey, plugin::Manifest, product::Binding};

use super::{ProductHouse, plugin};
use crate::{
    calls::{CallError, call},
    meter::{Finding, LoadedPlugin},
    roster::ProductProgress,
    watch::Seen,
};

/// A binding of the product.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct ObservedBinding {
    pub(super) binding: Binding,
    pub(super) is_ending: bool,
    /// Whether it has been measured once.
    pub(super) has_checkpoint: bool,
    pub(super) created: Option<Time>,
}

/// All that the plan depends on.
pub(super) struct Observed {
    pub(super) key: ObjectKey,
    pub(super) object: std::sync::Arc<MarketplaceProduct>,
    pub(super) checked: Result<CheckedProduct, InvalidProduct>,
    pub(super) plugin: Option<Result<LoadedPlugin, Finding>>,
    pub(super) manifest: Option<Manifest>,
    pub(super) bindings: Vec<ObservedBinding>,
    /// An older product with the same code.
    pub(super) rival: Option<ObjectKey>,
    pub(super) cluster: String,
    pub(super) progress: ProductProgress,
    /// Whether records of it have no outcome yet; read only if it waits to be let go.
    pub(super) is_owed: bool,
    pub(super) blocked: Option<Finding>,
    pub(super) is_deleted: bool,
    pub(super) has_finalizer: bool,
    /// When the deletion was first seen here.
    pub(super) deleted_since: Option<Timestamp>,
    pub(super) now: Timestamp,
}

/// Observes a product; `None` if there is none (or none that can be decoded, which the watch reports).
pub(super) async fn observe(key: &ObjectKey, house: &ProductHouse) -> Result<Option<Observed>, CallError> {
    let Some(Seen::Object(object)) = house.products.get(key) else { return Ok(None) };
    let checked = CheckedProduct::try_from(object.as_ref());
    let metered = checked.as_ref().ok().and_then(|checked| checked.metered.as_ref());
    let plugin = match metered {
        Some(metered) => Some(plugin::plugin(metered, house).await?),
        None => None,
    };
    let now = house.clock.now();
    let is_deleted = object.metadata.deletion_timestamp.is_some();
    let has_finalizer = object.finalizers().iter().any(|own| own == tollkeeper_api::SETTLE_FINALIZER);
    // Before the ledger: what the meter has sealed by now, the ledger shows.
    let progress = house.roster.of(key).unwrap_or_default();
    Ok(Some(Observed {
        key: key.clone(),
        manifest: plugin
            .as_ref()
            .and_then(|plugin| plugin.as_ref().ok())
            .map(|loaded| loaded.plugin.manifest().clone()),
        plugin,
        bindings: bindings(key, house),
        rival: rival(key, &object, house),
        cluster: namespace_uid(&key.namespace, house).await?,
        is_owed: is_deleted && has_finalizer && is_owed(key, house).await,
        progress,
        blocked: house.roster.blocked(),
        has_finalizer,
        deleted_since: is_deleted.then(|| first_seen(key, now, house)),
        is_deleted,
        now,
        checked,
        object,
    }))
}

/// Whether any record has no outcome yet. What cannot be read may be owed.
async fn is_owed(product: &ObjectKey, house: &ProductHouse) -> bool {
    let scan = house.ledger.scan_unsettled().await;
    let is_open = scan.and_then(|scan| Ok(scan.of(product)?.any(|entry| !entry.settlement.is_terminal())));
    is_open.unwrap_or_else(|error| {
        tracing::warn!(%product, reason = error.reason(), %error, "nobody knows what is owed for it, so it stays");
        true
    })
}

fn first_seen(key: &ObjectKey, now: Timestamp, house: &ProductHouse) -> Timestamp {
    let mut deletions = house.memory.deletions.lock().unwrap_or_else(PoisonError::into_inner);
    *deletions.entry(key.clone()).or_insert(now)
}

fn bindings(product: &ObjectKey, house: &ProductHouse) -> Vec<ObservedBinding> {
    house
        .bindings
        .all()
        .into_iter()
        .filter_map(|(_, seen)| observed(&seen))
        .filter_map(|(own, observed)| (&own == product).then_some(observed))
        .collect()
}

/// A binding and its product. One that is not usable says so itself; what was measured of it while it was is still sealed.
fn observed(seen: &Seen<LicenseBinding>) -> Option<(ObjectKey, ObservedBinding)> {
    let object = seen.readable()?;
    let has_checkpoint = object.status.as_ref().is_some_and(|status| status.checkpoint.is_some());
    let usable = match seen {
        Seen::Object(_) => CheckedBinding::try_from(object).ok(),
        Seen::Undecodable(_) => None,
    };
    let is_usable = usable.is_some();
    let (product, binding) = match usable {
        Some(checked) => (checked.product, checked.binding),
        None => CheckedBinding::measured_before(object).filter(|_| has_checkpoint)?,
    };
    let observed = ObservedBinding {
        binding,
        is_ending: object.metadata.deletion_timestamp.is_some() || !is_usable,
        has_checkpoint,
        created: object.metadata.creation_timestamp.clone(),
    };
    Some((product, observed))
}

/// AWS sees one pod and takes only the first record of a code, dimension and hour: the oldest product of a code has it.
fn rival(key: &ObjectKey, own: &MarketplaceProduct, house: &ProductHouse) -> Option<ObjectKey> {
    let age = |object: &MarketplaceProduct, key: &ObjectKey| {
        (object.metadata.creation_timestamp.clone().map(|time| time.0), key.clone())
    };
    let own_age = age(own, key);
    house
        .products
        .all()
        .into_iter()
        .filter_map(|(other, seen)| match seen {
            Seen::Object(object) if &other != key && object.spec.product_code == own.spec.product_code => {
                Some((age(&object, &other), other))
            }
            _ => None,
        })
        .filter(|(age, _)| *age < own_age)
        .min()
        .map(|(_, other)| other)
}

/// Names the installation in client tokens. Every mode may read a namespace in care, and its UID is unique in the world.
async fn namespace_uid(namespace: &str, house: &ProductHouse) -> Result<String, CallError> {
    let known =
        house.memory.namespaces.lock().unwrap_or_else(PoisonError::into_inner).get(namespace).cloned();
    if let Some(uid) = known {
        return Ok(uid);
    }
    let api: Api<Namespace> = Api::all(house.client.clone());
    let uid = call(api.get(namespace)).await?.uid().ok_or(CallError::Absent)?;
    let mut namespaces = house.memory.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
    namespaces.insert(namespace.to_owned(), uid.clone());
    Ok(uid)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::watch::Undecodable;

    fn object(buyer: &serde_json::Value, status: &serde_json::Value) -> LicenseBinding {
        let object = json!({
            "apiVersion": "tollkeeper.dev/v1alpha1", "kind": "LicenseBinding",
            "metadata": {"name": "prod", "namespace": "vecdb", "uid": "uid"},
            "spec": {"productRef": {"name": "vecdb"}, "buyer": buyer}, "status": status,
        });
        serde_json::from_value(object).unwrap()
    }

    fn measured() -> serde_json::Value {
        json!({"checkpoint": {"at": "2026-11-21T14:20:00Z", "hour": "2026-11-21T14:00:00Z", "data": ""}})
    }

    fn undecodable(remains: Option<LicenseBinding>) -> Seen<LicenseBinding> {
        let metadata = object(&json!(null), &json!({})).metadata;
        let problem = "unknown variant `Near`".to_owned();
        Seen::Undecodable(std::sync::Arc::new(Undecodable { metadata, problem, remains }))
    }

    #[test]
    fn a_binding_that_cannot_be_used_any_more_is_kept_for_what_was_measured_of_it() {
        let observed =
            |buyer, status| super::observed(&Seen::Object(std::sync::Arc::new(object(&buyer, &status))));
        let (product, usable) = observed(json!(null), measured()).unwrap();
        assert_eq!((product, usable.is_ending), (ObjectKey::new("vecdb", "vecdb"), false));
        let (product, unusable) = observed(json!({}), measured()).unwrap();
        assert_eq!((product, unusable.is_ending), (ObjectKey::new("vecdb", "vecdb"), true));
        assert_eq!(
            (&unusable.binding.key, &unusable.binding.uid),
            (&usable.binding.key, &usable.binding.uid)
        );
        assert_eq!(observed(json!({}), json!({})), None, "it was never measured");
    }

    #[test]
    fn a_binding_that_cannot_be_decoded_is_kept_for_what_was_measured_of_it() {
        let (product, kept) = observed(&undecodable(Some(object(&json!(null), &measured())))).unwrap();
        assert_eq!((product, kept.is_ending), (ObjectKey::new("vecdb", "vecdb"), true));
        assert_eq!(kept.binding.uid, "uid");
        let never_measured = undecodable(Some(object(&json!(null), &json!({}))));
        assert_eq!([observed(&never_measured), observed(&undecodable(None))], [None, None]);
    }
}
