//! After AWS was away for five hours: what waited is sent within ten minutes, and no second has more calls than the quota leaves.
//! The production settler and pace, ten products with 24 dimensions each, simulated AWS, virtual time.
#![allow(clippy::unwrap_used, reason = "a test: helpers of one are not seen as such")]

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tollkeeper_controller::{
    report::{self, Endless, Policies, Settler, Teller},
    roster::Roster,
};
use tollkeeper_core::{
    classification::{Reply, classify_meter_usage},
    clock::Clock,
    hour::BillingHour,
    identity::{Digest, ObjectKey, ProductCode},
    ledger::Ledger,
    metering::{MeterUsage, Metering, Outcome},
    pace::{METER_USAGE_PER_SECOND, Pace, SHARE_PERCENT},
    plan::{seal, submission::Sender},
    product::{AmbiguousPolicy, LatePolicy, Mode, Policy},
    quantity::Quantity,
    report::{Evidence, LocalReference, ReportBody, SealedRecord, SealedReport, client_token},
    settlement::Settlement,
};
use tollkeeper_ledger::{marks::KeptMarks, memory::MemoryLedger};
use tollkeeper_simulator::{Caller, SharedSimulator, SimulatedMetering, Simulator, VirtualClock};

const PRODUCTS: usize = 10;
const DIMENSIONS: usize = 24;
const HOURS: usize = 5;
const DRAINED_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// How AWS is away.
#[derive(Clone, Copy)]
enum Away {
    /// Nobody answers the door.
    Refused,
    /// A proxy says so.
    BadGateway,
    /// Every call waits for its time-out.
    Silent,
}

/// The way to AWS: closed for a while, and it counts.
struct Way {
    aws: SimulatedMetering,
    clock: Arc<VirtualClock>,
    away: Away,
    closed: Range<Timestamp>,
    calls: Mutex<Vec<Timestamp>>,
}

#[async_trait]
impl Metering for Way {
    async fn meter_usage(&self, request: &MeterUsage) -> Outcome {
        let now = self.clock.now();
        self.calls.lock().unwrap().push(now);
        if !self.closed.contains(&now) {
            return self.aws.meter_usage(request).await;
        }
        let message = "away".to_owned();
        classify_meter_usage(&match self.away {
            Away::Refused => Reply::NotSent { message },
            Away::BadGateway => Reply::Error { status: 502, code: None, message },
            Away::Silent => {
                self.clock.sleep_until(now + SignedDuration::from_secs(30)).await;
                Reply::Lost { message }
            }
        })
    }
}

fn product(number: usize) -> ObjectKey {
    ObjectKey::new("vendor", format!("product-{number}"))
}

fn sealed(product: &ObjectKey, hour: BillingHour) -> SealedReport {
    let code: ProductCode = product.name.parse().unwrap();
    let records = (0..DIMENSIONS).map(|number| {
        let dimension = format!("dimension_{number}").parse().unwrap();
        SealedRecord {
            client_token: client_token("cluster", product, &code, &dimension, hour),
            dimension,
            quantity: 7,
            measured: Quantity::from_units(7),
            remainder: Quantity::ZERO,
            carried_from: vec![],
            allocations: vec![],
        }
    });
    let digest = Digest::of(b"evidence");
    let body = ReportBody {
        product_ref: LocalReference { name: product.name.clone() },
        product_code: code.clone(),
        hour,
        timestamp: hour.start(),
        records: records.collect(),
        remainders: vec![],
        evidence: Evidence {
            plugin: digest.clone(),
            inputs: digest.clone(),
            config: digest,
            ticks: 60,
            missed: 0,
            earlier: vec![],
        },
        previous: None,
    };
    body.sealed()
}

/// What came of an outage.
struct Recovery {
    /// From its end until the last record was taken.
    took: SignedDuration,
    /// Calls in the second with most of them.
    busiest: usize,
    /// Records that AWS has.
    taken: usize,
}

fn recovery(away: Away) -> Recovery {
    // Ten past three: the hour before is settled, and the five that follow are not.
    let first: BillingHour = "2026-11-21T15:00:00Z".parse().unwrap();
    let start = first.start() + SignedDuration::from_mins(10);
    let back = start + SignedDuration::from_hours(i64::try_from(HOURS).unwrap());
    let clock = Arc::new(VirtualClock::starting_at(start));
    let aws = SharedSimulator::new(Simulator::default());
    let way = Arc::new(Way {
        aws: SimulatedMetering::new(aws.clone(), clock.clone(), Caller::pod("pod")),
        clock: clock.clone(),
        away,
        closed: start..back,
        calls: Mutex::default(),
    });
    let ledger = Arc::new(MemoryLedger::default());
    let teller = Teller {
        clock: clock.clone(),
        ledger: ledger.clone(),
        metering: way.clone(),
        pace: Arc::new(Pace::meter_usage(clock.clone())),
        marks: Arc::new(KeptMarks::in_memory()),
        term: Arc::new(Endless),
    };
    let policy = Policy { ambiguous: AmbiguousPolicy::NeverDoubleBill, late: LatePolicy::Hold };
    let policies: Policies = (0..PRODUCTS).map(|number| (product(number), policy)).collect();
    let settler = Settler::new(Sender { pod: "pod".to_owned(), epoch: 1 });
    let (roster, notify, stop) = (Roster::default(), Notify::new(), CancellationToken::new());
    let seal_hours_and_wait = async {
        let hours = std::iter::successors(Some(first), |hour| Some(hour.next())).take(HOURS);
        for hour in hours {
            clock.sleep_until(seal::due(hour)).await;
            for report in (0..PRODUCTS).map(|number| sealed(&product(number), hour)) {
                let settlement = Settlement::of(&report, Mode::Live);
                ledger.create_if_absent("vendor", &report, &settlement).await.unwrap();
            }
            notify.notify_one();
        }
        clock.sleep_until(back).await;
        while !ledger.scan_unsettled().await.unwrap().open.is_empty() {
            clock.sleep_until(clock.now() + SignedDuration::from_secs(1)).await;
        }
        stop.cancel();
    };
    let settle = report::run(settler, teller, || policies.clone(), &roster, &notify, &stop);
    clock.drive(async { futures::join!(settle, seal_hours_and_wait) }).unwrap();
    let calls = way.calls.lock().unwrap();
    let in_a_second = |(index, from): (usize, &Timestamp)| {
        let end = *from + SignedDuration::from_secs(1);
        calls.partition_point(|call| *call < end) - index
    };
    let taken = aws.lock().view().accepted;
    Recovery {
        took: taken.iter().map(|record| record.at).max().unwrap().duration_since(back),
        busiest: calls.iter().enumerate().map(in_a_second).max().unwrap(),
        taken: taken.len(),
    }
}

#[test]
fn five_hours_of_240_records_are_sent_within_ten_minutes_and_below_the_quota() {
    for away in [Away::Refused, Away::BadGateway, Away::Silent] {
        let Recovery { took, busiest, taken } = recovery(away);
        assert_eq!(taken, HOURS * PRODUCTS * DIMENSIONS, "every record once");
        assert!(took <= DRAINED_WITHIN, "{took:?}");
        let share = usize::try_from(METER_USAGE_PER_SECOND * SHARE_PERCENT).unwrap();
        assert!(busiest * 100 <= share, "{busiest} calls in one second");
    }
}
