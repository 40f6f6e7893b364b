//! Reports as `UsageReport` objects.

use std::{error::Error as _, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use tollkeeper_core::{
    clock::Clock,
    hour::BillingHour,
    identity::ObjectKey,
    ledger::{Created, Entry, Ledger, LedgerError},
    plan::seal,
    report::SealedReport,
    settlement::{Phase, RecordStatus, Settlement},
};

use super::{CALL_TIMEOUT, FIELD_MANAGER, Object, Scope, resource};

const PRODUCT_LABEL: &str = "tollkeeper.dev/product";
const PHASE_LABEL: &str = "tollkeeper.dev/phase";
const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Reports a page when listing: a page of full reports stays well below a megabyte.
const PAGE: u32 = 100;

/// The ledger in the API server.
pub struct KubernetesLedger {
    client: Client,
    scope: Scope,
    clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
struct Status {
    records: Vec<RecordStatus>,
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
            for object in self.list(&api, "").await? {
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

    fn reports(&self, namespace: &str) -> Api<Object> {
        Api::namespaced_with(self.client.clone(), namespace, &resource("UsageReport", "usagereports"))
    }

    fn scopes(&self) -> Vec<Api<Object>> {
        match &self.scope {
            Scope::Cluster => {
                vec![Api::all_with(self.client.clone(), &resource("UsageReport", "usagereports"))]
            }
            Scope::Namespaces(namespaces) => {
                namespaces.iter().map(|namespace| self.reports(namespace)).collect()
            }
        }
    }

    async fn list(&self, api: &Api<Object>, selector: &str) -> Result<Vec<Object>, LedgerError> {
        let mut objects = Vec::new();
        let mut params = ListParams::default().labels(selector).limit(PAGE);
        loop {
            let page = call(api.list(&params)).await?.map_err(unavailable)?;
            objects.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(objects),
            }
        }
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

async fn call<T>(
    request: impl Future<Output = Result<T, kube::Error>> + Send,
) -> Result<Result<T, kube::Error>, LedgerError> {
    timeout(CALL_TIMEOUT, request)
        .await
        .map_err(|_| LedgerError::Unavailable(format!("the API server did not answer in {CALL_TIMEOUT:?}")))
}

/// With the cause at the bottom: the sentence on top may only say that something went wrong.
fn unavailable(error: kube::Error) -> LedgerError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    if let Some(root) = cause.map(ToString::to_string).filter(|root| !text.contains(root.as_str())) {
        text = format!("{text}: {root}");
    }
    LedgerError::Unavailable(text)
}

/// Whether a report belongs to a product, by what it says or by what it is labelled.
fn is_of(object: &Object, product: &str) -> bool {
    let labelled = object.metadata.labels.as_ref().and_then(|labels| labels.get(PRODUCT_LABEL));
    let said = object.data.pointer("/spec/productRef/name").and_then(Value::as_str);
    labelled.is_some_and(|name| name == product) || said == Some(product)
}

fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// An object as an entry. A report whose hash is not that of its content is never acted upon.
fn entry(object: &Object) -> Result<Entry, LedgerError> {
    let key = ObjectKey::new(
        object.metadata.namespace.clone().unwrap_or_default(),
        object.metadata.name.clone().unwrap_or_default(),
    );
    let damaged = |problem: String| LedgerError::Damaged { key: key.clone(), problem };
    let part = |name: &str| object.data.get(name).cloned().unwrap_or_default();
    let report: SealedReport =
        serde_json::from_value(part("spec")).map_err(|error| damaged(format!("spec: {error}")))?;
    let status: Status =
        serde_json::from_value(part("status")).map_err(|error| damaged(format!("status: {error}")))?;
    if !report.is_intact() {
        return Err(damaged("its content has been changed after the seal: the hash differs".to_owned()));
    }
    if report.name() != key.name {
        return Err(damaged(format!("it is the report {} under another name", report.name())));
    }
    let dimensions = |records: &[RecordStatus]| -> Vec<_> {
        records.iter().map(|record| record.dimension.clone()).collect()
    };
    let sealed: Vec<_> = report.body.records.iter().map(|record| record.dimension.clone()).collect();
    if dimensions(&status.records) != sealed {
        return Err(damaged("its status does not name the dimensions of its spec".to_owned()));
    }
    Ok(Entry {
        namespace: key.namespace.clone(),
        report,
        settlement: Settlement { records: status.records },
        version: object.metadata.resource_version.clone().unwrap_or_default(),
    })
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

    async fn scan_unsettled(&self) -> Result<Vec<Entry>, LedgerError> {
        let selector = format!("{PRODUCT_LABEL},{PHASE_LABEL} notin ({})", Phase::Settled.as_str());
        let mut open = Vec::new();
        for api in self.scopes() {
            for object in self.list(&api, &selector).await? {
                match entry(&object) {
                    Ok(entry) => open.push(entry),
                    // One damaged report must not stop the others; its product's seal reports it.
                    Err(error) => tracing::error!(reason = error.reason(), %error, "a report is left alone"),
                }
            }
        }
        open.sort_by_key(|entry| (entry.report.deadline(), entry.key()));
        Ok(open)
    }

    async fn history(&self, product: &ObjectKey, since: BillingHour) -> Result<Vec<Entry>, LedgerError> {
        let selector = format!("{PRODUCT_LABEL}={}", product.name);
        let objects = self.list(&self.reports(&product.namespace), &selector).await?;
        let mut history: Vec<Entry> = objects.iter().map(entry).collect::<Result<_, _>>()?;
        history.retain(|entry| entry.report.body.hour >= since);
        history.sort_by_key(|entry| entry.report.body.hour);
        Ok(history)
    }

    async fn prune(&self, product: &ObjectKey, before: BillingHour) -> Result<usize, LedgerError> {
        let old = self.history(product, BillingHour::of(Timestamp::UNIX_EPOCH)).await?;
        let api = self.reports(&product.namespace);
        let mut pruned = 0;
        for entry in
            old.iter().filter(|entry| entry.report.body.hour < before && entry.settlement.is_terminal())
        {
            let preconditions =
                Preconditions { resource_version: Some(entry.version.clone()), ..Preconditions::default() };
            let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
            match call(api.delete(&entry.report.name(), &params)).await? {
                Ok(_) => pruned += 1,
                Err(error) if matches!(code(&error), Some(404 | 409)) => {}
                Err(error) => return Err(unavailable(error)),
            }
        }
        Ok(pruned)
    }
}
