use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use tollkeeper_core::{
    hour::BillingHour,
    ledger::{Created, Damage, Scan},
    mark::{Mark, MarkError, Note},
    metering::{MeterUsage, Refusal},
    product::Mode,
    report::SealedReport,
    settlement::Settlement,
};
use tollkeeper_ledger::{conformance::report, marks::KeptMarks, memory::MemoryLedger};

use super::*;

#[path = "drive_tests.rs"]
mod drive;
#[path = "halt_tests.rs"]
mod halt;
#[path = "rollback_tests.rs"]
mod rollback;

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

/// Answers as it was told, and remembers what it was asked.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<Outcome>>,
    requests: Mutex<Vec<MeterUsage>>,
}

#[async_trait]
impl Metering for Scripted {
    async fn meter_usage(&self, request: &MeterUsage) -> Outcome {
        self.requests.lock().unwrap().push(request.clone());
        self.answers.lock().unwrap().pop_front().unwrap()
    }
}

/// A term that has ended.
struct Over;

impl Term for Over {
    fn is_current(&self) -> bool {
        false
    }
}

/// A ledger whose writes fail by number, before or after they happened.
#[derive(Default)]
struct Failing {
    ledger: MemoryLedger,
    writes: AtomicUsize,
    refused: Vec<usize>,
    unanswered: Vec<usize>,
    /// What a scan shows beside the reports.
    damaged: Mutex<Vec<Damage>>,
    unread: Mutex<BTreeMap<String, LedgerError>>,
    /// What the next scan shows instead of what is there.
    outdated: Mutex<Option<Entry>>,
}

#[async_trait]
impl Ledger for Failing {
    async fn create_if_absent(
        &self,
        namespace: &str,
        report: &SealedReport,
        settlement: &Settlement,
    ) -> Result<Created, LedgerError> {
        self.ledger.create_if_absent(namespace, report, settlement).await
    }

    async fn compare_and_swap(&self, entry: &Entry, settlement: &Settlement) -> Result<Entry, LedgerError> {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        let failed = || LedgerError::Unavailable("scripted".to_owned());
        if self.refused.contains(&number) {
            return Err(failed());
        }
        let written = self.ledger.compare_and_swap(entry, settlement).await?;
        if self.unanswered.contains(&number) { Err(failed()) } else { Ok(written) }
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Entry>, LedgerError> {
        self.ledger.get(key).await
    }

    async fn scan_unsettled(&self) -> Result<Scan, LedgerError> {
        if let Some(outdated) = self.outdated.lock().unwrap().take() {
            return Ok(Scan { open: vec![outdated], ..Scan::default() });
        }
        let open = self.ledger.scan_unsettled().await?.open;
        let (damaged, unread) = (self.damaged.lock().unwrap().clone(), self.unread.lock().unwrap().clone());
        let is_read = |entry: &Entry| !unread.contains_key(&entry.namespace);
        Ok(Scan { open: open.into_iter().filter(is_read).collect(), damaged, unread })
    }

    async fn history(&self, product: &ObjectKey, since: BillingHour) -> Result<Vec<Entry>, LedgerError> {
        self.ledger.history(product, since).await
    }

    async fn prune(&self, entries: &[Entry]) -> Result<usize, LedgerError> {
        self.ledger.prune(entries).await
    }
}

struct Stage {
    ledger: Arc<Failing>,
    aws: Arc<Scripted>,
    clock: Arc<Waiting>,
    teller: Teller,
    settler: Settler,
}

fn refusal() -> Refusal {
    Refusal { reason: "Scripted".to_owned(), message: "as the test says".to_owned() }
}

fn accepted() -> Outcome {
    Outcome::Accepted { metering_record_id: "record-1".to_owned() }
}

fn pod(name: &str) -> Settler {
    Settler::new(Sender { pod: name.to_owned(), epoch: 1 })
}

impl Stage {
    /// One sealed report, an AWS with these answers and a ledger with these failures.
    async fn with(answers: impl IntoIterator<Item = Outcome>, ledger: Failing) -> Self {
        let hour: BillingHour = "2026-11-21T14:00:00Z".parse().unwrap();
        let report = report("vecdb", hour, 5);
        let ledger = Arc::new(ledger);
        let settlement = Settlement::of(&report, Mode::Live);
        ledger.create_if_absent("vecdb", &report, &settlement).await.unwrap();
        let aws =
            Arc::new(Scripted { answers: Mutex::new(answers.into_iter().collect()), ..Scripted::default() });
        let clock = Arc::new(Waiting(Mutex::new("2026-11-21T15:05:00Z".parse().unwrap())));
        let shared: Arc<dyn Clock> = clock.clone();
        let teller = Teller {
            ledger: ledger.clone(),
            metering: aws.clone(),
            pace: Arc::new(Pace::meter_usage(shared.clone())),
            marks: Arc::new(KeptMarks::in_memory()),
            term: Arc::new(Endless),
            clock: shared,
        };
        Self { ledger, aws, clock, teller, settler: pod("a") }
    }

    async fn turn(&mut self) -> Turn {
        self.settler.turn(&self.teller, &Policies::default()).await
    }

    /// Waits until the settler wants to be called again.
    async fn turn_after(&mut self, last: &Turn) -> Turn {
        self.clock.sleep_until(last.next).await;
        self.turn().await
    }

    async fn state(&self) -> RecordState {
        let key = ObjectKey::new("vecdb", "vecdb-2026112114");
        self.ledger.get(&key).await.unwrap().unwrap().settlement.records[0].state
    }

    fn sent(&self) -> usize {
        self.aws.requests.lock().unwrap().len()
    }
}

#[tokio::test]
async fn an_hour_takes_one_write_before_and_one_after_the_sending() {
    let mut stage = Stage::with([accepted()], Failing::default()).await;
    let turn = stage.turn().await;
    assert_eq!(stage.state().await, RecordState::Accepted);
    assert_eq!(stage.ledger.writes.load(Ordering::Relaxed), 2);
    assert_eq!((turn.open.len(), turn.changed.len(), stage.sent()), (0, 1, 1));
}

#[tokio::test]
async fn nothing_is_sent_without_a_durable_claim() {
    let mut stage = Stage::with([], Failing { refused: vec![0], ..Failing::default() }).await;
    stage.turn().await;
    assert_eq!((stage.sent(), stage.state().await), (0, RecordState::Sealed));
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_the_same_pods_to_send() {
    let ledger = Failing { unanswered: vec![0], ..Failing::default() };
    let mut stage = Stage::with([accepted()], ledger).await;
    let turn = stage.turn().await;
    assert_eq!((stage.sent(), stage.state().await), (0, RecordState::Sending));
    stage.turn_after(&turn).await;
    assert_eq!((stage.sent(), stage.state().await), (1, RecordState::Accepted));
}

#[tokio::test]
async fn an_outcome_that_could_not_be_written_is_written_before_anything_is_sent_again() {
    let mut stage = Stage::with([accepted()], Failing { refused: vec![1], ..Failing::default() }).await;
    let turn = stage.turn().await;
    assert_eq!(stage.state().await, RecordState::Sending);
    stage.turn_after(&turn).await;
    assert_eq!((stage.sent(), stage.state().await), (1, RecordState::Accepted));
}

#[tokio::test]
async fn an_outcome_that_could_not_be_written_is_written_when_the_term_ends() {
    let mut stage = Stage::with([accepted()], Failing { refused: vec![1], ..Failing::default() }).await;
    stage.turn().await;
    assert_eq!(stage.state().await, RecordState::Sending);
    stage.settler.write_down_all(&stage.teller).await;
    assert_eq!((stage.sent(), stage.state().await), (1, RecordState::Accepted));
    // Another pod has nothing to doubt.
    stage.settler = pod("b");
    stage.turn().await;
    assert_eq!((stage.sent(), stage.state().await), (1, RecordState::Accepted));
}

#[tokio::test]
async fn an_attempt_is_not_repeated_for_a_record_that_an_old_read_shows_as_open() {
    let mut stage = Stage::with([Outcome::Unknown(refusal()), accepted()], Failing::default()).await;
    let turn = stage.turn().await;
    let entry = stage.ledger.scan_unsettled().await.unwrap().open.remove(0);
    let turn = stage.turn_after(&turn).await;
    assert_eq!((stage.sent(), stage.state().await), (2, RecordState::Accepted));
    *stage.ledger.outdated.lock().unwrap() = Some(entry);
    stage.turn_after(&turn).await;
    assert_eq!((stage.sent(), stage.state().await), (2, RecordState::Accepted));
}

#[tokio::test]
async fn a_lost_reply_is_asked_for_again_with_the_identical_request() {
    let mut stage = Stage::with([Outcome::Unknown(refusal()), accepted()], Failing::default()).await;
    let turn = stage.turn().await;
    stage.turn_after(&turn).await;
    let requests = stage.aws.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0], requests[1]);
    assert_eq!(stage.state().await, RecordState::Accepted);
}

#[tokio::test]
async fn a_throttled_record_waits_and_may_then_be_sent_by_anybody() {
    let mut stage = Stage::with([Outcome::NotAccepted(refusal()), accepted()], Failing::default()).await;
    let turn = stage.turn().await;
    assert_eq!(stage.state().await, RecordState::Sealed);
    assert!(turn.next > stage.clock.now());
    stage.settler = pod("b");
    stage.turn().await;
    assert_eq!((stage.sent(), stage.state().await), (2, RecordState::Accepted));
}

#[tokio::test]
async fn a_replaced_pod_does_not_send_what_its_predecessor_may_have_sent() {
    let mut stage = Stage::with([Outcome::Unknown(refusal())], Failing::default()).await;
    stage.turn().await;
    stage.settler = pod("b");
    stage.turn().await;
    assert_eq!((stage.sent(), stage.state().await), (1, RecordState::Ambiguous));
    stage.clock.sleep_until("2026-11-21T19:50:00Z".parse().unwrap()).await;
    stage.turn().await;
    assert_eq!((stage.sent(), stage.state().await), (1, RecordState::WrittenOff));
}

#[tokio::test]
async fn an_acceptance_that_was_not_written_in_time_settles_what_others_took_for_ambiguous() {
    let mut stage = Stage::with([accepted()], Failing { refused: vec![1], ..Failing::default() }).await;
    let turn = stage.turn().await;
    let mut other = pod("b");
    other.turn(&stage.teller, &Policies::default()).await;
    assert_eq!(stage.state().await, RecordState::Ambiguous);
    stage.turn_after(&turn).await;
    assert_eq!((stage.sent(), stage.state().await), (1, RecordState::Accepted));
}

#[tokio::test]
async fn nothing_is_started_while_the_process_ends() {
    let mut stage = Stage::with([], Failing::default()).await;
    stage.teller.term = Arc::new(Over);
    stage.turn().await;
    assert_eq!((stage.sent(), stage.state().await), (0, RecordState::Sealed));
}

/// A term that ends while a claim is being written.
struct EndsAfterTheClaim(AtomicUsize);

impl Term for EndsAfterTheClaim {
    fn is_current(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) == 0
    }
}

#[tokio::test]
async fn a_process_that_sleeps_through_the_end_of_its_term_sends_nothing_that_it_has_claimed() {
    let mut stage = Stage::with([], Failing::default()).await;
    stage.teller.term = Arc::new(EndsAfterTheClaim(AtomicUsize::new(0)));
    stage.turn().await;
    assert_eq!((stage.sent(), stage.state().await), (0, RecordState::Sealed));
}

#[tokio::test]
async fn a_claim_that_was_surely_not_sent_is_free_again_although_others_took_it_for_ambiguous() {
    let ledger = Failing { refused: vec![1], ..Failing::default() };
    let mut stage = Stage::with([Outcome::NotAccepted(refusal())], ledger).await;
    let turn = stage.turn().await;
    let mut other = pod("b");
    other.turn(&stage.teller, &Policies::default()).await;
    assert_eq!(stage.state().await, RecordState::Ambiguous);
    stage.teller.term = Arc::new(Over);
    stage.clock.sleep_until(turn.next).await;
    let entry = stage.ledger.scan_unsettled().await.unwrap().open.remove(0);
    stage.settler.write_down(&stage.teller, entry).await.unwrap();
    assert_eq!((stage.sent(), stage.state().await), (1, RecordState::Sealed));
}

#[tokio::test]
async fn a_claim_of_a_later_epoch_ends_the_sending_of_an_earlier_one() {
    let mut stage = Stage::with([Outcome::NotAccepted(refusal())], Failing::default()).await;
    let turn = stage.turn().await;
    // Another pod claims in a later epoch, and does not come to sending.
    let newer = Sender { pod: "b".to_owned(), epoch: 2 };
    let entry = stage.ledger.scan_unsettled().await.unwrap().open.remove(0);
    let claim = submission::plan(&entry, &newer, CAUTIOUS, stage.clock.now()).write.unwrap();
    stage.ledger.compare_and_swap(&entry, &claim).await.unwrap();
    stage.turn_after(&turn).await;
    // Not even called ambiguous by a process whose time is over.
    assert_eq!((stage.sent(), stage.state().await), (1, RecordState::Sending));
}

#[tokio::test]
async fn a_later_epoch_that_nobody_leads_in_does_not_stop_the_sending_for_ever() {
    let mut stage = Stage::with([Outcome::NotAccepted(refusal()), accepted()], Failing::default()).await;
    let turn = stage.turn().await;
    // Another report, claimed in an epoch of a lease that has been deleted since, by a pod that is gone.
    let other = report("other", "2026-11-21T14:00:00Z".parse().unwrap(), 5);
    let settlement = Settlement::of(&other, Mode::Live);
    let claim = Claim { pod: "gone".to_owned(), epoch: 9, at: stage.clock.now() };
    let claimed = settlement.clone().with(settlement.records[0].clone().claimed(claim));
    stage.ledger.create_if_absent("vecdb", &other, &claimed).await.unwrap();
    let turn = stage.turn_after(&turn).await;
    assert_eq!((stage.sent(), stage.state().await), (1, RecordState::Sealed));
    stage.clock.sleep_until(turn.next + SUPERSEDED_FOR).await;
    stage.turn().await;
    assert_eq!((stage.sent(), stage.state().await), (2, RecordState::Accepted));
}
