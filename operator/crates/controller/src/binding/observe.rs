//! Everything that is read before a binding is decided about.
//!
//! Secrets are read by name only, never listed: the operator is granted no more.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Secret, ServiceAccount},
    apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, OwnerReference},
};
use kube::{Api, Resource};
use tollkeeper_api::{
    LicenseBinding, LicenseBindingStatus,
    convert::{Access, CheckedBinding, TokenOrigin},
};
use tollkeeper_core::{hour::BillingHour, identity::ObjectKey, ledger::LedgerError};

use super::{
    House,
    objects::{Hidden, Kind, ObjectId, Reading},
    settle,
};
use crate::{
    calls::{CallError, call},
    roster::ProductProgress,
    watch::Seen,
};

/// Annotation of a binding: the objects that have been provisioned for it, separated by commas. Written before they are,
/// so that none is forgotten when its name changes.
pub const PROVISIONED_ANNOTATION: &str = "tollkeeper.dev/provisioned";

/// Annotation of a binding: when its deletion was first seen, on Tollkeeper's clock.
pub const DELETION_ANNOTATION: &str = "tollkeeper.dev/deletion-seen";

/// Why a specification cannot be acted upon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Bounded, PascalCase.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
}

/// What a binding's object says of itself.
#[derive(Clone, PartialEq, Debug)]
pub struct Subject {
    /// Its name.
    pub key: ObjectKey,
    /// How its objects refer to it; its `uid` is the binding's.
    pub owner: OwnerReference,
    /// The version that writes name.
    pub version: String,
    /// The specification's.
    pub generation: Option<i64>,
    /// Its finalizers.
    pub finalizers: Vec<String>,
    /// Whether it is being deleted.
    pub is_deleting: bool,
    /// Since when, if that has been written down.
    pub deletion_seen: Option<Timestamp>,
    /// What has been provisioned for it at any time.
    pub provisioned: BTreeSet<ObjectId>,
}

/// The product of a binding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProductSeen {
    /// Its name.
    pub key: ObjectKey,
    /// Whether it exists.
    pub exists: bool,
    /// Whether its usage is to be measured.
    pub is_to_be_metered: bool,
}

/// What became of reading the buyer's token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenReading {
    /// The Secret's value, as it is.
    Value(Hidden),
    /// There is no such Secret.
    NoSecret,
    /// It has no such key.
    NoKey,
    /// The operator has no right to look.
    Forbidden,
}

/// Everything that a plan is made from.
#[derive(Clone, PartialEq, Debug)]
pub struct Observed {
    /// The binding's object.
    pub subject: Subject,
    /// What it asks for.
    pub spec: Result<CheckedBinding, Problem>,
    /// Its status; `None` if that cannot be decoded.
    pub status: Option<LicenseBindingStatus>,
    /// Whether the binding has ever been measured.
    pub has_checkpoint: bool,
    /// Its product, as far as that can be known.
    pub product: Option<ProductSeen>,
    /// How far the product's metering is.
    pub progress: Option<ProductProgress>,
    /// Hours of the product whose reports are not settled; read only if the binding is being deleted and has no open
    /// hours any more.
    pub unsettled: BTreeSet<BillingHour>,
    /// The objects that are or were provisioned.
    pub objects: BTreeMap<ObjectId, Reading>,
    /// The buyer's token, where one is asked for.
    pub token: Option<TokenReading>,
}

/// Why a binding could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// An object could not be read.
    #[error("cannot read {what}")]
    Read {
        /// Which.
        what: String,
        /// Why not.
        #[source]
        source: CallError,
    },
    /// The ledger could not be read.
    #[error("cannot read the reports of the product")]
    Ledger(#[source] LedgerError),
}

impl ObserveError {
    /// The reason that metrics and log lines show.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Read { source, .. } => source.reason(),
            Self::Ledger(source) => source.reason(),
        }
    }
}

impl Observed {
    /// What is known before anything is read.
    pub(super) fn of(key: &ObjectKey, seen: &Seen<LicenseBinding>) -> Self {
        let (metadata, spec, status) = match seen {
            Seen::Object(binding) => {
                let spec = CheckedBinding::try_from(&**binding)
                    .map_err(|problem| Problem { reason: problem.reason(), message: problem.to_string() });
                (&binding.metadata, spec, Some(binding.status.clone().unwrap_or_default()))
            }
            Seen::Undecodable(broken) => {
                let message = format!("the binding cannot be decoded: {}; correct it", broken.problem);
                let problem = Problem { reason: "Undecodable", message };
                (&broken.metadata, Err(problem), None)
            }
        };
        let readable = seen.readable();
        let checkpoint = readable
            .and_then(|binding| binding.status.as_ref())
            .and_then(|status| status.checkpoint.as_ref());
        let product = readable.map(|binding| ObjectKey::new(&key.namespace, &binding.spec.product_ref.name));
        Self {
            subject: Subject::of(key, metadata),
            spec,
            status,
            has_checkpoint: checkpoint.is_some(),
            product: product.map(|key| ProductSeen { key, exists: false, is_to_be_metered: false }),
            progress: None,
            unsettled: BTreeSet::new(),
            objects: BTreeMap::new(),
            token: None,
        }
    }

    /// The conditions as they are.
    pub fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
    }

    /// How far metering and settling are; `None` right after a start, when only bindings have been chosen.
    pub fn known_progress(&self) -> Option<&ProductProgress> {
        let is_awaited = self.product.as_ref().is_some_and(|product| product.is_to_be_metered);
        self.progress.as_ref().filter(|progress| {
            let has_settled = progress.last_settled.is_some() || progress.unsettled > 0;
            !is_awaited || has_settled || !progress.attention.is_empty() || progress.findings.has_ticked
        })
    }

    /// The access that is to be provisioned: none for a binding that is out of force.
    pub fn access(&self) -> Option<&Access> {
        self.spec.as_ref().ok().filter(|spec| !spec.suspended)?.access.as_ref()
    }
}

impl Subject {
    fn of(key: &ObjectKey, metadata: &ObjectMeta) -> Self {
        let annotation =
            |name: &str| metadata.annotations.as_ref().and_then(|annotations| annotations.get(name));
        let provisioned = annotation(PROVISIONED_ANNOTATION).map(String::as_str).unwrap_or_default();
        Self {
            key: key.clone(),
            owner: OwnerReference {
                api_version: LicenseBinding::api_version(&()).into_owned(),
                kind: LicenseBinding::kind(&()).into_owned(),
                name: key.name.clone(),
                uid: metadata.uid.clone().unwrap_or_default(),
                controller: Some(true),
                block_owner_deletion: None,
            },
            version: metadata.resource_version.clone().unwrap_or_default(),
            generation: metadata.generation,
            finalizers: metadata.finalizers.clone().unwrap_or_default(),
            is_deleting: metadata.deletion_timestamp.is_some(),
            deletion_seen: annotation(DELETION_ANNOTATION).and_then(|text| text.parse().ok()),
            provisioned: provisioned.split(',').filter_map(|text| text.parse().ok()).collect(),
        }
    }
}

/// The objects that an access is made of.
pub fn objects_of(access: &Access) -> Vec<ObjectId> {
    match access {
        Access::Irsa { service_account, .. } => vec![ObjectId::service_account(service_account.as_str())],
        Access::LicenseToken(token) => {
            let account = token.service_account.as_ref().map(|name| ObjectId::service_account(name.as_str()));
            account.into_iter().chain([ObjectId::secret(token.secret.as_str())]).collect()
        }
    }
}

/// Reads everything.
pub(super) async fn observe(
    house: &House,
    key: &ObjectKey,
    seen: &Seen<LicenseBinding>,
) -> Result<Observed, ObserveError> {
    let mut observed = Observed::of(key, seen);
    if let Some(product) = &mut observed.product {
        let found = house.products.get(&product.key);
        product.exists = found.is_some();
        product.is_to_be_metered = match found {
            Some(Seen::Object(found)) => found.spec.meter.is_some(),
            // Nobody knows, and waiting is the safe side.
            Some(Seen::Undecodable(_)) => true,
            None => false,
        };
        // Before the ledger: what the meter has sealed by now, the ledger shows.
        observed.progress = house.roster.of(&product.key);
    }
    if observed.subject.is_deleting && settle::open_hours(&observed).is_none() {
        observed.unsettled = unsettled(house, observed.product.as_ref()).await?;
    }
    let wanted = observed.access().map(objects_of).unwrap_or_default();
    let all: BTreeSet<ObjectId> = wanted.into_iter().chain(observed.subject.provisioned.clone()).collect();
    for id in all {
        let reading = read(house, &key.namespace, &id).await?;
        observed.objects.insert(id, reading);
    }
    if let Some(Access::LicenseToken(access)) = observed.access()
        && let TokenOrigin::Secret { name, key: entry } = &access.origin
    {
        observed.token = Some(token(house, &key.namespace, name.as_str(), entry).await?);
    }
    Ok(observed)
}

async fn unsettled(
    house: &House,
    product: Option<&ProductSeen>,
) -> Result<BTreeSet<BillingHour>, ObserveError> {
    let Some(product) = product else { return Ok(BTreeSet::new()) };
    let scan = house.ledger.scan_unsettled().await.map_err(ObserveError::Ledger)?;
    let ours = scan.of(&product.key).map_err(ObserveError::Ledger)?;
    Ok(ours.map(|entry| entry.report.body.hour).collect())
}

async fn read(house: &House, namespace: &str, id: &ObjectId) -> Result<Reading, ObserveError> {
    let found = match id.kind {
        Kind::ServiceAccount => {
            let api = Api::<ServiceAccount>::namespaced(house.client.clone(), namespace);
            call(api.get_opt(&id.name)).await.map(|object| object.map(Into::into))
        }
        Kind::Secret => {
            let api = Api::<Secret>::namespaced(house.client.clone(), namespace);
            call(api.get_opt(&id.name)).await.map(|object| object.map(Into::into))
        }
    };
    match found {
        Ok(found) => Ok(found.map_or(Reading::Absent, Reading::Found)),
        Err(CallError::Forbidden(_)) => Ok(Reading::Forbidden),
        Err(source) => Err(ObserveError::Read { what: id.to_string(), source }),
    }
}

async fn token(house: &House, namespace: &str, name: &str, key: &str) -> Result<TokenReading, ObserveError> {
    let api = Api::<Secret>::namespaced(house.client.clone(), namespace);
    match call(api.get_opt(name)).await {
        Ok(None) => Ok(TokenReading::NoSecret),
        Ok(Some(secret)) => {
            let value = secret.data.and_then(|mut data| data.remove(key));
            Ok(value.map_or(TokenReading::NoKey, |value| TokenReading::Value(Hidden(value.0))))
        }
        Err(CallError::Forbidden(_)) => Ok(TokenReading::Forbidden),
        Err(source) => Err(ObserveError::Read { what: format!("Secret/{name}"), source }),
    }
}
