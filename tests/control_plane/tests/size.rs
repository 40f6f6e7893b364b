//! What the ledger takes in etcd: objects as the API server stores them, managed fields and all.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::{
    fs,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api,
    api::{DynamicObject, ListParams},
    core::{ApiResource, GroupVersionKind},
};
use tollkeeper_controller::{roster::Roster, statement::Clerk};
use tollkeeper_core::{
    clock::Clock,
    hour::BillingHour,
    identity::{ClientToken, ObjectKey},
    ledger::{Created, Ledger},
    metering::{Allocation, Outcome},
    product::Mode,
    quantity::Quantity,
    report::SealedReport,
    settlement::{Attempt, Claim, Settlement},
    statement::{Retention, Statements as _},
    tags::TagSet,
};
use tollkeeper_kit::{ControlPlane, Namespace};
use tollkeeper_ledger::{
    conformance,
    kubernetes::{KubernetesLedger, KubernetesStatements, Scope},
};

/// What the ledger is made for.
const PRODUCTS: usize = 10;
const DIMENSIONS: usize = 24;
const MONTHS: usize = 13 + 1;
const BUDGET: usize = 50_000_000;

struct Manual(Mutex<Timestamp>);

#[async_trait]
impl Clock for Manual {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    async fn sleep_until(&self, _: Timestamp) {}
}

/// An hour of a busy product: every dimension billed, with a remainder, over three tag sets.
fn busy(hour: BillingHour, previous: Option<&SealedReport>) -> SealedReport {
    let mut body = conformance::report("vecdb", hour, 5).body;
    let pattern = body.records[0].clone();
    let allocation = |team: &str, quantity| Allocation {
        quantity,
        tags: TagSet::new([
            ("CostCenter".to_owned(), "4200017".to_owned()),
            ("Team".to_owned(), team.to_owned()),
        ])
        .unwrap(),
    };
    body.records = (0..DIMENSIONS)
        .map(|number| {
            let mut record = pattern.clone();
            record.dimension = format!("gigabyte_hours_of_tier_{number:02}").parse().unwrap();
            record.quantity = 812_345;
            record.measured = "812345.678901".parse().unwrap();
            record.remainder = "0.678901".parse().unwrap();
            record.client_token = ClientToken::of(&format!("{hour}/{number}"));
            record.allocations = vec![
                allocation("search", 700_000),
                allocation("analytics", 112_000),
                allocation("rest", 345),
            ];
            record.allocations[2].tags = TagSet::default();
            record
        })
        .collect();
    body.remainders = vec![];
    body.previous = previous.map(SealedReport::link);
    body.sealed()
}

fn accepted(report: &SealedReport) -> Settlement {
    let mut settlement = Settlement::of(report, Mode::Live);
    for record in &mut settlement.records {
        let claim = Claim {
            pod: "5a2f5c0e-8c57-4d0b-9a86-0f4f9a4a1a11".to_owned(),
            epoch: 17,
            at: "2026-11-21T15:05:00.123456Z".parse().unwrap(),
        };
        let id = ClientToken::of(record.dimension.as_str());
        let outcome = Outcome::Accepted { metering_record_id: id.to_string() };
        *record = record.clone().claimed(claim).answered(&outcome, Attempt::First);
    }
    settlement
}

/// Bytes of all objects of a kind, as they are stored.
async fn stored(namespace: &Namespace, kind: &str) -> (usize, usize) {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("tollkeeper.dev", "v1alpha1", kind));
    let api: Api<DynamicObject> = Api::namespaced_with(namespace.client(), namespace.name(), &resource);
    let objects = api.list(&ListParams::default()).await.unwrap().items;
    let bytes = objects.iter().map(|object| serde_json::to_vec(object).unwrap().len()).sum();
    (objects.len(), bytes)
}

/// One product for five days, the bookkeeping done every morning. The other nine are alike, and so are the months.
#[tokio::test]
async fn ten_products_of_24_dimensions_take_less_than_50_megabytes_in_13_months() {
    let plane = ControlPlane::shared().await.unwrap();
    let namespace = plane.namespace("size").await.unwrap();
    let scope = Scope::Namespaces(vec![namespace.name().to_owned()]);
    let clock = Arc::new(Manual(Mutex::new("2026-11-01T00:00:00Z".parse().unwrap())));
    let ledger = Arc::new(KubernetesLedger::new(namespace.client(), scope.clone(), clock.clone()));
    let statements = Arc::new(KubernetesStatements::new(namespace.client(), scope));
    let clerk = Clerk {
        clock: clock.clone(),
        ledger: ledger.clone(),
        statements: statements.clone(),
        retention: Retention { reports: SignedDuration::from_hours(72), statements: 13 },
    };
    let product = ObjectKey::new(namespace.name(), "vecdb");
    let mut previous: Option<SealedReport> = None;
    let mut most = (0, 0);
    let mut hour: BillingHour = "2026-11-01T00:00:00Z".parse().unwrap();
    for _ in 0..24 * 5 + 7 {
        let report = busy(hour, previous.as_ref());
        let created = ledger.create_if_absent(namespace.name(), &report, &accepted(&report)).await.unwrap();
        assert!(matches!(created, Created::New(_)));
        previous = Some(report);
        hour = hour.next();
        if hour.start().as_second() % 86_400 == 7 * 3600 {
            // Just before the bookkeeping is when the most reports are there.
            most = most.max(stored(&namespace, "UsageReport").await);
            *clock.0.lock().unwrap() = hour.start();
            clerk.pass(vec![product.clone()], &Roster::default()).await;
        }
    }
    let (hot, _) = stored(&namespace, "UsageReport").await;
    assert_eq!(hot, 72 + 7, "after the last bookkeeping");
    let (reports, report_bytes) = most;
    assert_eq!(reports, 72 + 24 + 7, "before it");

    // A statement has the same totals after thirty days, and a line more a day.
    let (count, statement_bytes) = stored(&namespace, "UsageStatement").await;
    let statement = statements.all().await.unwrap().statements.remove(0).statement;
    assert_eq!((count, statement.body.days.len(), statement.body.totals.len()), (1, 5, DIMENSIONS));
    let a_day = serde_json::to_vec(&statement.body.days[0]).unwrap().len() + 1;
    let month_bytes = statement_bytes + 26 * a_day;
    assert!(statement.body.totals[0].billed > Quantity::ZERO);

    let all = PRODUCTS * (report_bytes + MONTHS * month_bytes);
    let line = format!(
        "a report: {} bytes; {reports} reports of a product: {report_bytes}; a month's statement: {month_bytes}; \
         {PRODUCTS} products for 13 months: {all}\n",
        report_bytes / reports
    );
    if let Some(file) = std::env::var_os("TOLLKEEPER_SIZES") {
        fs::write(file, &line).unwrap();
    }
    assert!(all < BUDGET, "{line}");
}
