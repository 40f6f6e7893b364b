//! Tells, as events of the product, of records that need a person and of the decisions that people have taken about them.
//!
//! The ledger holds both; this only reads. A record is told of once in each state that needs a person, and again after a start:
//! events are gone after an hour. A decision that was taken while nobody was there is told when it is at most an hour old.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource as _;
use tokio_util::sync::CancellationToken;
use tollkeeper_api::MarketplaceProduct;
use tollkeeper_core::{
    clock::Clock,
    decision::{Decision, DecisionKind},
    identity::{DimensionName, ObjectKey},
    ledger::{Entry, Ledger, LedgerError},
    settlement::RecordState,
};

use crate::{
    attention::{self, RECORD_NEEDS_ATTENTION},
    conditions::Verdict,
    events::Events,
    watch::{Seen, Watched},
};

/// How often the ledger is looked through: people who have decided look for the effect within a minute.
const INTERVAL: SignedDuration = SignedDuration::from_secs(30);

/// Older decisions were told of before this process was there.
const NEWS: SignedDuration = SignedDuration::from_hours(1);

/// The most records of a product that are told of one by one at a look; the others are told as a number.
const MAX_NEEDY: usize = 20;

/// What telling takes.
pub struct House {
    /// The present moment.
    pub clock: Arc<dyn Clock>,
    /// The reports.
    pub ledger: Arc<dyn Ledger>,
    /// The products, which events are about.
    pub products: Arc<Watched<MarketplaceProduct>>,
    /// Tells people.
    pub events: Events,
}

/// Tells of records until it is told to stop.
pub async fn run(house: &House, stop: &CancellationToken) {
    let mut witness = Witness::default();
    while !stop.is_cancelled() {
        match witness.look(house.ledger.as_ref(), house.clock.now()).await {
            Ok(news) => {
                for piece in news {
                    if !house.tell(&piece).await {
                        witness.forget(&piece);
                    }
                }
            }
            Err(error) => tracing::warn!(reason = error.reason(), %error, "records cannot be told of"),
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = house.clock.sleep_until(house.clock.now() + INTERVAL) => {}
        }
    }
}

impl House {
    /// Whether a piece of news need not be told again.
    async fn tell(&self, news: &News) -> bool {
        let Some(Seen::Object(object)) = self.products.get(&news.product) else {
            return self.products.is_listed(&news.product.namespace);
        };
        let report = news.record.as_ref().map(|(report, dimension)| reference(report, dimension));
        self.events.tell(&object.object_ref(&()), report.as_ref(), news.action, &news.verdict).await
    }
}

/// Where a record is.
fn reference(report: &ObjectKey, dimension: &DimensionName) -> ObjectReference {
    ObjectReference {
        api_version: Some("tollkeeper.dev/v1alpha1".to_owned()),
        kind: Some("UsageReport".to_owned()),
        namespace: Some(report.namespace.clone()),
        name: Some(report.name.clone()),
        field_path: Some(format!("status.records{{{dimension}}}")),
        ..ObjectReference::default()
    }
}

/// Something to tell of a product.
#[derive(Clone, PartialEq, Debug)]
struct News {
    product: ObjectKey,
    /// The record that it is about, by report and dimension; none if it is about many.
    record: Option<(ObjectKey, DimensionName)>,
    /// What was done to it, PascalCase.
    action: &'static str,
    verdict: Verdict,
}

/// Remembers what it has told.
#[derive(Default)]
struct Witness {
    /// Reports that were not settled at the last look.
    open: BTreeSet<ObjectKey>,
    /// Decisions that are known, by record.
    known: BTreeMap<(ObjectKey, DimensionName), usize>,
    /// Records that need a person and have been told of, and in which state.
    needy: BTreeMap<(ObjectKey, DimensionName), RecordState>,
}

impl Witness {
    /// What is new. A decision that has settled its report has taken it out of the scan, so reports that have left it are looked
    /// at once more.
    async fn look(&mut self, ledger: &dyn Ledger, now: Timestamp) -> Result<Vec<News>, LedgerError> {
        let scan = ledger.scan_unsettled().await?;
        let open: BTreeSet<ObjectKey> = scan.open.iter().map(Entry::key).collect();
        let mut left = Vec::new();
        for key in self.open.difference(&open) {
            left.extend(ledger.get(key).await?);
        }
        let mut news = self.needy(&scan.open);
        news.extend(scan.open.iter().chain(&left).flat_map(|entry| self.decisions(entry, now)));
        self.known.retain(|(report, _), _| open.contains(report));
        self.needy.retain(|(report, _), _| open.contains(report));
        self.open = open;
        Ok(news)
    }

    /// Records that need a person in a state that nobody was told of.
    fn needy(&mut self, open: &[Entry]) -> Vec<News> {
        let mut counts: BTreeMap<ObjectKey, usize> = BTreeMap::new();
        let mut news = Vec::new();
        for entry in open {
            for record in &entry.settlement.records {
                let key = (entry.key(), record.dimension.clone());
                if !record.needs_attention() {
                    self.needy.remove(&key);
                    continue;
                }
                if self.needy.insert(key.clone(), record.state) == Some(record.state) {
                    continue;
                }
                let count = counts.entry(entry.product()).or_default();
                *count += 1;
                if *count <= MAX_NEEDY {
                    let finding = attention::of_record(entry, record);
                    let verdict = Verdict::fails("Settled", finding.reason, finding.message);
                    news.push(News {
                        product: entry.product(),
                        record: Some(key),
                        action: "Settle",
                        verdict,
                    });
                }
            }
        }
        news.extend(counts.into_iter().filter(|(_, count)| *count > MAX_NEEDY).map(|(product, count)| {
            let message = format!(
                "{} more records need a person: `tollkeeper report list` names them",
                count - MAX_NEEDY
            );
            let verdict = Verdict::fails("Settled", RECORD_NEEDS_ATTENTION, message);
            News { product, record: None, action: "Settle", verdict }
        }));
        news
    }

    /// Tells of a record again at the next look.
    fn forget(&mut self, news: &News) {
        if let Some(record) = &news.record {
            self.needy.remove(record);
        }
    }

    fn decisions(&mut self, entry: &Entry, now: Timestamp) -> Vec<News> {
        let mut news = Vec::new();
        for record in entry.settlement.records.iter().filter(|record| !record.decisions.is_empty()) {
            let key = (entry.key(), record.dimension.clone());
            let known = self.known.entry(key.clone()).or_default();
            let new = record.decisions.iter().skip(*known);
            let told = new.filter(|decision| now.duration_since(decision.at) <= NEWS);
            news.extend(told.map(|decision| News {
                product: entry.product(),
                record: Some(key.clone()),
                action: "Decide",
                verdict: verdict(entry, &record.dimension, decision),
            }));
            *known = record.decisions.len();
        }
        news
    }
}

fn verdict(entry: &Entry, dimension: &DimensionName, decision: &Decision) -> Verdict {
    let reason = match decision.kind {
        DecisionKind::Resolve => "RecordResolved",
        DecisionKind::WriteOff => "RecordWrittenOff",
        DecisionKind::Release => "RecordReleased",
        DecisionKind::Acknowledge => "RecordAcknowledged",
    };
    Verdict::holds("Decided", reason, format!("{dimension} of {}: {decision}", entry.report.name()))
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
