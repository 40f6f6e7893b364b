//! Reports as `UsageReport` objects.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tollkeeper_core::{
    clock::Clock,
    hour::BillingHour,
    identity::ObjectKey,
    ledger::{Created, Damage, Entry, Ledger, LedgerError, Scan},
    plan::seal,
    proof,
    report::{SealedReport, product_of},
    settlement::{Phase, Settlement},
};

use super::{
    FIELD_MANAGER, MANAGED_BY_LABEL, Object, PRODUCT_LABEL, Scope, call, code, document, is_of, list,
    only_version, read, resource, unavailable,
};

const PHASE_LABEL: &str = "tollkeeper.dev/phase";

/// The ledger in the API server.
pub struct KubernetesLedger {
    client: Client,
    scope: Scope,
    clock: Arc<dyn Clock>,
}

/// Reports as they were found, for reading only.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Oldest first.
    pub entries: Vec<Entry>,
    /// Reports that are not what was sealed, and why, by name.
    pub damaged: Vec<LedgerError>,
}

impl KubernetesLedger {
    /// A ledger for the products of these namespaces.
    pub fn new(client: Client, scope: Scope, clock: Arc<dyn Clock>) -> Self {
        Self { client, scope, clock }
    }

    /// All reports of the namespaces in care, or those of the products of one name. A damaged one hides no other.
    ///
    /// Labels are not asked: a report that has lost its label must not go missing.
    pub async fn find(&self, product: Option<&str>) -> Result<Found, LedgerError> {
        let mut found = Found::default();
        for api in self.scopes() {
            for object in list(&api, "").await? {
                if product.is_some_and(|product| !is_of(&object, product)) {
                    continue;
                }
                match entry(&object) {
                    Ok(entry) => found.entries.push(entry),
                    Err(error) => found.damaged.push(error),
                }
            }
        }
        found.entries.sort_by_key(|entry| (entry.report.body.hour, entry.product()));
        found.damaged.sort_by_key(ToString::to_string);
        Ok(found)
    }

    /// All reports as the API server holds them, damaged ones included.
    pub async fn documents(&self, product: Option<&str>) -> Result<Vec<Value>, LedgerError> {
        let mut documents = Vec::new();
        for api in self.scopes() {
            for object in list(&api, "").await? {
                if product.is_none_or(|product| is_of(&object, product)) {
                    documents.push(document(object)?);
                }
            }
        }
        Ok(documents)
    }

    fn reports(&self, namespace: &str) -> Api<Object> {
        Api::namespaced_with(self.client.clone(), namespace, &resource("UsageReport", "usagereports"))
    }

    fn scopes(&self) -> Vec<Api<Object>> {
        self.scope.apis(&self.client, &resource("UsageReport", "usagereports"))
    }

    fn status(&self, report: &SealedReport, settlement: &Settlement) -> Value {
        json!({
            "phase": settlement.phase().as_str(),
            "records": settlement.records,
            "accepted": settlement.accepted(),
            "unsettled": settlement.unsettled(),
            "conditions": [settled_condition(report, settlement, self.clock.now())],
        })
    }
}

/// The `Settled` condition: false from the seal on, true from the moment of its last change on.
fn settled_condition(report: &SealedReport, settlement: &Settlement, now: Timestamp) -> Value {
    let phase = settlement.phase();
    let (status, since) = match phase {
        Phase::Settled => ("True", now),
        Phase::Sealed | Phase::Sending | Phase::NeedsAttention => ("False", seal::due(report.body.hour)),
    };
    json!({
        "type": "Settled",
        "status": status,
        "reason": phase.as_str(),
        "message": describe(settlement),
        "lastTransitionTime": Timestamp::from_second(since.as_second()).unwrap_or(since).to_string(),
    })
}

fn describe(settlement: &Settlement) -> String {
    if let Some(record) = settlement.records.iter().find(|record| record.needs_attention()) {
        let why = record.message.as_deref().unwrap_or("no further detail");
        return format!("{} is {:?}: {why}", record.dimension, record.state);
    }
    match settlement.unsettled() {
        0 => "every record has its final place".to_owned(),
        open => format!("{open} of {} records are not settled", settlement.records.len()),
    }
}

/// An object as an entry. A report whose hash is not that of its content is never acted upon.
fn entry(object: &Object) -> Result<Entry, LedgerError> {
    read(object, proof::entry)
}

/// Takes an open report into the scan, as one that can be believed or one that cannot.
fn sort_in(scan: &mut Scan, object: &Object) {
    match entry(object) {
        Ok(entry) => scan.open.push(entry),
        Err(error) => scan.damaged.extend(damage(object, error)),
    }
}

/// A name cannot be changed, so it tells whose the report is; `None` if it is named and labelled as nobody's.
fn damage(object: &Object, error: LedgerError) -> Option<Damage> {
    let LedgerError::Damaged { key, problem } = error else { return None };
    let labels = object.metadata.labels.as_ref();
    let product = product_of(&key.name).or_else(|| labels?.get(PRODUCT_LABEL).map(String::as_str))?;
    let product = ObjectKey::new(key.namespace.clone(), product);
    Some(Damage { report: key, product, problem })
}

#[async_trait]
impl Ledger for KubernetesLedger {
    async fn create_if_absent(
        &self,
        namespace: &str,
        report: &SealedReport,
        settlement: &Settlement,
    ) -> Result<Created, LedgerError> {
        let api = self.reports(namespace);
        let key = ObjectKey::new(namespace, report.name());
        let object: Object = serde_json::from_value(json!({
            "apiVersion": "tollkeeper.dev/v1alpha1",
            "kind": "UsageReport",
            "metadata": {
                "name": key.name,
                "namespace": namespace,
                "labels": {
                    PRODUCT_LABEL: report.body.product_ref.name,
                    PHASE_LABEL: settlement.phase().as_str(),
                    MANAGED_BY_LABEL: "tollkeeper",
                },
            },
            "spec": report,
            "status": self.status(report, settlement),
        }))
        .map_err(|error| LedgerError::Unavailable(error.to_string()))?;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match call(api.create(&params, &object)).await? {
            Ok(created) => entry(&created).map(Created::New),
            Err(error) if code(&error) == Some(409) => match self.get(&key).await? {
                Some(existing) => Ok(Created::Existing(existing)),
                None => Err(LedgerError::Gone(key)),
            },
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn compare_and_swap(&self, entry: &Entry, settlement: &Settlement) -> Result<Entry, LedgerError> {
        let key = entry.key();
        let api = self.reports(&entry.namespace);
        let patch = json!({
            "metadata": {
                "resourceVersion": entry.version,
                "labels": { PHASE_LABEL: settlement.phase().as_str() },
            },
            "status": self.status(&entry.report, settlement),
        });
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match call(api.patch(&key.name, &params, &Patch::Merge(&patch))).await? {
            Ok(patched) => self::entry(&patched),
            Err(error) if code(&error) == Some(409) => Err(LedgerError::Stale(key)),
            Err(error) if code(&error) == Some(404) => Err(LedgerError::Gone(key)),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Entry>, LedgerError> {
        let api = self.reports(&key.namespace);
        call(api.get_opt(&key.name)).await?.map_err(unavailable)?.as_ref().map(entry).transpose()
    }

    async fn scan_unsettled(&self) -> Result<Scan, LedgerError> {
        let selector = format!("{PRODUCT_LABEL},{PHASE_LABEL} notin ({})", Phase::Settled.as_str());
        let resource = resource("UsageReport", "usagereports");
        let listing = self.scope.look(&self.client, &resource, &selector).await?;
        let mut scan = Scan { unread: listing.unread, ..Scan::default() };
        listing.objects.iter().for_each(|object| sort_in(&mut scan, object));
        scan.open.sort_by_key(|entry| (entry.report.deadline(), entry.key()));
        Ok(scan)
    }

    async fn history(&self, product: &ObjectKey, since: BillingHour) -> Result<Vec<Entry>, LedgerError> {
        let selector = format!("{PRODUCT_LABEL}={}", product.name);
        let objects = list(&self.reports(&product.namespace), &selector).await?;
        let mut history: Vec<Entry> = objects.iter().map(entry).collect::<Result<_, _>>()?;
        history.retain(|entry| entry.report.body.hour >= since);
        history.sort_by_key(|entry| entry.report.body.hour);
        Ok(history)
    }

    async fn prune(&self, entries: &[Entry]) -> Result<usize, LedgerError> {
        let mut pruned = 0;
        for entry in entries {
            let api = self.reports(&entry.namespace);
            let params = only_version(&entry.version);
            match call(api.delete(&entry.report.name(), &params)).await? {
                Ok(_) => pruned += 1,
                Err(error) if matches!(code(&error), Some(404 | 409)) => {}
                Err(error) => return Err(unavailable(error)),
            }
        }
        Ok(pruned)
    }
}
