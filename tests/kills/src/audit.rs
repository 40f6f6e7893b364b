//! The judge: whether the ledger, AWS's books and the usage tell one story, to the unit.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The counter among the example's dimensions: of what it counts, no kill may lose or repeat a unit.
const COUNTER: &str = "gb_scanned";

/// Millionths, in which measures are written.
const MILLION: i64 = 1_000_000;

/// Ticks of the stage's product in an hour.
const TICKS_AN_HOUR: i64 = 6;

/// What a site says of itself.
#[derive(Clone, Debug)]
pub struct Account {
    /// The UsageReports, oldest first.
    pub reports: Vec<Value>,
    /// AWS's books.
    pub books: Value,
    /// What `tollkeeper report list --output json` prints.
    pub listed: Value,
    /// Gigabytes that the workload has scanned since the first checkpoint.
    pub scanned: u64,
    /// Cores that the workload asks for all the time.
    pub cores: u64,
    /// For how many hours, the first and the last of them in part.
    pub hours: u64,
}

/// A record of the ledger.
struct Line<'a> {
    hour: &'a str,
    dimension: &'a str,
    quantity: i64,
    /// Millionths of earlier hours in it.
    carried: i64,
    state: &'a str,
    id: Option<&'a str>,
}

/// Everything that is wrong with it; nothing if each unit has exactly one place.
pub fn audit(account: &Account) -> Vec<String> {
    let lines: Vec<Line<'_>> = account.reports.iter().flat_map(lines_of).collect();
    let mut wrong = chain(&account.reports);
    wrong.extend(billing(&lines, &account.books));
    wrong.extend(conservation(account, &lines));
    wrong.extend(listing(&account.listed, &lines));
    wrong
}

fn lines_of(report: &Value) -> Vec<Line<'_>> {
    let hour = report["spec"]["hour"].as_str().unwrap();
    let records = report["spec"]["records"].as_array().unwrap();
    let states = report["status"]["records"].as_array().unwrap();
    assert_eq!(records.len(), states.len(), "{hour}");
    records
        .iter()
        .zip(states)
        .map(|(record, state)| Line {
            hour,
            dimension: record["dimension"].as_str().unwrap(),
            quantity: record["quantity"].as_i64().unwrap(),
            carried: carried(record),
            state: state["state"].as_str().unwrap(),
            id: state["meteringRecordId"].as_str(),
        })
        .collect()
}

fn carried(record: &Value) -> i64 {
    let parts = record["carriedFrom"].as_array().into_iter().flatten();
    parts.map(|part| millionths(part["quantity"].as_str().unwrap())).sum()
}

/// Each report follows on the one before it.
fn chain(reports: &[Value]) -> Vec<String> {
    let broken = |pair: &[Value]| {
        let (before, after) = (&pair[0], &pair[1]);
        let link = json!({"name": before["metadata"]["name"], "hash": before["spec"]["hash"]});
        (after["spec"]["previous"] != link)
            .then(|| format!("{} does not follow {link}", after["spec"]["hour"]))
    };
    reports.windows(2).filter_map(broken).collect()
}

/// AWS bills each slot once, and only what the ledger says or admits not to know.
fn billing(lines: &[Line<'_>], books: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for double in books["doubleBills"].as_array().unwrap() {
        wrong.push(format!("billed twice: {double}"));
    }
    for refusal in books["rejected"].as_array().unwrap() {
        // Throttling is the script's, and what was stopped between claim and call may call too late. Any other refusal means that an
        // attempt was not the identical request.
        if !["ThrottlingException", "TimestampOutOfBoundsException"]
            .map(Value::from)
            .contains(&refusal["reason"])
        {
            wrong.push(format!("refused: {refusal}"));
        }
    }
    let mut billed: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
    for record in books["accepted"].as_array().unwrap() {
        let slot = (record["hour"].as_str().unwrap(), record["dimension"].as_str().unwrap());
        if let Some(other) = billed.insert(slot, record) {
            wrong.push(format!("two records of one slot: {other} and {record}"));
        }
    }
    for line in lines {
        let record = billed.remove(&(line.hour, line.dimension));
        let is_right = match (line.state, record) {
            ("Accepted", Some(record)) => {
                record["quantity"] == line.quantity && record["meteringRecordId"].as_str() == line.id
            }
            // AWS may have taken these, and may not: the ledger says that it does not know.
            ("Ambiguous" | "WrittenOff" | "Sending", Some(record)) => record["quantity"] == line.quantity,
            ("Accepted" | "Rejected", None) | (_, Some(_)) => false,
            (_, None) => true,
        };
        if !is_right {
            let Line { hour, dimension, quantity, state, .. } = line;
            wrong.push(format!(
                "{hour} {dimension}: {quantity} {state} in the ledger, {record:?} in the books"
            ));
        }
    }
    wrong.extend(billed.values().map(|record| format!("billed without a report: {record}")));
    wrong
}

/// Every unit that was used has exactly one place, and nothing else has one.
fn conservation(account: &Account, lines: &[Line<'_>]) -> Vec<String> {
    let placed = |dimension: &str| {
        // What was carried forward is in the later record.
        let here = lines.iter().filter(|line| line.dimension == dimension && line.state != "CarriedForward");
        here.map(|line| line.quantity).sum::<i64>() * MILLION + remainder(&account.reports, dimension)
    };
    let mut wrong = Vec::new();
    let (scanned, counted) = (i64::try_from(account.scanned).unwrap() * MILLION, placed(COUNTER));
    if scanned != counted {
        wrong.push(format!("{scanned} millionths of {COUNTER} were used, and {counted} have a place"));
    }
    // A gauge loses the samples of missed ticks, holds the last one for a while instead, and never gains or loses another. The
    // division of each hour rounds down.
    let cores = i64::try_from(account.cores).unwrap();
    let reports = i64::try_from(account.reports.len()).unwrap();
    let most = cores * i64::try_from(account.hours).unwrap() * MILLION;
    let least = cores * ticks_that_ran(&account.reports) * MILLION / TICKS_AN_HOUR - reports;
    let held = placed("cpu_hours");
    if !(least..=most).contains(&held) {
        wrong.push(format!("{held} millionths of cpu_hours have a place, {least} to {most} were used"));
    }
    for line in lines.iter().filter(|line| line.dimension == "instances") {
        if line.quantity * MILLION > MILLION + line.carried {
            wrong.push(format!("{}: one pod ran, and {} are billed", line.hour, line.quantity));
        }
    }
    wrong
}

/// Ticks that were due and not missed.
fn ticks_that_ran(reports: &[Value]) -> i64 {
    let count = |report: &Value, field: &str| report["spec"]["evidence"][field].as_i64().unwrap_or_default();
    reports.iter().map(|report| count(report, "ticks") - count(report, "missed")).sum()
}

/// What the last report leaves for the next one.
fn remainder(reports: &[Value], dimension: &str) -> i64 {
    let Some(last) = reports.last() else { return 0 };
    let of = |list: &Value, amount: &str| {
        let found = list.as_array().into_iter().flatten().find(|entry| entry["dimension"] == dimension)?;
        Some(millionths(found[amount].as_str().unwrap()))
    };
    let spec = &last["spec"];
    of(&spec["records"], "remainder").or_else(|| of(&spec["remainders"], "quantity")).unwrap_or_default()
}

fn millionths(text: &str) -> i64 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = format!("{part:0<6}");
    whole.parse::<i64>().unwrap() * MILLION + part.parse::<i64>().unwrap()
}

/// What `report list` adds up is what the records say.
fn listing(listed: &Value, lines: &[Line<'_>]) -> Vec<String> {
    let mut billed: BTreeMap<&str, i64> = BTreeMap::new();
    for line in lines {
        *billed.entry(line.dimension).or_default() +=
            if line.state == "Accepted" { line.quantity } else { 0 };
    }
    let mut wrong = Vec::new();
    for total in listed["totals"].as_array().unwrap() {
        let said = total["billed"].as_i64().unwrap();
        let counted = billed.remove(total["dimension"].as_str().unwrap()).unwrap_or_default();
        if said != counted {
            wrong
                .push(format!("`report list` bills {said} of {}, the records {counted}", total["dimension"]));
        }
    }
    wrong.extend(billed.keys().map(|dimension| format!("`report list` has no total of {dimension}")));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two hours of which the first was carried forward into the second, and the second was billed.
    fn account() -> Account {
        let record = |quantity: u64, remainder: &str| json!({"dimension": COUNTER, "quantity": quantity, "measured": "0", "remainder": remainder});
        let report = |hour: &str, record: Value, state: Value| json!({"metadata": {"name": hour}, "spec": {"hour": hour, "hash": hour, "records": [record]}, "status": {"records": [state]}});
        let first = report("h1", record(3, "0.500000"), json!({"state": "CarriedForward"}));
        let mut second =
            report("h2", record(8, "0.250000"), json!({"state": "Accepted", "meteringRecordId": "r"}));
        second["spec"]["previous"] = json!({"name": "h1", "hash": "h1"});
        second["spec"]["remainders"] = json!([{"dimension": "cpu_hours", "quantity": "1.500000"}]);
        Account {
            reports: vec![first, second],
            books: json!({"doubleBills": [], "rejected": [], "accepted": [
                {"hour": "h2", "dimension": COUNTER, "quantity": 8, "meteringRecordId": "r"},
            ]}),
            listed: json!({"totals": [{"dimension": COUNTER, "billed": 8}]}),
            scanned: 8,
            cores: 2,
            hours: 1,
        }
    }

    /// The account with the remainder of a quarter gone, so that whole gigabytes add up.
    fn sound() -> Account {
        let mut account = account();
        account.reports[1]["spec"]["records"][0]["remainder"] = json!("0");
        account
    }

    #[test]
    fn a_sound_account_has_nothing_wrong() {
        assert_eq!(audit(&sound()), Vec::<String>::new());
    }

    #[test]
    fn a_unit_too_many_or_too_few_is_seen() {
        for (scanned, wrongs) in [(7, 1), (8, 0), (9, 1)] {
            assert_eq!(audit(&Account { scanned, ..sound() }).len(), wrongs, "{scanned}");
        }
        assert_eq!(audit(&account()).len(), 1, "a quarter that nobody used");
        assert_eq!(audit(&Account { cores: 1, ..sound() }).len(), 1, "a gauge that gained");
        let mut account = sound();
        account.reports[1]["spec"]["evidence"] = json!({"ticks": 6, "missed": 2});
        assert_eq!(audit(&account), Vec::<String>::new());
        account.reports[1]["spec"]["evidence"]["missed"] = json!(1);
        assert_eq!(audit(&account).len(), 1, "a gauge that lost a sample of a tick that ran");
    }

    #[test]
    fn an_instance_too_many_is_seen_unless_it_was_carried_there() {
        let mut account = sound();
        let two = json!({"dimension": "instances", "quantity": 2, "measured": "2", "remainder": "0"});
        account.reports[1]["spec"]["records"].as_array_mut().unwrap().push(two);
        account.reports[1]["status"]["records"].as_array_mut().unwrap().push(json!({"state": "Ambiguous"}));
        account.listed["totals"].as_array_mut().unwrap().push(json!({"dimension": "instances", "billed": 0}));
        assert_eq!(audit(&account).len(), 1);
        account.reports[1]["spec"]["records"][1]["carriedFrom"] =
            json!([{"hour": "h0", "quantity": "1.000000"}]);
        assert_eq!(audit(&account), Vec::<String>::new());
    }

    #[test]
    fn a_charge_that_the_ledger_does_not_know_of_is_seen() {
        let mut carried = sound();
        let twice = json!({"hour": "h1", "dimension": COUNTER, "quantity": 3, "meteringRecordId": "q"});
        carried.books["accepted"].as_array_mut().unwrap().push(twice.clone());
        assert_eq!(audit(&carried).len(), 1, "carried forward and billed all the same");
        for (state, wrongs) in
            [("Ambiguous", 0), ("WrittenOff", 0), ("Sending", 0), ("Sealed", 1), ("Expired", 1)]
        {
            let mut account = Account { scanned: 11, ..carried.clone() };
            account.reports[0]["status"]["records"][0]["state"] = json!(state);
            assert_eq!(audit(&account).len(), wrongs, "{state}");
        }
        let mut unknown = sound();
        unknown.books["accepted"][0]["hour"] = json!("h3");
        assert_eq!(audit(&unknown).len(), 2, "one without a report, one without a charge");
        let mut double = sound();
        let record = double.books["accepted"][0].clone();
        double.books["accepted"].as_array_mut().unwrap().push(record);
        double.books["doubleBills"] = json!([{"hour": "h2"}]);
        assert_eq!(audit(&double).len(), 2);
    }

    #[test]
    fn another_quantity_a_refusal_a_gap_and_a_wrong_total_are_seen() {
        let mut quantity = sound();
        quantity.books["accepted"][0]["quantity"] = json!(9);
        assert_eq!(audit(&quantity).len(), 1);
        let mut refused = sound();
        refused.books["rejected"] = json!([{"reason": "ThrottlingException"}, {"reason": "TimestampOutOfBoundsException"}, {"reason": "DuplicateRequestException"}]);
        assert_eq!(audit(&refused).len(), 1);
        let mut gap = sound();
        gap.reports[1]["spec"]["previous"]["hash"] = json!("h0");
        assert_eq!(audit(&gap).len(), 1);
        let mut listed = sound();
        listed.listed["totals"][0]["billed"] = json!(7);
        assert_eq!(audit(&listed).len(), 1);
        listed.listed["totals"] = json!([]);
        assert_eq!(audit(&listed).len(), 1);
    }
}
