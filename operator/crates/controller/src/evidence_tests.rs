use std::{collections::VecDeque, sync::Mutex};

use async_trait::async_trait;
use serde_json::json;
use tollkeeper_core::{
    evidence::Page,
    product::Mode,
    settlement::{Claim, Settlement},
};
use tollkeeper_ledger::{conformance::report, memory::MemoryLedger};

use super::*;

/// Time moves only when somebody waits.
struct Waiting(Mutex<Timestamp>);

#[async_trait]
impl Clock for Waiting {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    async fn sleep_until(&self, moment: Timestamp) {
        let mut now = self.0.lock().unwrap();
        *now = moment.max(*now);
    }
}

/// Answers as it was told, and remembers what it was asked and when.
struct Scripted {
    answers: Mutex<VecDeque<Result<Page, TrailError>>>,
    asked: Mutex<Vec<(Timestamp, Timestamp, Option<String>)>>,
    clock: Arc<Waiting>,
}

#[async_trait]
impl Trail for Scripted {
    async fn look_up(&self, from: Timestamp, page: Option<&str>) -> Result<Page, TrailError> {
        self.asked.lock().unwrap().push((self.clock.now(), from, page.map(str::to_owned)));
        self.answers.lock().unwrap().pop_front().unwrap()
    }

    fn issuer(&self) -> Option<&str> {
        None
    }
}

struct Stage {
    inquiry: Inquiry,
    ledger: Arc<MemoryLedger>,
    trail: Arc<Scripted>,
    roster: Roster,
}

fn at(text: &str) -> Timestamp {
    format!("2026-11-21T{text}:00Z").parse().unwrap()
}

fn product(name: &str) -> ObjectKey {
    ObjectKey::new("vecdb", name)
}

async fn state(ledger: &MemoryLedger, name: &str) -> RecordState {
    let key = ObjectKey::new("vecdb", format!("{name}-2026112114"));
    ledger.get(&key).await.unwrap().unwrap().settlement.records[0].state
}

impl Stage {
    /// Half past three, with a report of five units for each product.
    async fn with(products: &[&str], answers: impl IntoIterator<Item = Result<Page, TrailError>>) -> Self {
        let clock = Arc::new(Waiting(Mutex::new(at("15:30"))));
        let ledger = Arc::new(MemoryLedger::default());
        let roster = Roster::default();
        for name in products {
            roster.update(&product(name), |progress| progress.is_metered = true);
            let report = report(name, "2026-11-21T14:00:00Z".parse().unwrap(), 5);
            let settlement = Settlement::of(&report, Mode::Live);
            let claim = Claim { pod: "a".into(), epoch: 1, at: at("15:05") };
            let record = settlement.records[0].clone().claimed(claim).ambiguous("SenderReplaced", "m");
            ledger.create_if_absent("vecdb", &report, &settlement.with(record)).await.unwrap();
        }
        let trail = Arc::new(Scripted {
            answers: Mutex::new(answers.into_iter().collect()),
            asked: Mutex::default(),
            clock: clock.clone(),
        });
        let inquiry = Inquiry {
            pace: Arc::new(Pace::new(clock.clone(), LOOKUPS_PER_SECOND)),
            clock,
            ledger: ledger.clone(),
            trail: trail.clone(),
        };
        Self { inquiry, ledger, trail, roster }
    }

    async fn pass(&self, allowed: &[&str]) -> Timestamp {
        let allowed = allowed.iter().map(|name| product(name)).collect();
        self.inquiry.pass(&allowed, &self.roster).await
    }

    async fn state(&self, name: &str) -> RecordState {
        state(&self.ledger, name).await
    }

    fn reason(&self, name: &str) -> Option<&'static str> {
        self.roster.of(&product(name)).unwrap().evidence.map(|finding| finding.reason)
    }

    fn asked(&self) -> usize {
        self.trail.asked.lock().unwrap().len()
    }
}

/// The events of one accepted call, on a page that has another after it where `next` says so.
fn page(next: Option<&str>, record_ids: &[&str]) -> Result<Page, TrailError> {
    let event = |id: &&str| {
        json!({
            "eventID": format!("event-of-{id}"), "eventTime": "2026-11-21T15:05:02Z",
            "eventSource": "metering-marketplace.amazonaws.com", "eventName": "MeterUsage",
            "requestParameters": {"timestamp": "Nov 21, 2026 2:00:00 PM", "usageQuantity": 5,
                "usageDimension": "units", "productCode": "conformance"},
            "responseElements": {"meteringRecordId": id},
        })
        .to_string()
    };
    Ok(Page { events: record_ids.iter().map(event).collect(), next: next.map(str::to_owned) })
}

#[tokio::test]
async fn what_cloudtrail_has_settles_the_record_on_any_page() {
    let stage = Stage::with(&["vecdb"], [page(Some("2"), &[]), page(None, &["rec-1"])]).await;
    let next = stage.pass(&["vecdb"]).await;
    assert_eq!(stage.state("vecdb").await, RecordState::Accepted);
    assert_eq!(stage.reason("vecdb"), None);
    let asked = stage.trail.asked.lock().unwrap().clone();
    let from = at("15:00");
    assert_eq!((asked[0].1, &asked[0].2, asked[1].1, asked[1].2.as_deref()), (from, &None, from, Some("2")));
    assert!(asked[1].0.duration_since(asked[0].0) >= SignedDuration::from_secs(1), "within the quota");
    assert!(next >= at("15:35"));
}

#[tokio::test]
async fn a_refusal_proves_nothing_before_every_page_was_looked_at() {
    let refused = json!({
        "eventID": "event-of-refusal", "eventTime": "2026-11-21T15:05:02Z",
        "eventSource": "metering-marketplace.amazonaws.com", "eventName": "MeterUsage",
        "requestParameters": {"timestamp": "Nov 21, 2026 2:00:00 PM", "usageQuantity": 5,
            "usageDimension": "units", "productCode": "conformance"},
        "errorCode": "InvalidUsageDimensionException", "errorMessage": "no",
    });
    for (last, expected) in [(Some("older"), RecordState::Ambiguous), (None, RecordState::Rejected)] {
        let newest = Page { events: vec![refused.to_string()], next: Some("2".to_owned()) };
        let rest =
            (1..MAX_PAGES).map(|number| page(if number + 1 == MAX_PAGES { last } else { Some("n") }, &[]));
        let stage = Stage::with(&["vecdb"], std::iter::once(Ok(newest)).chain(rest)).await;
        stage.pass(&["vecdb"]).await;
        assert_eq!((stage.asked(), stage.state("vecdb").await), (MAX_PAGES, expected));
    }
}

#[tokio::test]
async fn nobody_is_asked_without_need_or_leave() {
    let stage = Stage::with(&["vecdb"], []).await;
    assert_eq!(stage.pass(&[]).await, at("15:30") + SCAN_INTERVAL);
    assert_eq!((stage.asked(), stage.state("vecdb").await), (0, RecordState::Ambiguous));
    let quiet = Stage::with(&[], []).await;
    assert_eq!(quiet.pass(&["vecdb"]).await, at("15:30") + SCAN_INTERVAL);
    assert_eq!(quiet.asked(), 0);
}

#[tokio::test]
async fn a_refusal_of_cloudtrail_is_told_and_asked_again_later() {
    for (error, reason) in [
        (TrailError::Forbidden("said so".into()), "EvidenceForbidden"),
        (TrailError::Throttled("said so".into()), "EvidenceThrottled"),
        (TrailError::Unavailable("said so".into()), "EvidenceUnavailable"),
    ] {
        let stage = Stage::with(&["vecdb"], [Err(error), page(None, &["rec-1"])]).await;
        let next = stage.pass(&["vecdb"]).await;
        let refused = stage.trail.asked.lock().unwrap()[0].0;
        let later = refused + SignedDuration::from_mins(5);
        assert_eq!(next, later, "not earlier: the quota is the account's");
        assert_eq!(
            (stage.reason("vecdb"), stage.state("vecdb").await),
            (Some(reason), RecordState::Ambiguous)
        );
        stage.pass(&["vecdb"]).await;
        assert_eq!((stage.reason("vecdb"), stage.state("vecdb").await), (None, RecordState::Accepted));
    }
}

#[tokio::test]
async fn what_is_not_proved_stays_ambiguous_and_says_why() {
    for (answer, reason) in [
        (page(None, &[]), "EvidenceMissing"),
        (page(None, &["rec-1", "rec-2"]), "EvidenceContradictory"),
        (page(None, &["not an id"]), "EvidenceUnusable"),
    ] {
        let stage = Stage::with(&["vecdb"], [answer]).await;
        stage.pass(&["vecdb"]).await;
        assert_eq!(
            (stage.reason("vecdb"), stage.state("vecdb").await),
            (Some(reason), RecordState::Ambiguous)
        );
    }
}

/// Never answers.
struct Silent;

#[async_trait]
impl Trail for Silent {
    async fn look_up(&self, _: Timestamp, _: Option<&str>) -> Result<Page, TrailError> {
        std::future::pending().await
    }

    fn issuer(&self) -> Option<&str> {
        None
    }
}

#[tokio::test]
async fn a_look_that_hangs_ends_with_the_term() {
    let stage = Stage::with(&["vecdb"], []).await;
    let inquiry = Inquiry { trail: Arc::new(Silent), ..stage.inquiry };
    let stop = CancellationToken::new();
    let allowed = || BTreeSet::from([product("vecdb")]);
    let looking = run(inquiry, allowed, &stage.roster, &stop);
    // The first branch is polled first, so the look is under way when the term ends.
    futures::join!(looking, async { stop.cancel() });
    assert_eq!(state(&stage.ledger, "vecdb").await, RecordState::Ambiguous);
}

#[tokio::test]
async fn one_look_serves_all_products_that_allow_it() {
    let stage = Stage::with(&["one", "other", "shy"], [page(None, &["rec-1"])]).await;
    stage.pass(&["one", "other"]).await;
    assert_eq!(stage.asked(), 1);
    for (name, state) in
        [("one", RecordState::Accepted), ("other", RecordState::Accepted), ("shy", RecordState::Ambiguous)]
    {
        assert_eq!(stage.state(name).await, state, "{name}");
    }
}

#[tokio::test]
async fn a_record_that_was_decided_meanwhile_is_left_alone() {
    let stage = Stage::with(&["vecdb"], [page(None, &["rec-1"])]).await;
    let stale = stage.ledger.scan_unsettled().await.unwrap().open.remove(0);
    let record = stale.settlement.records[0].clone().written_off("NeverDoubleBill", "m");
    stage.ledger.compare_and_swap(&stale, &stale.settlement.clone().with(record)).await.unwrap();
    let calls = stage.inquiry.calls(at("15:00")).await.unwrap();
    stage.inquiry.decide(&[stale], &calls).await;
    assert_eq!(stage.state("vecdb").await, RecordState::WrittenOff);
}
