//! `tollkeeper report verify`, `export`, `explain` and `cost`.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::fixture::{api_server, report, stderr, stdout, two_hours};

fn place(name: &str) -> String {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name).display().to_string()
}

#[test]
fn an_intact_ledger_is_verified_in_the_cluster_and_in_every_format_of_a_file() {
    let url = api_server(two_hours());
    let cluster = report("verify", &url, &["verify"]);
    assert_eq!(cluster.status.code(), Some(0), "{}", stderr(&cluster));
    assert!(
        stdout(&cluster).ends_with("Intact: nothing was edited, deleted or reordered.\n"),
        "{}",
        stdout(&cluster)
    );
    for format in ["json", "jsonl"] {
        let export = report("verify-export", &url, &["export", "vecdb", "--output", format]);
        let file = place(&format!("export.{format}"));
        fs::write(&file, &export.stdout).unwrap();
        let nobody = "http://127.0.0.1:1";
        let verified = report("verify-file", nobody, &["verify", &file, "--output", "json"]);
        assert_eq!(verified.status.code(), Some(0), "{}", stderr(&verified));
        let result: Value = serde_json::from_slice(&verified.stdout).unwrap();
        assert_eq!(result["intact"], true);
        assert_eq!(result["chains"][0]["last"], "vecdb-2026112115");
        assert_eq!(result["chains"][0]["hash"], two_hours()[0]["spec"]["hash"]);
    }
    let list = json!({"kind": "List", "items": two_hours()});
    let file = place("kubectl.json");
    fs::write(&file, list.to_string()).unwrap();
    assert_eq!(report("verify-list", &url, &["verify", &file]).status.code(), Some(0));
}

#[test]
fn what_was_edited_is_named_with_its_part() {
    let export = report("edit", &api_server(two_hours()), &["export"]);
    let text = stdout(&export).replace(
        "\"attempts\":1,\"dimension\":\"gb_hours\",\"meteringRecordId\"",
        "\"attempts\":2,\"dimension\":\"gb_hours\",\"meteringRecordId\"",
    );
    assert_ne!(text, stdout(&export), "{text}");
    let file = place("edited.jsonl");
    fs::write(&file, text).unwrap();
    let verified = report("edit", "http://127.0.0.1:1", &["verify", &file]);
    assert_eq!(verified.status.code(), Some(1));
    assert_eq!(
        stderr(&verified),
        "tollkeeper: Edited vecdb/vecdb-2026112114 status: it is not what was exported\n"
    );
}

#[test]
fn a_ledger_that_was_rolled_back_is_found_by_an_earlier_export() {
    let export = report("rollback", &api_server(two_hours()), &["export"]);
    let file = place("earlier.jsonl");
    fs::write(&file, &export.stdout).unwrap();
    let rolled_back = api_server(two_hours().split_off(1));
    assert_eq!(report("rollback", &rolled_back, &["verify"]).status.code(), Some(0));
    let verified = report("rollback", &rolled_back, &["verify", "--since-export", &file]);
    assert_eq!(verified.status.code(), Some(1));
    assert!(stdout(&verified).contains("RolledBack vecdb/vecdb-2026112114: "), "{}", stdout(&verified));
    assert!(stdout(&verified).contains("Missing vecdb/vecdb-2026112115: "), "{}", stdout(&verified));
}

#[test]
fn a_file_that_is_no_export_is_one_sentence() {
    let file = place("no-export.json");
    fs::write(&file, "{\"kind\": \"Pod\"}").unwrap();
    let verified = report("no-export", "http://127.0.0.1:1", &["verify", &file]);
    assert_eq!(verified.status.code(), Some(1));
    assert_eq!(stderr(&verified).lines().count(), 1, "{}", stderr(&verified));
    assert!(stderr(&verified).contains("is not an export"), "{}", stderr(&verified));
}

#[test]
fn a_number_is_explained_from_its_inputs_to_its_record_id() {
    let url = api_server(two_hours());
    let explain = ["explain", "vecdb", "2026-11-21T15:00:00Z", "gb_hours"];
    let output = report("explain", &url, &explain);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for part in [
        "4.250000 measured in this hour",
        "0.250000 from vecdb-2026112114",
        "4.500000\n",
        "InvalidTagException",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let output = report("explain", &url, &[&explain[..], &["--output", "json"]].concat());
    let story: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        json!([
            story["folded"],
            story["remainderIn"],
            story["measured"],
            story["quantity"],
            story["remainder"]
        ]),
        json!(["4.250000", "0.250000", "4.500000", 4, "0.500000"])
    );
    assert_eq!(story["status"]["state"], "Rejected");
}

#[test]
fn what_cannot_be_explained_says_why() {
    let url = api_server(two_hours());
    for (arguments, why) in [
        (["vecdb", "2026-11-21T16:00:00Z", "gb_hours"], "not sealed yet"),
        (["vecdb", "2026-11-21T15:00:00Z", "seats"], "has no record of seats"),
    ] {
        let output = report("unexplained", &url, &[&["explain"], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
    let output = report("unexplained", &url, &["explain", "vecdb", "today", "gb_hours"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn cost_counts_what_aws_took_at_the_declared_price() {
    let url = api_server(two_hours());
    let output = report("cost", &url, &["cost"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "\
PRODUCT  MONTH    DIMENSION  BILLED  PRICE   COST  HELD
vecdb    2026-11  gb_hours        3  0.025  0.075     0

Total: 0.075 USD. A preview of this cluster's usage; the bill is AWS's.
"
    );
    let output = report("cost", &url, &["cost", "vecdb", "--month", "2026-10"]);
    assert_eq!(stdout(&output), "Nothing was billed in the namespace vecdb.\n");
    let output = report("cost", &url, &["cost", "--month", "November"]);
    assert_eq!(output.status.code(), Some(2));
}
