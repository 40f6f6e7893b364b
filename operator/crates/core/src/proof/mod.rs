//! What anybody can prove about a ledger without access to anything else: that nobody has edited, deleted, reordered or
//! rolled back what it says, and which report it was if somebody has.
//!
//! Works on the JSON of the objects, from the cluster or from an export alike: nothing that an object says is ignored.
//! The hash chain proves what was sealed; statements bridge what was pruned; the digests of an export prove the rest of
//! it (states and claims change in a cluster, so nothing can fix them there); an earlier export proves the end.

mod chain;
mod document;
mod export;
mod late;
mod since;
mod statements;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Serialize;
use serde_json::Value;

pub use self::{
    document::{entry, statement},
    export::{Export, FORMAT, InvalidExport},
    since::changed_since,
};
use crate::{
    identity::{Digest, DimensionName, ObjectKey},
    ledger::Entry,
    statement::StoredStatement,
};

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Kind {
    /// It does not say what it said.
    Edited,
    /// It is not there, and nothing says that it was pruned.
    Missing,
    /// It is there twice.
    Duplicated,
    /// It is not where it was.
    OutOfOrder,
    /// The ledger ends earlier than it did.
    RolledBack,
    /// The export ends before its end.
    Truncated,
    /// A statement and the reports, or two reports, do not fit each other.
    Contradiction,
    /// A rule of the ledger is broken.
    Broken,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Problem {
    /// What kind of thing.
    pub kind: Kind,
    /// The report or statement: namespace and name.
    pub report: String,
    /// The dimension, where it is about one record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<DimensionName>,
    /// The field, where it can be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// One sentence.
    pub message: String,
}

impl Problem {
    fn new(kind: Kind, report: impl fmt::Display, message: impl Into<String>) -> Self {
        Self { kind, report: report.to_string(), record: None, field: None, message: message.into() }
    }

    fn of_record(self, dimension: &DimensionName) -> Self {
        Self { record: Some(dimension.clone()), ..self }
    }

    fn in_field(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.report)?;
        if let Some(record) = &self.record {
            write!(f, " {record}")?;
        }
        if let Some(field) = &self.field {
            write!(f, " {field}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// The objects of a ledger as JSON, oldest first within a product.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Material {
    /// `UsageReport`s.
    pub reports: Vec<Value>,
    /// `UsageStatement`s.
    pub statements: Vec<Value>,
}

/// What was looked at of one product.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Chain {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub product: String,
    /// Reports.
    pub reports: usize,
    /// Statements.
    pub statements: usize,
    /// The name of the oldest report.
    pub first: Option<String>,
    /// The name of the newest report.
    pub last: Option<String>,
    /// The hash of the newest report: it fixes all before it. Keep it, and a rollback can be found without an export.
    pub hash: Option<Digest>,
}

/// What a proof has come to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Proof {
    /// What was looked at.
    pub chains: Vec<Chain>,
    /// What is wrong, oldest first within a product; empty if all is well.
    pub problems: Vec<Problem>,
}

#[derive(Default)]
struct Books {
    history: Vec<Entry>,
    statements: Vec<StoredStatement>,
}

impl Material {
    /// From a Kubernetes list, from a single object, or from the result of a simulation; `None` if it is none of them.
    pub fn of_objects(document: Value) -> Option<Self> {
        let objects = match document.get("items").or(document.get("reports")) {
            Some(Value::Array(items)) => items.clone(),
            _ => vec![document],
        };
        let mut material = Self::default();
        for object in objects {
            match object.get("kind").and_then(Value::as_str) {
                Some("UsageReport") => material.reports.push(object),
                Some("UsageStatement") => material.statements.push(object),
                _ => return None,
            }
        }
        Some(material)
    }

    /// Keeps the objects of one namespace, or of the products of one name.
    pub fn retain(&mut self, namespace: Option<&str>, product: Option<&str>) {
        let is_wanted = |object: &Value| {
            let has = |path: &str, wanted: Option<&str>| {
                wanted.is_none_or(|wanted| object.pointer(path).and_then(Value::as_str) == Some(wanted))
            };
            has("/metadata/namespace", namespace) && has("/spec/productRef/name", product)
        };
        self.reports.retain(is_wanted);
        self.statements.retain(is_wanted);
    }

    /// Puts the objects in the order in which they are proved: an API server lists them by name.
    pub fn sort(&mut self) {
        self.reports.sort_by_cached_key(document::order);
        self.statements.sort_by_cached_key(document::order);
    }

    /// The objects that can be read, by product, and what is wrong with the others.
    fn books(&self) -> (BTreeMap<ObjectKey, Books>, Vec<Problem>) {
        let mut books: BTreeMap<ObjectKey, Books> = BTreeMap::new();
        let mut problems = Vec::new();
        for object in &self.reports {
            match entry(object) {
                Ok(entry) => books.entry(entry.product()).or_default().history.push(entry),
                Err(problem) => problems.push(problem),
            }
        }
        for object in &self.statements {
            match statement(object) {
                Ok(stored) => books.entry(stored.product()).or_default().statements.push(stored),
                Err(problem) => problems.push(problem),
            }
        }
        (books, problems)
    }

    /// The reports that can be read, oldest first within a product.
    pub fn entries(&self) -> Vec<Entry> {
        self.books().0.into_values().flat_map(|books| books.history).collect()
    }

    /// The statements that can be read, oldest first within a product.
    pub fn stored_statements(&self) -> Vec<StoredStatement> {
        self.books().0.into_values().flat_map(|books| books.statements).collect()
    }
}

/// Proves what can be proved, and names what cannot.
pub fn prove(material: &Material) -> Proof {
    let (books, mut problems) = material.books();
    // A report that cannot be read is missing from its chain, but it was not deleted.
    let damaged: BTreeSet<String> = problems.iter().map(|problem| problem.report.clone()).collect();
    let mut chains = Vec::new();
    for (product, Books { history, statements }) in books {
        let of_chain = chain::problems(&history, &statements);
        problems.extend(of_chain.into_iter().filter(|problem| !damaged.contains(&problem.report)));
        problems.extend(late::problems(&history));
        problems.extend(statements::problems(&history, &statements));
        let name = |entry: &Entry| entry.report.name();
        chains.push(Chain {
            namespace: product.namespace,
            product: product.name,
            reports: history.len(),
            statements: statements.len(),
            first: history.first().map(name),
            last: history.last().map(name),
            hash: history.last().map(|entry| entry.report.hash.clone()),
        });
    }
    Proof { chains, problems }
}

#[cfg(test)]
mod tests;
