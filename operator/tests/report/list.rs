//! `tollkeeper report list`.

use std::process::Output;

use serde_json::{Value, json};

use crate::fixture::{api_server, report, stderr, stdout, two_hours};

fn list(test: &str, url: &str, arguments: &[&str]) -> Output {
    report(&format!("list-{test}"), url, &[&["list"], arguments].concat())
}

#[test]
fn records_are_listed_oldest_first_with_their_totals() {
    let output = list("records", &api_server(two_hours()), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "\
PRODUCT  HOUR                  DIMENSION  QUANTITY  STATE     RECORD-ID  REASON
vecdb    2026-11-21T14:00:00Z  gb_hours          3  Accepted  record-1   -
vecdb    2026-11-21T15:00:00Z  gb_hours          4  Rejected  -          InvalidTagException

PRODUCT  DIMENSION  MEASURED  BILLED  WRITTEN-OFF  REJECTED  HELD  UNSETTLED  REMAINDER
vecdb    gb_hours   7.500000       3            0         4     0          0   0.500000
"
    );
}

#[test]
fn json_holds_the_reports_as_they_are_and_the_totals() {
    let output = list("json", &api_server(two_hours()), &["--output", "json"]);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["reports"][0]["spec"], two_hours()[1]["spec"]);
    assert_eq!(result["reports"][1]["status"]["records"][0]["reason"], "InvalidTagException");
    let expected = json!([{
        "namespace": "vecdb", "product": "vecdb", "dimension": "gb_hours", "measured": "7.500000", "billed": 3,
        "writtenOff": 0, "rejected": 4, "held": 0, "unsettled": 0, "remainder": "0.500000",
    }]);
    assert_eq!(result["totals"], expected);
    assert_eq!(result["problems"], json!([]));
}

#[test]
fn a_damaged_report_hides_no_other_and_ends_with_one() {
    let mut reports = two_hours();
    reports[0]["spec"]["records"][0]["quantity"] = json!(5);
    let output = list("damaged", &api_server(reports), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("14:00:00Z  gb_hours"), "{}", stdout(&output));
    let sentence =
        "the report vecdb/vecdb-2026112115 cannot be trusted: its content has been changed after the seal";
    assert!(stdout(&output).contains(&format!("DAMAGED {sentence}")), "{}", stdout(&output));
    assert!(stderr(&output).starts_with(&format!("tollkeeper: {sentence}")), "{}", stderr(&output));
}

#[test]
fn namespaces_and_products_narrow_the_list() {
    let url = api_server(two_hours());
    for (arguments, lines) in [
        (["--namespace", "elsewhere"].as_slice(), 1),
        (&["--all-namespaces"], 6),
        (&["--product", "vecdb"], 6),
        (&["--product", "other"], 1),
    ] {
        let output = list("narrow", &url, arguments);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(stdout(&output).lines().count(), lines, "{arguments:?}: {}", stdout(&output));
    }
    let everywhere = stdout(&list("narrow", &url, &["-A"]));
    assert!(everywhere.contains("\nvecdb/vecdb "), "{everywhere}");
    let conflicting = list("narrow", &url, &["-A", "--namespace", "vecdb"]);
    assert_eq!(conflicting.status.code(), Some(2));
}

#[test]
fn no_reports_are_a_sentence_or_empty_lists() {
    let url = api_server(vec![]);
    let output = list("none", &url, &["--product", "vecdb"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), "There are no usage reports of the product vecdb in the namespace vecdb.\n");
    let output = list("none", &url, &["--output", "json"]);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result, json!({"reports": [], "totals": [], "problems": []}));
}

#[test]
fn a_cluster_that_is_not_there_is_one_sentence() {
    let output = list("nobody", "http://127.0.0.1:1", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("refused"), "{}", stderr(&output));
}
