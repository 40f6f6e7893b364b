use std::sync::Mutex;

use async_trait::async_trait;
use tollkeeper_core::{
    ledger::{Created, Entry},
    metering::Outcome,
    product::Mode,
    report::SealedReport,
    settlement::{Attempt, Settlement},
    statement::{Shelf, Statement},
};
use tollkeeper_ledger::{
    conformance::report,
    memory::{MemoryLedger, MemoryStatements},
};

use super::*;

struct Manual(Mutex<Timestamp>);

#[async_trait]
impl Clock for Manual {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }

    async fn sleep_until(&self, _: Timestamp) {
        std::future::pending().await
    }
}

/// Statements that cannot be written.
#[derive(Default)]
struct ReadOnly(MemoryStatements);

#[async_trait]
impl Statements for ReadOnly {
    async fn all(&self) -> Result<Shelf, LedgerError> {
        self.0.all().await
    }

    async fn create(&self, _: &str, _: &Statement) -> Result<StoredStatement, LedgerError> {
        Err(LedgerError::Unavailable("scripted".to_owned()))
    }

    async fn replace(&self, _: &StoredStatement, _: &Statement) -> Result<StoredStatement, LedgerError> {
        Err(LedgerError::Unavailable("scripted".to_owned()))
    }

    async fn remove(&self, _: &StoredStatement) -> Result<(), LedgerError> {
        Err(LedgerError::Unavailable("scripted".to_owned()))
    }
}

fn product(name: &str) -> ObjectKey {
    ObjectKey::new("vecdb", name)
}

/// Accepted reports of ten days.
async fn fill(ledger: &dyn Ledger, name: &str) {
    let mut previous: Option<SealedReport> = None;
    let mut hour: BillingHour = "2026-11-01T00:00:00Z".parse().unwrap();
    for _ in 0..240 {
        let mut body = report(name, hour, 5).body;
        body.previous = previous.as_ref().map(SealedReport::link);
        let sealed = body.sealed();
        let mut settlement = Settlement::of(&sealed, Mode::Live);
        let outcome = Outcome::Accepted { metering_record_id: "record".to_owned() };
        settlement.records[0] = settlement.records[0].clone().answered(&outcome, Attempt::First);
        let created = ledger.create_if_absent("vecdb", &sealed, &settlement).await.unwrap();
        assert!(matches!(created, Created::New(_)));
        previous = Some(sealed);
        hour = hour.next();
    }
}

fn clerk(ledger: &Arc<MemoryLedger>, statements: Arc<dyn Statements>) -> Clerk {
    Clerk {
        clock: Arc::new(Manual(Mutex::new("2026-11-11T08:00:00Z".parse().unwrap()))),
        ledger: ledger.clone(),
        statements,
        retention: Retention { reports: SignedDuration::from_hours(72), statements: 13 },
    }
}

async fn history(ledger: &MemoryLedger, name: &str) -> Vec<Entry> {
    ledger.history(&product(name), BillingHour::of(Timestamp::UNIX_EPOCH)).await.unwrap()
}

#[tokio::test]
async fn every_product_gets_its_statement_and_keeps_its_hot_reports() {
    let ledger = Arc::new(MemoryLedger::default());
    let statements = Arc::new(MemoryStatements::default());
    fill(ledger.as_ref(), "one").await;
    fill(ledger.as_ref(), "two").await;
    let clerk = clerk(&ledger, statements.clone());
    clerk.pass(vec![product("one"), product("two")], &Roster::default()).await;
    let stored = statements.all().await.unwrap().statements;
    assert_eq!(stored.iter().map(|one| one.key().name).collect::<Vec<_>>(), ["one-202611", "two-202611"]);
    assert_eq!(stored[0].statement.body.reports, 240);
    assert_eq!((history(&ledger, "one").await.len(), history(&ledger, "two").await.len()), (72, 72));
    clerk.pass(vec![product("one"), product("two")], &Roster::default()).await;
    assert_eq!(statements.all().await.unwrap().statements, stored, "a second pass has nothing to do");
}

#[tokio::test]
async fn nothing_is_pruned_while_statements_cannot_be_written_and_the_product_says_so() {
    let ledger = Arc::new(MemoryLedger::default());
    fill(ledger.as_ref(), "one").await;
    let roster = Roster::default();
    clerk(&ledger, Arc::new(ReadOnly::default())).pass(vec![product("one")], &roster).await;
    assert_eq!(history(&ledger, "one").await.len(), 240);
    let finding = roster.of(&product("one")).unwrap().bookkeeping.unwrap();
    assert_eq!(finding.reason, "LedgerUnavailable");
    let statements = Arc::new(MemoryStatements::default());
    clerk(&ledger, statements).pass(vec![product("one")], &roster).await;
    assert_eq!(roster.of(&product("one")).unwrap().bookkeeping, None);
}

/// Statements of which one namespace, or none, can be read.
struct Refused(MemoryStatements, Option<&'static str>);

#[async_trait]
impl Statements for Refused {
    async fn all(&self) -> Result<Shelf, LedgerError> {
        let error = LedgerError::Unavailable("forbidden".to_owned());
        let namespace = self.1.ok_or_else(|| error.clone())?;
        Ok(Shelf { unread: [(namespace.to_owned(), error)].into(), ..self.0.all().await? })
    }

    async fn create(&self, namespace: &str, statement: &Statement) -> Result<StoredStatement, LedgerError> {
        self.0.create(namespace, statement).await
    }

    async fn replace(
        &self,
        stored: &StoredStatement,
        statement: &Statement,
    ) -> Result<StoredStatement, LedgerError> {
        self.0.replace(stored, statement).await
    }

    async fn remove(&self, stored: &StoredStatement) -> Result<(), LedgerError> {
        self.0.remove(stored).await
    }
}

#[tokio::test]
async fn a_namespace_whose_statements_cannot_be_read_is_told_and_keeps_no_other_from_its_books() {
    let ledger = Arc::new(MemoryLedger::default());
    fill(ledger.as_ref(), "one").await;
    let roster = Roster::default();
    let other = ObjectKey::new("refused", "two");
    let reason = |product: &ObjectKey| roster.of(product)?.bookkeeping.map(|finding| finding.reason);

    let clerk_of = |refused| clerk(&ledger, Arc::new(Refused(MemoryStatements::default(), refused)));
    assert!(!clerk_of(Some("refused")).pass(vec![product("one"), other.clone()], &roster).await);
    assert_eq!(history(&ledger, "one").await.len(), 72);
    assert_eq!((reason(&product("one")), reason(&other)), (None, Some("LedgerUnavailable")));

    assert!(!clerk_of(None).pass(vec![product("one"), other.clone()], &roster).await);
    assert_eq!(reason(&product("one")), Some("LedgerUnavailable"), "and not only in the log");
}

#[tokio::test]
async fn a_product_that_is_gone_is_found_by_its_statements() {
    let ledger = Arc::new(MemoryLedger::default());
    let statements = Arc::new(MemoryStatements::default());
    fill(ledger.as_ref(), "gone").await;
    let mut clerk = clerk(&ledger, statements.clone());
    clerk.pass(vec![product("gone")], &Roster::default()).await;
    clerk.clock = Arc::new(Manual(Mutex::new("2026-12-11T08:00:00Z".parse().unwrap())));
    let roster = Roster::default();
    clerk.pass(vec![], &roster).await;
    assert_eq!(history(&ledger, "gone").await.len(), 1);
    assert_eq!(roster.of(&product("gone")), None, "and it does not come back as a product");
}
