use jiff::{SignedDuration, Timestamp};

use super::{
    fixture::{entry, history, sealed, status},
    *,
};
use crate::{ledger::Entry, settlement::RecordState};

const RETENTION: Retention = Retention { reports: SignedDuration::from_hours(72), statements: 13 };

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A ledger and its statements, on which plans are carried out.
#[derive(Clone, Default)]
struct Books {
    history: Vec<Entry>,
    statements: Vec<StoredStatement>,
    writes: usize,
}

impl Books {
    fn of(history: Vec<Entry>) -> Self {
        Self { history, ..Self::default() }
    }

    fn plan(&self, now: &str) -> Plan {
        plan(&self.history, &self.statements, RETENTION, at(now))
    }

    fn write(&mut self, plan: &Plan) {
        for (old, statement) in &plan.write {
            self.statements.retain(|stored| Some(stored) != old.as_ref());
            self.writes += 1;
            let version = self.writes.to_string();
            let stored = StoredStatement { namespace: "vecdb".into(), statement: statement.clone(), version };
            self.statements.push(stored);
        }
        self.statements.sort_by_key(|stored| stored.statement.body.month);
    }

    fn keep(&mut self, now: &str) {
        let plan = self.plan(now);
        self.write(&plan);
        self.history.retain(|entry| !plan.prune.contains(entry));
        self.statements.retain(|stored| !plan.forget.contains(stored));
    }

    fn statement(&self, month: &str) -> &StatementBody {
        let month = month.parse().unwrap();
        &self.statements.iter().find(|one| one.statement.body.month == month).unwrap().statement.body
    }

    fn total(&self, month: &str) -> &MonthTotal {
        self.statement(month).total(&"gb_hours".parse().unwrap()).unwrap()
    }
}

fn conserves(total: &MonthTotal, remainder_before: &str) {
    let taken = total.billed + total.rejected + total.written_off + total.held + total.carried_forward;
    let rest: Quantity = remainder_before.parse().unwrap();
    assert_eq!(rest + total.measured + total.carried_in, taken + total.remainder, "{total:?}");
}

#[test]
fn a_day_is_rolled_up_seven_hours_after_its_end() {
    let mut books = Books::of(history("2026-11-20T00:00:00Z", 30));
    assert_eq!(books.plan("2026-11-21T06:59:59Z"), Plan::default());
    books.keep("2026-11-21T07:00:00Z");
    let statement = books.statement("2026-11");
    assert_eq!((statement.reports, statement.days.len()), (24, 1));
    assert_eq!(statement.root(), Some(&books.history[23].report.hash));
    let total = books.total("2026-11");
    assert_eq!(total.measured.to_string(), "33.600000");
    assert_eq!(
        (total.billed.to_string(), total.remainder.to_string()),
        ("33.000000".into(), "0.600000".into())
    );
    conserves(total, "0");
    assert_eq!(statement.total(&"idle".parse().unwrap()).unwrap().remainder.to_string(), "0.500000");
}

#[test]
fn a_plan_that_was_carried_out_leaves_nothing_to_do() {
    let mut books = Books::of(history("2026-10-20T05:00:00Z", 24 * 20));
    books.keep("2026-11-09T07:00:00Z");
    assert_eq!(books.plan("2026-11-09T07:00:00Z"), Plan::default());
    assert_eq!(books.plan("2026-11-10T06:00:00Z"), Plan::default(), "the books cost one write a day");
}

#[test]
fn a_crash_between_any_two_steps_changes_nothing_in_the_end() {
    let start = Books::of(history("2026-10-28T05:00:00Z", 24 * 10));
    let mut whole = start.clone();
    whole.keep("2026-11-08T07:00:00Z");
    let plan = start.plan("2026-11-08T07:00:00Z");
    let (writes, prunes) = (plan.write.len(), plan.prune.len());
    assert_eq!(writes, 2, "two months");
    for done in 0..=writes + prunes {
        let mut books = start.clone();
        let cut = Plan { write: plan.write[..done.min(writes)].to_vec(), ..Plan::default() };
        books.write(&cut);
        books.history.retain(|entry| !plan.prune[..done.saturating_sub(writes)].contains(entry));
        books.keep("2026-11-08T07:00:00Z");
        let said =
            |books: &Books| books.statements.iter().map(|one| one.statement.clone()).collect::<Vec<_>>();
        assert_eq!(said(&books), said(&whole), "after {done} steps");
        assert_eq!(books.history, whole.history, "after {done} steps");
    }
}

#[test]
fn reports_go_after_their_retention_and_the_newest_stays_for_ever() {
    let mut books = Books::of(history("2026-11-10T00:00:00Z", 24 * 7));
    books.keep("2026-11-17T07:00:00Z");
    assert_eq!(books.history.len(), 72);
    assert_eq!(books.statement("2026-11").pruned_through, Some("2026-11-13T23:00:00Z".parse().unwrap()));
    books.keep("2026-12-24T07:00:00Z");
    assert_eq!(books.history.len(), 1, "the next report follows it");
    let next = sealed("2026-12-25T00:00:00Z".parse().unwrap(), Some(&books.history[0].report), &[]);
    books.history.push(entry(next, RecordState::Accepted));
    books.keep("2026-12-26T07:00:00Z");
    assert_eq!(books.total("2026-12").measured.to_string(), "1.400000", "without what was carried into it");
    assert_eq!(
        books.statement("2026-12").previous.as_ref().map(|link| &link.hash),
        books.statement("2026-11").root()
    );
}

#[test]
fn months_follow_each_other_without_a_gap_in_any_total() {
    let mut books = Books::of(vec![]);
    let all = history("2026-09-28T00:00:00Z", 24 * 70);
    let mut next = all.iter().cloned();
    for day in 0..72 {
        books.history.extend(next.by_ref().take(24));
        let now = at("2026-09-29T07:30:00Z") + SignedDuration::from_hours(24 * day);
        books.keep(&now.to_string());
    }
    let months = ["2026-09", "2026-10", "2026-11", "2026-12"];
    let mut remainder = "0".to_owned();
    for month in months {
        conserves(books.total(month), &remainder);
        remainder = books.total(month).remainder.to_string();
    }
    let sum: Quantity = months.iter().map(|month| books.total(month).measured).sum();
    assert_eq!(sum.micros(), 1_400_000 * 24 * 70);
    assert_eq!(books.writes, 72 + 3 * 3, "one write a day, and three that only prune after each month's end");
}

#[test]
fn what_is_held_is_open_until_a_person_decides_and_is_then_counted_once() {
    let mut all = history("2026-11-10T00:00:00Z", 24 * 7);
    let held = entry(all[5].report.clone(), RecordState::Held);
    let units = Quantity::from_units(held.report.body.records[0].quantity);
    all[5] = held;
    let mut books = Books::of(all);
    books.keep("2026-11-17T07:00:00Z");
    assert_eq!(books.total("2026-11").held, units);
    assert_eq!(books.statement("2026-11").open.len(), 1);
    assert_eq!(
        books.history[0].report.body.hour.to_string(),
        "2026-11-10T05:00:00Z",
        "the held report stays"
    );
    assert_eq!(books.history.len(), 73);
    let record = status(RecordState::WrittenOff);
    books.history[0].settlement = books.history[0].settlement.clone().with(record);
    books.keep("2026-11-17T08:00:00Z");
    let total = books.total("2026-11");
    assert_eq!((total.held, total.written_off), (Quantity::ZERO, units));
    conserves(total, "0");
    assert_eq!(books.statement("2026-11").open, []);
    assert_eq!(books.history.len(), 72, "and it is pruned");
}

#[test]
fn a_report_that_carries_late_usage_stays_until_the_late_report_says_so() {
    let mut all = history("2026-11-10T00:00:00Z", 3);
    let late = all[1].report.body.hour;
    all[1] = entry(all[1].report.clone(), RecordState::Expired);
    let carrier = sealed("2026-11-10T03:00:00Z".parse().unwrap(), Some(&all[2].report), &[(late, 1)]);
    all.push(entry(carrier, RecordState::Accepted));
    let newest = sealed("2026-11-10T04:00:00Z".parse().unwrap(), Some(&all[3].report), &[]);
    all.push(entry(newest, RecordState::Accepted));
    let mut books = Books::of(all);
    books.keep("2026-11-20T07:00:00Z");
    let hours = |books: &Books| -> Vec<String> {
        books.history.iter().map(|entry| entry.report.body.hour.compact()[8..].to_owned()).collect()
    };
    assert_eq!(hours(&books), ["01", "03", "04"]);
    let marked = status(RecordState::CarriedForward);
    books.history[0].settlement = books.history[0].settlement.clone().with(marked);
    books.keep("2026-11-20T08:00:00Z");
    assert_eq!(hours(&books), ["04"]);
    conserves(books.total("2026-11"), "0");
}

#[test]
fn a_report_that_is_sealed_late_joins_its_day() {
    let all = history("2026-11-10T00:00:00Z", 24);
    let mut books = Books::of(all[..20].to_vec());
    books.keep("2026-11-12T07:00:00Z");
    assert_eq!(books.statement("2026-11").days[0].reports, 20);
    books.history = all.clone();
    books.keep("2026-11-12T08:00:00Z");
    let statement = books.statement("2026-11");
    assert_eq!((statement.days.len(), statement.days[0].reports, statement.reports), (1, 24, 24));
    assert_eq!(statement.root(), Some(&all[23].report.hash));
    conserves(books.total("2026-11"), "0");
}

#[test]
fn statements_go_after_their_retention_unless_a_report_of_theirs_is_still_there() {
    let mut books = Books::of(history("2026-01-30T00:00:00Z", 24 * 4));
    books.keep("2026-02-20T07:00:00Z");
    assert_eq!(books.statements.len(), 2);
    books.keep("2027-02-28T07:00:00Z");
    assert_eq!(books.statements.len(), 2, "thirteen months before February is January");
    books.keep("2027-03-01T07:00:00Z");
    assert_eq!(books.statements.len(), 1);
    books.keep("2030-01-01T07:00:00Z");
    assert_eq!(books.statements.len(), 1, "the newest report is of February");
}

#[test]
fn a_statement_is_intact_until_somebody_edits_it() {
    let mut books = Books::of(history("2026-11-20T00:00:00Z", 30));
    books.keep("2026-11-21T07:00:00Z");
    let mut statement = books.statements[0].statement.clone();
    assert!(statement.is_intact());
    statement.body.totals[0].billed = Quantity::ZERO;
    assert!(!statement.is_intact());
    let json = serde_json::to_string(&books.statements[0].statement).unwrap();
    assert_eq!(serde_json::from_str::<Statement>(&json).unwrap(), books.statements[0].statement);
}
