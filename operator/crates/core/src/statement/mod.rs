//! A month of a product, kept when its reports are gone: totals, and the roots that still prove the hash chain.
//!
//! A statement is a function of the one before it and of the reports in the ledger, so it may be computed and written
//! any number of times. A report is counted once: in the order of the chain, at or before `through`. Records that have
//! not ended by then are counted as held and listed as open, and move to their place when they have.

mod plan;
mod rollup;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use self::{
    plan::{Plan, Retention, horizon, plan},
    rollup::rolled_up,
};
use crate::{
    hour::BillingHour,
    identity::{Digest, DimensionName, ObjectKey, ProductCode},
    ledger::LedgerError,
    month::Month,
    quantity::Quantity,
    report::{Link, LocalReference, canonical},
};

/// What a dimension's month comes to. For every dimension that is rounded by carrying:
/// remainder of the month before + measured + carried in = billed + rejected + written off + held + carried forward +
/// remainder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MonthTotal {
    /// The dimension.
    pub dimension: DimensionName,
    /// Records that AWS took.
    pub records: u32,
    /// What was measured in the month's hours, without what was carried into them.
    pub measured: Quantity,
    /// Late usage of earlier hours that was billed here.
    pub carried_in: Quantity,
    /// What AWS took.
    pub billed: Quantity,
    /// What AWS refused for good.
    pub rejected: Quantity,
    /// What was given up.
    pub written_off: Quantity,
    /// What has no final place yet.
    pub held: Quantity,
    /// What a later hour carries.
    pub carried_forward: Quantity,
    /// What the last hour leaves to the next.
    pub remainder: Quantity,
}

/// One day of the hash chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DayRoot {
    /// The day in UTC, such as 2026-11-21.
    pub day: String,
    /// Its reports.
    pub reports: u32,
    /// The hash of its last report. By the chain it fixes that report and all before it.
    pub root: Digest,
}

/// A report whose records have not all ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OpenReport {
    /// Its hour.
    pub hour: BillingHour,
    /// Its hash: the reports around it may be gone.
    pub hash: Digest,
    /// The dimensions that are counted as held.
    pub dimensions: Vec<DimensionName>,
}

/// A statement without its hash.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatementBody {
    /// The product.
    pub product_ref: LocalReference,
    /// What AWS knows it by.
    pub product_code: ProductCode,
    /// The month.
    pub month: Month,
    /// Reports that are counted.
    pub reports: u32,
    /// The last hour that is counted.
    pub through: BillingHour,
    /// Reports up to this hour may be gone: they were pruned after this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned_through: Option<BillingHour>,
    /// The report before the month's first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Link>,
    /// A total a dimension, by name.
    pub totals: Vec<MonthTotal>,
    /// The days that have reports, in order.
    pub days: Vec<DayRoot>,
    /// Reports that are counted in part, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<OpenReport>,
}

/// A statement. Its JSON is the `spec` of a `UsageStatement`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Statement {
    /// Everything but the hash.
    #[serde(flatten)]
    pub body: StatementBody,
    /// Over the canonical JSON of the body.
    pub hash: Digest,
}

/// The name of the statement of a product's month.
pub fn statement_name(product: &str, month: Month) -> String {
    format!("{product}-{}", month.compact())
}

impl StatementBody {
    /// Adds the hash.
    pub fn sealed(self) -> Statement {
        let hash = self.hash();
        Statement { body: self, hash }
    }

    fn hash(&self) -> Digest {
        // A body is made of texts, numbers and lists; turning it into JSON cannot fail.
        Digest::of(canonical(&serde_json::to_value(self).unwrap_or_default()).as_bytes())
    }

    /// Whether a report of this hour is in the totals with all of its records.
    pub fn has_counted(&self, hour: BillingHour) -> bool {
        hour <= self.through && self.open.iter().all(|open| open.hour != hour)
    }

    /// The total of a dimension.
    pub fn total(&self, dimension: &DimensionName) -> Option<&MonthTotal> {
        self.totals.iter().find(|total| &total.dimension == dimension)
    }

    /// The last day's root.
    pub fn root(&self) -> Option<&Digest> {
        self.days.last().map(|day| &day.root)
    }
}

impl Statement {
    /// Its name.
    pub fn name(&self) -> String {
        statement_name(&self.body.product_ref.name, self.body.month)
    }

    /// Whether the hash is that of the body.
    pub fn is_intact(&self) -> bool {
        self.body.hash() == self.hash
    }
}

/// A statement as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredStatement {
    /// The namespace of the product.
    pub namespace: String,
    /// What it says.
    pub statement: Statement,
    /// The version that was read; opaque.
    pub version: String,
}

impl StoredStatement {
    /// Where it is.
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.clone(), self.statement.name())
    }

    /// Whose it is.
    pub fn product(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.clone(), self.statement.body.product_ref.name.clone())
    }
}

/// What a look at the statements has shown. A namespace that cannot be read hides no other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shelf {
    /// Oldest first within a product.
    pub statements: Vec<StoredStatement>,
    /// Namespaces that could not be read, and why: nothing may be concluded about their products.
    pub unread: BTreeMap<String, LedgerError>,
}

/// The durable statements. Like the ledger: created only if the name is free, changed only from the version that was read.
#[async_trait]
pub trait Statements: Send + Sync {
    /// All statements of the namespaces in care; an error if none of these can be read.
    async fn all(&self) -> Result<Shelf, LedgerError>;

    /// Creates one; [`LedgerError::Stale`] if there is one of its name.
    async fn create(&self, namespace: &str, statement: &Statement) -> Result<StoredStatement, LedgerError>;

    /// Replaces one, if it still has the version that was read.
    async fn replace(
        &self,
        stored: &StoredStatement,
        statement: &Statement,
    ) -> Result<StoredStatement, LedgerError>;

    /// Removes one, if it still has the version that was read. One that is gone is no error.
    async fn remove(&self, stored: &StoredStatement) -> Result<(), LedgerError>;
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
