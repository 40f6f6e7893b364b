//! `tollkeeper report resolve`, `write-off`, `release` and `acknowledge`.

use serde_json::{Value, json};

use crate::fixture::{api_server, api_server_that_knows, report, stderr, stdout, two_hours};

/// Both hours, the later one in this state.
fn with(state: &str) -> Vec<Value> {
    let mut reports = two_hours();
    reports[0]["status"]["records"][0] = json!({"dimension": "gb_hours", "state": state, "attempts": 1});
    reports
}

const RECORD: [&str; 4] = ["vecdb-2026112115", "gb_hours", "--reason", "agreed with the buyer"];

#[test]
fn a_decision_is_written_with_the_name_that_the_api_server_knows() {
    let url = api_server_that_knows(with("Held"), Some("alice@example.com"));
    let output = report("decide", &url, &[&["write-off"], &RECORD[..], &["--output", "json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&result["from"], &result["to"]), (&json!("Held"), &json!("WrittenOff")));
    let decision = &result["decision"];
    assert_eq!((&decision["by"], &decision["verified"]), (&json!("alice@example.com"), &json!(true)));
    assert_eq!(decision["reason"], "agreed with the buyer");
    let again = report("decide", &url, &[&["write-off"], &RECORD[..]].concat());
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(
        stderr(&again),
        "tollkeeper: gb_hours is WrittenOff and stays so: a state that has ended does not change\n"
    );
}

#[test]
fn an_older_api_server_leaves_the_name_unconfirmed() {
    let output = report("older", &api_server(with("Rejected")), &[&["acknowledge"], &RECORD[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("by test (not confirmed by the API server)"), "{}", stdout(&output));
}

#[test]
fn an_ambiguous_record_is_not_sent_again_by_mistake() {
    let url = api_server(with("Ambiguous"));
    let release = [&["release"], &RECORD[..]].concat();
    let output = report("twice", &url, &release);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("say --i-accept-a-second-charge"), "{}", stderr(&output));
    let output = report("twice", &url, &[&release[..], &["--i-accept-a-second-charge"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stdout(&output).starts_with("vecdb-2026112115 gb_hours: Ambiguous -> Sealed\n"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn an_ambiguous_record_that_aws_has_is_accepted_under_its_id() {
    let url = api_server(with("Ambiguous"));
    let resolve = [&["resolve"], &RECORD[..]].concat();
    assert_eq!(report("found", &url, &resolve).status.code(), Some(2), "the id is needed");
    let output = report("found", &url, &[&resolve[..], &["--record-id", "4d1f-a"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let list = stdout(&report("found", &url, &["list"]));
    assert!(list.contains("Accepted  4d1f-a"), "{list}");
}

#[test]
fn a_decision_needs_a_reason_a_report_and_a_record() {
    let url = api_server(with("Held"));
    let without = report("needs", &url, &["write-off", "vecdb-2026112115", "gb_hours"]);
    assert_eq!(without.status.code(), Some(2));
    for (arguments, why) in [
        (["vecdb-2026112115", "gb_hours", "--reason", " "], "a reason of 1 to 1024 characters is needed"),
        (["vecdb-2026112116", "gb_hours", "--reason", "x"], "there is no report vecdb/vecdb-2026112116"),
        (["vecdb-2026112115", "seats", "--reason", "x"], "has no record of seats; it has: gb_hours"),
    ] {
        let output = report("needs", &url, &[&["write-off"], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
}
