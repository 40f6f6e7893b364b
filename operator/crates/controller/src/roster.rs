//! What the meters and the settler have come to, for whoever reports it: conditions, events, metrics, printer columns.
//!
//! Derived from the ledger and never the other way round: nothing that is billed depends on it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::broadcast;
use tollkeeper_core::{hour::BillingHour, identity::ObjectKey};

use crate::meter::{Finding, Findings, Progress};

/// Changes that a slow reader may fall behind by before it looks at everything again.
const CHANGES: usize = 1024;

/// What is known about one product's metering and settling.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ProductProgress {
    /// Whether a meter runs for it.
    pub is_metered: bool,
    /// Why the plugin that it names was not loaded.
    pub plugin: Option<Finding>,
    /// What its meter has to say.
    pub findings: Findings,
    /// How far its bindings are.
    pub bindings: BTreeMap<ObjectKey, Progress>,
    /// Bindings that are not metered because an older one means the same workload, and that one.
    pub overlapping: BTreeMap<ObjectKey, ObjectKey>,
    /// The last hour of which every record has its final place.
    pub last_settled: Option<BillingHour>,
    /// The oldest hour with a record that has not.
    pub oldest_unsettled: Option<BillingHour>,
    /// Records that AWS has neither taken nor refused for good.
    pub unsettled: usize,
    /// What a person should look at in the ledger, one a reason.
    pub attention: Vec<Finding>,
    /// Why its reports cannot be read.
    pub unread: Option<Finding>,
    /// What CloudTrail does not say about an ambiguous record.
    pub evidence: Option<Finding>,
    /// Why reports are not rolled up and pruned.
    pub bookkeeping: Option<Finding>,
}

/// What is known about all products.
pub struct Roster {
    products: Mutex<BTreeMap<ObjectKey, ProductProgress>>,
    blocked: Mutex<Option<Finding>>,
    changes: broadcast::Sender<ObjectKey>,
}

impl Default for Roster {
    fn default() -> Self {
        Self { products: Mutex::default(), blocked: Mutex::default(), changes: broadcast::channel(CHANGES).0 }
    }
}

impl Roster {
    /// Changes what is known of a product; tells the readers if that made a difference.
    pub fn update(&self, product: &ObjectKey, change: impl FnOnce(&mut ProductProgress)) {
        let mut products = self.products();
        let progress = products.entry(product.clone()).or_default();
        let before = progress.clone();
        change(progress);
        if *progress != before {
            // No reader is no error.
            let _ = self.changes.send(product.clone());
        }
    }

    /// Whether what is known of a product is like this already; not if nothing is known of it.
    pub fn shows(&self, product: &ObjectKey, is_like_this: impl FnOnce(&ProductProgress) -> bool) -> bool {
        self.products().get(product).is_some_and(is_like_this)
    }

    /// Why nothing can be sent to AWS at the moment.
    pub fn blocked(&self) -> Option<Finding> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says why nothing can be sent to AWS, or that it can.
    pub fn set_blocked(&self, finding: Option<Finding>) {
        let mut blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        if *blocked != finding {
            *blocked = finding;
            for product in self.products().keys() {
                let _ = self.changes.send(product.clone());
            }
        }
    }

    /// Forgets a product that is gone.
    pub fn forget(&self, product: &ObjectKey) {
        if self.products().remove(product).is_some() {
            let _ = self.changes.send(product.clone());
        }
    }

    /// What is known of a product.
    pub fn of(&self, product: &ObjectKey) -> Option<ProductProgress> {
        self.products().get(product).cloned()
    }

    /// What is known of all products.
    pub fn all(&self) -> BTreeMap<ObjectKey, ProductProgress> {
        self.products().clone()
    }

    /// Products whose progress changes from now on.
    pub fn changes(&self) -> broadcast::Receiver<ObjectKey> {
        self.changes.subscribe()
    }

    fn products(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, ProductProgress>> {
        self.products.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
