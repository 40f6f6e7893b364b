//! All reads of a product's reconciliation.

use std::{collections::BTreeMap, path::Path, sync::PoisonError};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{Api, ResourceExt as _};
use tollkeeper_api::{
    MarketplaceProduct,
    convert::{CheckedBinding, CheckedProduct, InvalidProduct, Metered, PluginSource},
};
use tollkeeper_core::{
    identity::{Digest, ObjectKey},
    plugin::{Manifest, PluginFailure, PluginLimits},
    product::Binding,
};

use super::ProductHouse;
use crate::{
    calls::{CallError, call},
    meter::{Finding, LoadedPlugin, Quarantine},
    roster::ProductProgress,
    watch::Seen,
};

/// The largest component file that is read; the plugin host has the exact limit.
const MAX_COMPONENT: u64 = 32 << 20;

/// What a loaded plugin depends on: the same bytes under the same limits, and the configuration that it was asked about.
pub(super) type PluginKey = (Digest, PluginLimitsKey, String);

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PluginLimitsKey(PluginLimits);

/// A binding of the product.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct ObservedBinding {
    pub(super) binding: Binding,
    pub(super) is_ending: bool,
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
        Some(metered) => Some(plugin(metered, house).await?),
        None => None,
    };
    let now = house.clock.now();
    let is_deleted = object.metadata.deletion_timestamp.is_some();
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
        progress: house.roster.of(key).unwrap_or_default(),
        blocked: house.roster.blocked(),
        has_finalizer: object.finalizers().iter().any(|own| own == tollkeeper_api::SETTLE_FINALIZER),
        deleted_since: is_deleted.then(|| first_seen(key, now, house)),
        is_deleted,
        now,
        checked,
        object,
    }))
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
        .filter_map(|(_, seen)| match seen {
            Seen::Object(object) => Some(object),
            Seen::Undecodable(_) => None,
        })
        .filter_map(|object| {
            // A binding that is not usable says so itself.
            let checked = CheckedBinding::try_from(object.as_ref()).ok()?;
            (&checked.product == product).then(|| ObservedBinding {
                binding: checked.binding,
                is_ending: object.metadata.deletion_timestamp.is_some(),
                created: object.metadata.creation_timestamp.clone(),
            })
        })
        .collect()
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

/// The product's plugin: from memory if nothing about it has changed.
async fn plugin(metered: &Metered, house: &ProductHouse) -> Result<Result<LoadedPlugin, Finding>, CallError> {
    let meter = &metered.product.meter;
    let key: PluginKey = (meter.plugin.clone(), PluginLimitsKey(meter.limits), meter.config.to_string());
    let product = &metered.product.key;
    let known = house.memory.plugins.lock().unwrap_or_else(PoisonError::into_inner).get(product).cloned();
    if let Some((known, plugin)) = known
        && known == key
    {
        return Ok(Ok(plugin));
    }
    if let Some(finding) = quarantined(product, &key, house) {
        return Ok(Err(finding));
    }
    let component = match component(&product.namespace, &metered.plugin.source, house).await? {
        Ok(component) => component,
        Err(finding) => return Ok(Err(finding)),
    };
    Ok(match load(metered, &component, house).await {
        Ok(plugin) => {
            let mut plugins = house.memory.plugins.lock().unwrap_or_else(PoisonError::into_inner);
            plugins.insert(product.clone(), (key, plugin.clone()));
            Ok(plugin)
        }
        Err(failure) => {
            note(product, key, &failure, house);
            Err(Finding { reason: failure.reason(), message: failure.to_string() })
        }
    })
}

/// Whether the plugin has misbehaved so often while it was loaded that it is left alone.
fn quarantined(product: &ObjectKey, key: &PluginKey, house: &ProductHouse) -> Option<Finding> {
    let quarantines = house.memory.quarantines.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, quarantine) = quarantines.get(product).filter(|(known, _)| known == key)?;
    quarantine.finding(house.clock.now())
}

fn note(product: &ObjectKey, key: PluginKey, failure: &PluginFailure, house: &ProductHouse) {
    if !failure.is_misbehaviour() {
        return;
    }
    let mut quarantines = house.memory.quarantines.lock().unwrap_or_else(PoisonError::into_inner);
    let (known, quarantine) =
        quarantines.entry(product.clone()).or_insert_with(|| (key.clone(), Quarantine::default()));
    if *known != key {
        (*known, *quarantine) = (key, Quarantine::default());
    }
    quarantine.failed(house.clock.now(), failure);
}

async fn load(
    metered: &Metered,
    component: &[u8],
    house: &ProductHouse,
) -> Result<LoadedPlugin, PluginFailure> {
    let meter = &metered.product.meter;
    let plugin = house.host.load(component, &meter.plugin, meter.limits).await?;
    plugin.validate_config(&meter.config).await?;
    Ok(LoadedPlugin { digest: meter.plugin.clone(), plugin })
}

async fn component(
    namespace: &str,
    source: &PluginSource,
    house: &ProductHouse,
) -> Result<Result<Vec<u8>, Finding>, CallError> {
    let refused = |reason, message: String| Ok(Err(Finding { reason, message }));
    match source {
        PluginSource::File(path) => match read_file(path).await {
            Ok(bytes) => Ok(Ok(bytes)),
            Err(problem) => refused("PluginFileUnreadable", format!("{}: {problem}", path.display())),
        },
        PluginSource::ConfigMap { name, key } => {
            let api: Api<ConfigMap> = Api::namespaced(house.client.clone(), namespace);
            let map = match call(api.get_opt(name.as_str())).await {
                Ok(Some(map)) => map,
                Ok(None) => {
                    return refused(
                        "ConfigMapNotFound",
                        format!("there is no ConfigMap {name} in {namespace}; create it"),
                    );
                }
                Err(error) if error.passes_by_itself() => return Err(error),
                Err(error) => return refused(error.reason(), format!("the ConfigMap {name}: {error}")),
            };
            let mut data: BTreeMap<_, _> = map.binary_data.unwrap_or_default();
            match data.remove(key) {
                Some(bytes) => Ok(Ok(bytes.0)),
                None => refused(
                    "ConfigMapKeyNotFound",
                    format!(
                        "the ConfigMap {name} has no key `{key}` in its binaryData; add the component there"
                    ),
                ),
            }
        }
        PluginSource::Oci(reference) => refused(
            "OciNotSupported",
            format!(
                "{reference} is in a registry, and this version does not pull from registries yet; use configMap or file"
            ),
        ),
    }
}

async fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let length = tokio::fs::metadata(path).await.map_err(|error| error.to_string())?.len();
    if length > MAX_COMPONENT {
        return Err(format!("{length} bytes are more than the {MAX_COMPONENT} of the largest component"));
    }
    tokio::fs::read(path).await.map_err(|error| error.to_string())
}
