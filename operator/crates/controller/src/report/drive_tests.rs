//! What the settler publishes, turn by turn.

use super::*;
use crate::{
    report::drive::{Settled, publish},
    roster::{ProductProgress, Roster},
};

fn vecdb() -> ObjectKey {
    ObjectKey::new("vecdb", "vecdb")
}

async fn shown(stage: &mut Stage, roster: &Roster) -> ProductProgress {
    let mut settled = Settled::from([(vecdb(), Some(None))]);
    let turn = stage.turn().await;
    publish(roster, &stage.settler, &turn, &mut settled);
    roster.of(&vecdb()).unwrap_or_default()
}

#[tokio::test]
async fn a_halt_is_published_with_all_else_that_needs_a_person() {
    let mut stage = Stage::with([], Failing::default()).await;
    let (problem, product) = ("edited".to_owned(), vecdb());
    let damage = Damage { report: ObjectKey::new("vecdb", "vecdb-2026112113"), product, problem };
    stage.ledger.damaged.lock().unwrap().push(damage);
    let progress = shown(&mut stage, &Roster::default()).await;
    assert_eq!(progress.attention.len(), 1);
    assert_eq!(progress.attention[0].reason, "InvariantBroken");
    assert!(progress.attention[0].message.contains("Chain vecdb/vecdb-2026112113: edited"));
}

#[tokio::test]
async fn a_report_that_cannot_be_written_keeps_nothing_from_being_published() {
    let mut stage = Stage::with([], Failing { refused: vec![0], ..Failing::default() }).await;
    let progress = shown(&mut stage, &Roster::default()).await;
    assert_eq!((progress.unsettled, progress.oldest_unsettled.is_some()), (1, true));
}

#[tokio::test]
async fn what_cannot_be_read_is_a_problem_and_not_settled() {
    let mut stage = Stage::with([Outcome::Unknown(refusal())], Failing::default()).await;
    let roster = Roster::default();
    assert_eq!(shown(&mut stage, &roster).await.unsettled, 1);
    let forbidden = LedgerError::Unavailable("403".to_owned());
    stage.ledger.unread.lock().unwrap().insert("vecdb".to_owned(), forbidden);
    let progress = shown(&mut stage, &roster).await;
    assert_eq!((progress.unsettled, progress.unread.unwrap().reason), (1, "LedgerUnavailable"));
    stage.ledger.unread.lock().unwrap().clear();
    assert_eq!(shown(&mut stage, &roster).await.unread, None);
}
