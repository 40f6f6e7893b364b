//! Tells of the decisions that people have taken about records, as events of the product.
//!
//! The ledger holds the decisions; this only reads. A decision that was taken while nobody was there to tell of it is told
//! when it is at most an hour old: events are gone after an hour.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use kube::Resource as _;
use tokio_util::sync::CancellationToken;
use tollkeeper_api::MarketplaceProduct;
use tollkeeper_core::{
    clock::Clock,
    decision::{Decision, DecisionKind},
    identity::{DimensionName, ObjectKey},
    ledger::{Entry, Ledger, LedgerError},
};

use crate::{
    conditions::Verdict,
    events::Events,
    watch::{Seen, Watched},
};

/// How often the ledger is looked through: people who have decided look for the effect within a minute.
const INTERVAL: SignedDuration = SignedDuration::from_secs(30);

/// Older decisions were told of before this process was there.
const NEWS: SignedDuration = SignedDuration::from_hours(1);

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

/// Tells of decisions until it is told to stop.
pub async fn run(house: &House, stop: &CancellationToken) {
    let mut witness = Witness::default();
    while !stop.is_cancelled() {
        match witness.look(house.ledger.as_ref(), house.clock.now()).await {
            Ok(news) => {
                for (product, verdict) in news {
                    if let Some(Seen::Object(object)) = house.products.get(&product) {
                        house.events.announce(&object.object_ref(&()), "Decide", [&verdict]).await;
                    }
                }
            }
            Err(error) => tracing::warn!(reason = error.reason(), %error, "decisions cannot be read"),
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = house.clock.sleep_until(house.clock.now() + INTERVAL) => {}
        }
    }
}

/// Remembers what it has told.
#[derive(Default)]
struct Witness {
    /// Reports that were not settled at the last look.
    open: BTreeSet<ObjectKey>,
    /// Decisions that are known, by record.
    known: BTreeMap<(ObjectKey, DimensionName), usize>,
}

impl Witness {
    /// Decisions that are new. One that has settled its report has taken it out of the scan, so reports that have left
    /// it are looked at once more.
    async fn look(
        &mut self,
        ledger: &dyn Ledger,
        now: Timestamp,
    ) -> Result<Vec<(ObjectKey, Verdict)>, LedgerError> {
        let mut entries = ledger.scan_unsettled().await?.open;
        let open: BTreeSet<ObjectKey> = entries.iter().map(Entry::key).collect();
        for key in self.open.difference(&open) {
            entries.extend(ledger.get(key).await?);
        }
        let news = entries.iter().flat_map(|entry| self.news(entry, now)).collect();
        self.known.retain(|(report, _), _| open.contains(report));
        self.open = open;
        Ok(news)
    }

    fn news(&mut self, entry: &Entry, now: Timestamp) -> Vec<(ObjectKey, Verdict)> {
        let mut news = Vec::new();
        for record in entry.settlement.records.iter().filter(|record| !record.decisions.is_empty()) {
            let known = self.known.entry((entry.key(), record.dimension.clone())).or_default();
            let new = record.decisions.iter().skip(*known);
            let told = new.filter(|decision| now.duration_since(decision.at) <= NEWS);
            news.extend(told.map(|decision| (entry.product(), verdict(entry, &record.dimension, decision))));
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
mod tests {
    use tollkeeper_core::{
        decision::{Author, Wish},
        hour::BillingHour,
        product::{LatePolicy, Mode},
        settlement::Settlement,
    };
    use tollkeeper_ledger::{conformance::report, memory::MemoryLedger};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// A ledger with one held record.
    async fn held() -> (MemoryLedger, Entry) {
        let ledger = MemoryLedger::default();
        let hour: BillingHour = "2026-11-21T14:00:00Z".parse().unwrap();
        let report = report("vecdb", hour, 5);
        let settlement = Settlement::of(&report, Mode::Live);
        let record = settlement.records[0].clone().expired().under(LatePolicy::Hold);
        let settlement = settlement.with(record);
        ledger.create_if_absent("vecdb", &report, &settlement).await.unwrap();
        let entry = ledger.scan_unsettled().await.unwrap().open.remove(0);
        (ledger, entry)
    }

    async fn decide(ledger: &MemoryLedger, entry: &Entry, wish: Wish) -> Entry {
        let author = Author {
            name: "alice".into(),
            is_verified: true,
            reason: "agreed".into(),
            at: at("2026-11-22T10:00:00Z"),
        };
        let decided = entry.settlement.records[0].decided(&wish, &author).unwrap();
        ledger.compare_and_swap(entry, &entry.settlement.clone().with(decided)).await.unwrap()
    }

    #[tokio::test]
    async fn a_decision_is_told_once_even_if_it_settles_its_report() {
        for (wish, reason) in [
            (Wish::WriteOff, "RecordWrittenOff"),
            (Wish::Release { accepts_second_charge: false }, "RecordReleased"),
        ] {
            let (ledger, entry) = held().await;
            let mut witness = Witness::default();
            let now = at("2026-11-22T10:00:20Z");
            assert_eq!(witness.look(&ledger, now).await.unwrap(), []);
            decide(&ledger, &entry, wish).await;
            let news = witness.look(&ledger, now).await.unwrap();
            assert_eq!(news.iter().map(|(_, verdict)| verdict.reason).collect::<Vec<_>>(), [reason]);
            assert_eq!(news[0].0, entry.product());
            assert!(news[0].1.message.contains("alice"), "{}", news[0].1.message);
            assert_eq!(witness.look(&ledger, now).await.unwrap(), []);
        }
    }

    #[tokio::test]
    async fn a_decision_from_before_the_start_is_told_if_it_is_news() {
        for (now, told) in [("2026-11-22T10:59:00Z", 1), ("2026-11-22T11:01:00Z", 0)] {
            let (ledger, entry) = held().await;
            decide(&ledger, &entry, Wish::Release { accepts_second_charge: false }).await;
            assert_eq!(Witness::default().look(&ledger, at(now)).await.unwrap().len(), told, "{now}");
        }
    }
}
