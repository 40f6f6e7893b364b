use std::sync::LazyLock;

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    settlement::RecordState,
    statement::{
        Retention, StoredStatement,
        fixture::{entry as fixed, history, sealed, status},
        plan,
    },
};

const NOW: &str = "2026-11-08T07:00:00Z";

/// Two months: old reports are pruned but for one that is held, statements bridge them.
fn pruned() -> Material {
    static PRUNED: LazyLock<Material> = LazyLock::new(two_months);
    PRUNED.clone()
}

fn two_months() -> Material {
    let mut all = history("2026-10-29T05:00:00Z", 24 * 10);
    all[30] = fixed(all[30].report.clone(), RecordState::Held);
    let retention = Retention { reports: SignedDuration::from_hours(24), statements: 13 };
    let plan = plan(&all, &[], retention, NOW.parse().unwrap());
    all.retain(|entry| !plan.prune.contains(entry));
    let statements = plan.write.into_iter().map(|(_, statement)| StoredStatement {
        namespace: "vecdb".into(),
        statement,
        version: "1".into(),
    });
    material(&all, &statements.collect::<Vec<_>>())
}

fn report_object(entry: &Entry) -> Value {
    json!({
        "apiVersion": "tollkeeper.dev/v1alpha1",
        "kind": "UsageReport",
        "metadata": {"namespace": entry.namespace, "name": entry.report.name(), "uid": "u"},
        "spec": entry.report,
        "status": {"phase": entry.settlement.phase().as_str(), "records": entry.settlement.records},
    })
}

fn material(history: &[Entry], statements: &[StoredStatement]) -> Material {
    let statements = statements.iter().map(|stored| {
        json!({
            "apiVersion": "tollkeeper.dev/v1alpha1",
            "kind": "UsageStatement",
            "metadata": {"namespace": stored.namespace, "name": stored.statement.name()},
            "spec": stored.statement,
        })
    });
    Material { reports: history.iter().map(report_object).collect(), statements: statements.collect() }
}

fn fresh(hours: usize) -> Material {
    material(&history("2026-11-08T00:00:00Z", hours), &[])
}

fn kinds(problems: &[Problem]) -> Vec<Kind> {
    problems.iter().map(|problem| problem.kind).collect()
}

/// Everything that `verify` would say to an export.
fn said(text: &str) -> Result<Vec<Problem>, InvalidExport> {
    let export = Export::parse(text)?;
    Ok(export.problems().into_iter().chain(prove(&export.material).problems).collect())
}

fn is_found(text: &str) -> bool {
    said(text).map_or(true, |problems| !problems.is_empty())
}

fn lines(material: &Material) -> Vec<String> {
    Export::new(NOW, material.clone()).lines().collect()
}

#[test]
fn an_untouched_ledger_is_proved_with_its_pruned_beginning() {
    let material = pruned();
    assert_eq!((material.reports.len(), material.statements.len()), (30, 2));
    let proof = prove(&material);
    assert_eq!(proof.problems, []);
    assert_eq!(proof.chains[0].first.as_deref(), Some("vecdb-2026103011"), "the held report");
    let export = Export::new(NOW, material);
    assert_eq!(said(&export.json().to_string()).unwrap(), []);
    assert_eq!(said(&export.lines().collect::<String>()).unwrap(), []);
    assert_eq!(Export::parse(&export.json().to_string()).unwrap(), export);
}

#[test]
fn the_api_servers_order_is_put_right() {
    let mut shuffled = pruned();
    shuffled.reports.reverse();
    shuffled.statements.reverse();
    assert_ne!(prove(&shuffled).problems, []);
    shuffled.sort();
    assert_eq!(prove(&shuffled).problems, []);
}

/// In a cluster there are no digests of an export: the chain and the statements must do.
#[test]
fn any_report_that_is_deleted_from_the_cluster_is_named() {
    let whole = pruned();
    // The newest reports are in no statement yet: only an earlier export knows that they were there.
    let known = whole.reports.len() - 8;
    for index in 0..whole.reports.len() {
        let mut cut = whole.clone();
        let gone = cut.reports.remove(index);
        let name = gone.pointer("/metadata/name").unwrap().as_str().unwrap();
        let problems = prove(&cut).problems;
        let earlier = changed_since(&whole, &cut);
        assert!(earlier.iter().any(|problem| problem.report.ends_with(name)), "{name}: {earlier:?}");
        if index == whole.reports.len() - 1 {
            assert_eq!(problems, [], "the very last one");
            assert!(kinds(&earlier).contains(&Kind::RolledBack), "{earlier:?}");
        } else {
            assert!(
                problems.iter().any(|problem| problem.report.contains("vecdb")),
                "{name} ({known}): {problems:?}"
            );
        }
    }
}

#[test]
fn a_forged_report_with_a_hash_that_fits_breaks_the_chain_behind_it() {
    let whole = history("2026-11-08T00:00:00Z", 6);
    let mut forged = whole.clone();
    let mut body = forged[3].report.body.clone();
    body.records[0].quantity = 0;
    forged[3].report = body.sealed();
    let problems = prove(&material(&forged, &[])).problems;
    assert!(
        problems.iter().any(|problem| {
            problem.report == "vecdb/vecdb-2026110804" && problem.field.as_deref() == Some("spec.previous")
        }),
        "{problems:?}"
    );
    let since = changed_since(&material(&whole, &[]), &material(&forged, &[]));
    assert!(since.iter().any(|problem| problem.field.as_deref() == Some("spec.hash")), "{since:?}");
}

#[test]
fn a_chain_that_was_forged_to_its_end_is_found_by_its_statement_or_an_earlier_export() {
    let honest = pruned();
    let mut entries = honest.entries();
    let statements = honest.stored_statements();
    let (held, mut rest) = (entries.remove(0), entries);
    rest[0].report.body.records[0].quantity = 0;
    for index in 0..rest.len() {
        if index > 0 {
            rest[index].report.body.previous = Some(rest[index - 1].report.link());
        }
        rest[index].report = rest[index].report.body.clone().sealed();
    }
    let forged: Vec<Entry> = [held].into_iter().chain(rest).collect();
    let forged = material(&forged, &statements);
    assert!(kinds(&prove(&forged).problems).contains(&Kind::Edited));
    let since = changed_since(&honest, &forged);
    assert!(
        since.iter().any(|problem| problem.field.as_deref() == Some("spec.hash")
            || problem.field.as_deref() == Some("spec.records[0].quantity")),
        "{since:?}"
    );
}

#[test]
fn a_rolled_back_ledger_is_found_by_its_own_statement() {
    let mut material = pruned();
    material.reports.truncate(10);
    assert!(kinds(&prove(&material).problems).contains(&Kind::RolledBack));
}

#[test]
fn an_earlier_export_finds_what_changed_though_it_had_ended() {
    let before = fresh(5);
    let change = |change: fn(&mut Value)| {
        let mut after = before.clone();
        change(&mut after.reports[2]["status"]["records"][0]);
        let problems = changed_since(&before, &after);
        problems.first().and_then(|problem| problem.field.clone())
    };
    assert_eq!(change(|_| {}), None);
    assert_eq!(
        change(|record| record["state"] = json!("WrittenOff")).as_deref(),
        Some("status.records[].state")
    );
    let other_id = change(|record| record["meteringRecordId"] = json!("other"));
    assert_eq!(other_id.as_deref(), Some("status.records[].meteringRecordId"));
    assert_eq!(change(|record| record["attempts"] = json!(0)).as_deref(), Some("status.records[].attempts"));
    assert_eq!(kinds(&changed_since(&before, &Material::default())), [Kind::Missing]);
    assert_eq!(changed_since(&before, &fresh(9)), []);
}

#[test]
fn an_earlier_export_lets_go_what_was_pruned() {
    let before = material(&history("2026-10-29T05:00:00Z", 40), &[]);
    let mut all = history("2026-10-29T05:00:00Z", 24 * 10);
    let retention = Retention { reports: SignedDuration::from_hours(24), statements: 13 };
    let plan = plan(&all, &[], retention, NOW.parse().unwrap());
    all.retain(|entry| !plan.prune.contains(entry));
    let statements: Vec<StoredStatement> = plan
        .write
        .into_iter()
        .map(|(_, statement)| StoredStatement { namespace: "vecdb".into(), statement, version: "1".into() })
        .collect();
    assert_eq!(changed_since(&before, &material(&all, &statements)), []);
    assert_eq!(changed_since(&before, &material(&all, &statements[1..])).len(), 40, "no statement says so");
    let mut edited = statements.clone();
    edited[1].statement.body.totals[0].billed = crate::quantity::Quantity::ZERO;
    edited[1].statement = edited[1].statement.body.clone().sealed();
    let found = changed_since(&material(&all, &statements), &material(&all, &edited));
    assert_eq!(found[0].field.as_deref(), Some("spec.totals[].billed"));
}

#[test]
fn a_decision_that_disappears_is_named() {
    let mut all = history("2026-11-08T00:00:00Z", 2);
    all[0] = fixed(all[0].report.clone(), RecordState::Held);
    let author = crate::decision::Author {
        name: "alice".into(),
        is_verified: true,
        reason: "agreed".into(),
        at: NOW.parse().unwrap(),
    };
    let decided = status(RecordState::Held).decided(&crate::decision::Wish::WriteOff, &author).unwrap();
    let mut after = all.clone();
    after[0].settlement = after[0].settlement.clone().with(decided);
    let (before, after) = (material(&all, &[]), material(&after, &[]));
    assert_eq!(changed_since(&before, &after), []);
    let found = changed_since(&after, &before);
    assert_eq!(found[0].field.as_deref(), Some("status.records[].decisions"));
    assert_eq!(found[0].record.as_ref().map(ToString::to_string).as_deref(), Some("gb_hours"));
}

#[test]
fn an_accepted_record_without_its_receipt_is_named() {
    let mut ledger = fresh(3);
    ledger.reports[1]["status"]["records"][0].as_object_mut().unwrap().remove("meteringRecordId");
    let found = prove(&ledger).problems;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].field.as_deref(), Some("status.records[].meteringRecordId"));
}

#[test]
fn a_first_report_in_the_middle_of_a_product_is_no_beginning() {
    let mut all = history("2026-11-08T00:00:00Z", 3);
    let orphan = sealed("2026-11-08T03:00:00Z".parse().unwrap(), None, &[]);
    all.push(fixed(orphan, RecordState::Accepted));
    assert_eq!(kinds(&prove(&material(&all, &[])).problems), [Kind::Broken]);
}

#[test]
fn a_file_of_something_else_is_refused_in_one_sentence() {
    for text in ["", "{}", "[]", "not json", "{\"kind\":\"UsageReport\"}\n"] {
        assert!(Export::parse(text).is_err(), "{text}");
    }
    let mut text = lines(&fresh(2));
    text.pop();
    assert_eq!(kinds(&said(&text.concat()).unwrap()), [Kind::Truncated]);
}

/// Every place in a document, as pointers to leaves and to members and items.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let place = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                found.push(place.clone());
                places(member, &place, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let place = format!("{at}/{index}");
                found.push(place.clone());
                places(item, &place, found);
            }
        }
        _ => {}
    }
}

/// Another value of the same type, or one beside it.
fn edited(value: &Value) -> Value {
    match value {
        Value::String(text) if text.ends_with('0') => json!(format!("{}1", &text[..text.len() - 1])),
        Value::String(text) => json!(format!("{text}0")),
        Value::Number(number) => json!(number.as_u64().unwrap_or_default() + 1),
        Value::Bool(truth) => json!(!truth),
        Value::Null => json!(0),
        Value::Array(items) => json!([items.as_slice(), &[json!("more")]].concat()),
        Value::Object(members) => {
            let mut members = members.clone();
            members.insert("more".into(), json!(1));
            Value::Object(members)
        }
    }
}

fn removed(document: &mut Value, place: &str) {
    let (parent, last) = place.rsplit_once('/').unwrap();
    let name = last.replace("~1", "/").replace("~0", "~");
    match document.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.remove(&name);
        }
        Some(Value::Array(items)) => {
            items.remove(name.parse().unwrap());
        }
        _ => unreachable!(),
    }
}

#[test]
fn any_single_edit_or_removal_in_an_export_of_two_hours_is_found() {
    let document = Export::new(NOW, fresh(2)).json();
    let mut all = Vec::new();
    places(&document, "", &mut all);
    assert!(all.len() > 100, "{}", all.len());
    for place in &all {
        let mut changed = document.clone();
        let old = changed.pointer(place).unwrap().clone();
        *changed.pointer_mut(place).unwrap() = edited(&old);
        assert!(is_found(&changed.to_string()), "an edit of {place}");
        let mut cut = document.clone();
        removed(&mut cut, place);
        let is_empty_list = place == "/statements";
        assert!(is_empty_list || is_found(&cut.to_string()), "the removal of {place}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_single_edit_in_an_export_with_statements_is_found(pick: proptest::sample::Index) {
        let document = Export::new(NOW, pruned()).json();
        let mut all = Vec::new();
        places(&document, "", &mut all);
        let place = pick.get(&all);
        let mut changed = document.clone();
        let old = changed.pointer(place).unwrap().clone();
        *changed.pointer_mut(place).unwrap() = edited(&old);
        prop_assert!(is_found(&changed.to_string()), "{}", place);
    }

    #[test]
    fn any_spec_that_is_edited_in_the_cluster_is_found(pick: proptest::sample::Index) {
        let mut material = pruned();
        let mut all = Vec::new();
        for (index, report) in material.reports.iter().enumerate() {
            let mut of_spec = Vec::new();
            places(&report["spec"], "/spec", &mut of_spec);
            all.extend(of_spec.into_iter().map(|place| (index, place)));
        }
        let (index, place) = pick.get(&all);
        let old = material.reports[*index].pointer(place).unwrap().clone();
        *material.reports[*index].pointer_mut(place).unwrap() = edited(&old);
        let problems = prove(&material).problems;
        let name = material.reports[*index].pointer("/metadata/name").unwrap().as_str().unwrap();
        prop_assert!(problems.iter().any(|problem| problem.report.ends_with(name)), "{} {}: {:?}", name, place, problems);
    }

    #[test]
    fn any_line_that_is_removed_doubled_swapped_or_cut_is_found(
        pick: proptest::sample::Index, other: proptest::sample::Index, how in 0..4,
    ) {
        let mut all = lines(&pruned());
        let (one, two) = (pick.index(all.len()), other.index(all.len()));
        prop_assume!(how != 2 || one != two);
        match how {
            0 => { all.remove(one); }
            1 => all.insert(one, all[one].clone()),
            2 => all.swap(one, two),
            _ => all.truncate(one),
        }
        prop_assert!(is_found(&all.concat()), "{} of lines {} and {}", how, one, two);
    }
}
