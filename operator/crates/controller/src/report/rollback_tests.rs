//! Older backups of the ledger, put back under a settler or before one starts.

use super::*;

#[tokio::test]
async fn what_an_older_backup_has_forgotten_is_sent_by_no_pod_again() {
    for successor in ["a", "b"] {
        let mut stage = Stage::with([accepted()], Failing::default()).await;
        let backup = stage.ledger.ledger.backup();
        stage.turn().await;
        assert_eq!(stage.state().await, RecordState::Accepted);
        stage.ledger.ledger.restore(backup);
        stage.settler = pod(successor);
        stage.turn().await;
        assert_eq!((stage.sent(), stage.state().await), (1, RecordState::Ambiguous), "{successor}");
        let open = stage.turn().await.open;
        assert_eq!(open[0].settlement.records[0].reason.as_deref(), Some("LedgerRolledBack"));
        stage.clock.sleep_until("2026-11-21T19:50:00Z".parse().unwrap()).await;
        stage.turn().await;
        assert_eq!((stage.sent(), stage.state().await), (1, RecordState::WrittenOff));
    }
}

#[tokio::test]
async fn a_backup_that_is_put_back_under_a_living_settler_is_found_too() {
    let mut stage = Stage::with([accepted()], Failing::default()).await;
    let backup = stage.ledger.ledger.backup();
    stage.turn().await;
    stage.ledger.ledger.restore(backup);
    stage.turn().await;
    assert_eq!((stage.sent(), stage.state().await), (1, RecordState::Ambiguous));
    assert_eq!(stage.settler.breach(&ObjectKey::new("vecdb", "vecdb")), None);
}

#[tokio::test]
async fn an_hour_that_was_open_in_the_backup_is_in_doubt_once_a_later_one_was_sent() {
    let mut stage = Stage::with([Outcome::NotAccepted(refusal()), accepted()], Failing::default()).await;
    stage.turn().await;
    let backup = stage.ledger.ledger.backup();
    let later = report("vecdb", "2026-11-21T15:00:00Z".parse().unwrap(), 7);
    let settlement = Settlement::of(&later, Mode::Live);
    stage.ledger.create_if_absent("vecdb", &later, &settlement).await.unwrap();
    stage.clock.sleep_until("2026-11-21T16:05:00Z".parse().unwrap()).await;
    stage.aws.answers.lock().unwrap().push_back(accepted());
    stage.turn().await;
    assert_eq!(stage.sent(), 3);
    // The later report is gone altogether, the earlier one as it was after its first attempt.
    stage.ledger.ledger.restore(backup);
    stage.settler = pod("b");
    stage.turn().await;
    assert_eq!((stage.sent(), stage.state().await), (3, RecordState::Ambiguous));
}

#[tokio::test]
async fn nothing_is_sent_while_the_mark_cannot_be_written() {
    let mut stage = Stage::with([accepted()], Failing::default()).await;
    let marks = Arc::new(Refusing { is_down: AtomicBool::new(true), marks: KeptMarks::in_memory() });
    stage.teller.marks = marks.clone();
    let turn = stage.turn().await;
    assert_eq!((stage.sent(), stage.state().await), (0, RecordState::Sealed));
    assert_eq!(turn.open[0].settlement.records[0].reason.as_deref(), Some("MarkUnavailable"));
    marks.is_down.store(false, Ordering::Relaxed);
    stage.turn_after(&turn).await;
    assert_eq!((stage.sent(), stage.state().await), (1, RecordState::Accepted));
}

/// Marks on a volume that can be full.
struct Refusing {
    is_down: AtomicBool,
    marks: KeptMarks,
}

#[async_trait]
impl Marks for Refusing {
    fn of(&self, product: &ObjectKey) -> Arc<Mark> {
        self.marks.of(product)
    }

    async fn raise(&self, product: &ObjectKey, note: Note) -> Result<(), MarkError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(MarkError("no space left on device".to_owned()));
        }
        self.marks.raise(product, note).await
    }
}
