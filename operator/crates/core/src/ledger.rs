//! The seam to the ledger: the durable record of every charge.
//!
//! Two operations carry all of its safety: a report is created only if its name is free, and it is changed only
//! from the version that was read. Every back end passes the conformance suite of the ledger crate.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::{
    hour::BillingHour, identity::ObjectKey, mark::MarkError, report::SealedReport, settlement::Settlement,
};

/// A report in the ledger, as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The namespace of the product.
    pub namespace: String,
    /// What was sealed. Never changes.
    pub report: SealedReport,
    /// What has become of it.
    pub settlement: Settlement,
    /// The version that was read; opaque.
    pub version: String,
}

impl Entry {
    /// Where it is.
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.clone(), self.report.name())
    }

    /// Whose it is.
    pub fn product(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.clone(), self.report.body.product_ref.name.clone())
    }
}

/// What came of creating a report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Created {
    /// It is new.
    New(Entry),
    /// There was one of that name; it is what holds.
    Existing(Entry),
}

/// A report that is not what was sealed: nothing of it can be believed but its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// Which.
    pub report: ObjectKey,
    /// Whose it is, by its name.
    pub product: ObjectKey,
    /// What is wrong with it.
    pub problem: String,
}

/// What a look through the open reports has shown. One that cannot be believed or read hides no other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scan {
    /// Those that may change and those that need a person, earliest deadline first.
    pub open: Vec<Entry>,
    /// Those that are not what was sealed.
    pub damaged: Vec<Damage>,
    /// Namespaces that could not be read, and why: nothing may be concluded about their products.
    pub unread: BTreeMap<String, LedgerError>,
}

impl Scan {
    /// The open reports of a product, or why its namespace could not be read.
    pub fn of(&self, product: &ObjectKey) -> Result<impl Iterator<Item = &Entry>, LedgerError> {
        match self.unread.get(&product.namespace) {
            Some(error) => Err(error.clone()),
            None => Ok(self.open.iter().filter(move |entry| entry.product() == *product)),
        }
    }
}

/// Why the ledger did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LedgerError {
    /// Somebody else has changed the entry since it was read. Read it again and decide again.
    #[error("the report {0} has been changed by somebody else")]
    Stale(ObjectKey),
    /// It does not show what was there before: a stale read, or the restore of an older backup.
    #[error(
        "the ledger does not show the report {0}, which this process has seen in it; was an older backup restored?"
    )]
    Behind(ObjectKey),
    /// It is gone.
    #[error("the report {0} does not exist")]
    Gone(ObjectKey),
    /// An entry is not what was written: somebody has edited it.
    #[error("the report {key} cannot be trusted: {problem}")]
    Damaged {
        /// Which.
        key: ObjectKey,
        /// What is wrong with it.
        problem: String,
    },
    /// What is to be sent could not be noted outside of the ledger, so it may not be sent.
    #[error(transparent)]
    Unmarked(#[from] MarkError),
    /// The store cannot be reached or refused; whether a write happened is not known.
    #[error("the ledger is unavailable: {0}")]
    Unavailable(String),
}

impl LedgerError {
    /// The reason that conditions, events, metrics and log lines share.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Stale(_) => "LedgerConflict",
            Self::Behind(_) => "LedgerBehind",
            Self::Gone(_) => "ReportGone",
            Self::Damaged { .. } => "ReportDamaged",
            Self::Unmarked(error) => error.reason(),
            Self::Unavailable(_) => "LedgerUnavailable",
        }
    }
}

/// The durable record of every charge.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Creates the report, unless there is one of its name.
    async fn create_if_absent(
        &self,
        namespace: &str,
        report: &SealedReport,
        settlement: &Settlement,
    ) -> Result<Created, LedgerError>;

    /// Replaces the settlement of an entry, if it still has the version that was read.
    async fn compare_and_swap(&self, entry: &Entry, settlement: &Settlement) -> Result<Entry, LedgerError>;

    /// Reads one report.
    async fn get(&self, key: &ObjectKey) -> Result<Option<Entry>, LedgerError>;

    /// Reports of the namespaces in care that are not `Settled`. It fails only if none of the namespaces can be read.
    async fn scan_unsettled(&self) -> Result<Scan, LedgerError>;

    /// A product's reports of the hours from `since` on, oldest first.
    async fn history(&self, product: &ObjectKey, since: BillingHour) -> Result<Vec<Entry>, LedgerError>;

    /// Deletes these reports, each only if it still has the version that was read, and returns how many went. What may be
    /// deleted is decided by [`crate::statement::plan()`], which has counted exactly these versions.
    async fn prune(&self, entries: &[Entry]) -> Result<usize, LedgerError>;
}
