//! The objects of the ledger as JSON, read back into what the domain knows.

use serde::Deserialize;
use serde_json::Value;

use super::{Kind, Problem};
use crate::{
    identity::{Digest, ObjectKey},
    ledger::Entry,
    report::{SealedReport, canonical},
    settlement::{RecordStatus, Settlement},
    statement::{Statement, StoredStatement},
};

#[derive(Deserialize)]
struct Status {
    records: Vec<RecordStatus>,
}

/// Where an object says that it is.
fn key(object: &Value) -> ObjectKey {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    ObjectKey::new(text("/metadata/namespace"), text("/metadata/name"))
}

fn version(object: &Value) -> String {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// By namespace, product and time.
pub(super) fn order(object: &Value) -> (String, String, String) {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let time = [text("/spec/hour"), text("/spec/month")].concat();
    (text("/metadata/namespace"), text("/spec/productRef/name"), time)
}

/// Reads a `UsageReport`. Its hash must be that of its whole spec, fields that this version does not know included.
pub fn entry(object: &Value) -> Result<Entry, Problem> {
    let key = key(object);
    let edited = |field: &str, message: String| Problem::new(Kind::Edited, &key, message).in_field(field);
    let report: SealedReport = part(object, "spec").map_err(|error| edited("spec", error))?;
    is_whole(object).map_err(|message| edited("spec", message))?;
    let status: Status = part(object, "status").map_err(|error| edited("status", error))?;
    if report.name() != key.name {
        let message = format!("it is the report {} under another name", report.name());
        return Err(edited("metadata.name", message));
    }
    let sealed = report.body.records.iter().map(|record| &record.dimension);
    if !sealed.eq(status.records.iter().map(|record| &record.dimension)) {
        let message = "its status does not name the dimensions of its spec".to_owned();
        return Err(edited("status.records", message));
    }
    let settlement = Settlement { records: status.records };
    Ok(Entry { namespace: key.namespace, report, settlement, version: version(object) })
}

/// Reads a `UsageStatement`.
pub fn statement(object: &Value) -> Result<StoredStatement, Problem> {
    let key = key(object);
    let edited = |field: &str, message: String| Problem::new(Kind::Edited, &key, message).in_field(field);
    let statement: Statement = part(object, "spec").map_err(|error| edited("spec", error))?;
    is_whole(object).map_err(|message| edited("spec", message))?;
    if statement.name() != key.name {
        let message = format!("it is the statement {} under another name", statement.name());
        return Err(edited("metadata.name", message));
    }
    Ok(StoredStatement { namespace: key.namespace, statement, version: version(object) })
}

fn part<T: for<'de> Deserialize<'de>>(object: &Value, name: &str) -> Result<T, String> {
    let part = object.get(name).ok_or_else(|| format!("it has no {name}"))?;
    T::deserialize(part).map_err(|error| format!("its {name} cannot be read: {error}"))
}

/// Whether `spec.hash` is the hash of all the rest of the spec.
fn is_whole(object: &Value) -> Result<(), String> {
    let mut spec = object.get("spec").cloned().unwrap_or_default();
    let hash = spec.as_object_mut().and_then(|spec| spec.remove("hash"));
    let counted = Digest::of(canonical(&spec).as_bytes());
    if hash.as_ref().and_then(Value::as_str) == Some(counted.as_str()) {
        Ok(())
    } else {
        Err("its content has been changed after the seal: the hash differs".to_owned())
    }
}
