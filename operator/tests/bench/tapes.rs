//! `tollkeeper plugin record` and `tollkeeper plugin replay`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tollkeeper_ledger::recording::read_tape;

use crate::{
    fails, golden::pinned, golden_folder, json, projects::said_by_page, rust_component, scratch, sdk,
    succeeds, text,
};

/// The recordings of an example, as a cluster would have left them.
fn recorded(example: &str, test: &str) -> PathBuf {
    let folder = scratch(test).join("recordings");
    // A file of the test's own: what is pinned lies in a folder by its name.
    let component = folder.with_file_name(test).with_extension("wasm");
    fs::copy(rust_component(example), &component).unwrap();
    let product = pinned(&component, example);
    let golden = golden_folder(example);
    succeeds(&[
        "simulate",
        text(&product),
        text(&golden.join("binding.yaml")),
        "--signals",
        text(&golden.join("trace.jsonl")),
        "--plugins",
        text(product.parent().unwrap()),
        "--record-dir",
        text(&folder),
    ]);
    folder
}

fn record<'a>(recordings: &'a Path, component: &'a Path, tape: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let hour = "2026-11-01T00:00:00Z";
    let mut arguments =
        vec!["plugin", "record", text(recordings), "--plugin", text(component), "--to", text(tape)];
    arguments.extend(["--hour", hour]);
    arguments.extend(more);
    arguments
}

#[test]
fn the_page_on_tapes_runs_as_it_is_written() {
    let said = said_by_page("replay", 4, &sdk().join("../.."));
    assert!(said.contains("the readings are the same"), "{said}");
    assert_eq!(said.matches("2026-10-01T01:30:00Z  same ").count(), 2, "{said}");
}

#[test]
fn a_tape_of_a_meter_with_state_is_the_same_to_the_byte() {
    let component = rust_component("active-users");
    let recordings = recorded("active-users", "tape-with-state");
    let tape = recordings.with_file_name("tape.jsonl.gz");
    succeeds(&record(&recordings, &component, &tape, &[]));
    let replayed = json(&["plugin", "replay", text(&tape), "--output", "json"]);
    let ticks = replayed["ticks"].as_array().unwrap();
    assert!(ticks.len() > 6 && ticks.iter().all(|tick| tick["same"] == true), "{replayed:#}");
    let states: Vec<_> = ticks.iter().map(|tick| tick["outcome"]["state"].as_str().unwrap()).collect();
    assert!(states.iter().any(|state| !state.is_empty()), "{states:?}");
}

#[test]
fn a_single_tick_begins_with_the_state_of_the_one_before() {
    let component = rust_component("active-users");
    let recordings = recorded("active-users", "tape-of-a-tick");
    let tape = recordings.with_file_name("tape.jsonl.gz");
    let tick = ["--tick", "2026-11-01T00:30:00Z"];
    let said = fails(&record(&recordings, &component, &tape, &tick));
    assert!(said.contains("`state` cannot be redacted further") && said.contains("--keep 'state'"), "{said}");
    assert!(!tape.exists());
    let tick = ["--tick", "2026-11-01T00:30:00Z", "--keep", "state"];
    succeeds(&record(&recordings, &component, &tape, &tick));
    let replayed = json(&["plugin", "replay", text(&tape), "--output", "json"]);
    assert_eq!(
        (replayed["ticks"].as_array().unwrap().len(), &replayed["ticks"][0]["same"]),
        (1, &true.into())
    );
    let said = fails(&record(&recordings, &component, &tape, &["--tick", "2026-11-01T00:30:01Z"]));
    assert!(said.contains("no tick at 2026-11-01T00:30:01Z; its ticks are between"), "{said}");
}

#[test]
fn the_first_difference_is_named() {
    let component = rust_component("node-hours");
    let recordings = recorded("node-hours", "tape-that-differs");
    let tape = recordings.with_file_name("tape.jsonl.gz");
    succeeds(&record(&recordings, &component, &tape, &[]));
    let said = fails(&["plugin", "replay", text(&tape), "--plugin", text(&rust_component("scanned-bytes"))]);
    assert!(said.contains("the plugin refuses its configuration: unknown field `ignoreLabel`"), "{said}");
    let lines = read_tape(&tape).unwrap().text();
    let other = recordings.with_file_name("other.jsonl");
    fs::write(&other, lines.replacen(r#""gauge":"3.000000""#, r#""gauge":"3.000001""#, 1)).unwrap();
    let said = fails(&["plugin", "replay", text(&other)]);
    assert!(
        said.contains(
            "the first: 2026-11-01T00:00:00Z: readings[0].gauge (of the dimension `node_hours`) is expected to be \"3.000001\", but it is \"3.000000\""
        ),
        "{said}"
    );
    fs::write(&other, lines.replacen("\"tick\"", "\"tock\"", 1)).unwrap();
    let said = fails(&["plugin", "replay", text(&other)]);
    assert!(
        said.contains("other.jsonl:3: unknown variant `tock`") && said.contains("plugin record"),
        "{said}"
    );
}

#[test]
fn nothing_that_the_meter_does_not_need_is_on_a_tape() {
    let component = rust_component("node-hours");
    let recordings = recorded("node-hours", "tape-without-names");
    let tape = recordings.with_file_name("tape.jsonl.gz");
    let found = json(&record(&recordings, &component, &tape, &["--output", "json"]));
    assert!(
        found["replacedTexts"].as_u64().unwrap() > 3 && found["kept"].as_array().unwrap().is_empty(),
        "{found:#}"
    );
    let lines = read_tape(&tape).unwrap().text();
    let trace = fs::read_to_string(golden_folder("node-hours").join("trace.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(trace.lines().next().unwrap()).unwrap();
    let name = first["objects"][0]["metadata"]["name"].as_str().unwrap();
    assert!(trace.contains(name) && !lines.contains(&format!("\"{name}\"")), "{name}");
}

#[test]
fn what_cannot_be_recorded_says_what_to_do() {
    let component = rust_component("node-hours");
    let recordings = recorded("node-hours", "tape-refused");
    let tape = recordings.with_file_name("tape.jsonl.gz");
    let said =
        fails(&["plugin", "record", text(&recordings), "--plugin", text(&component), "--to", text(&tape)]);
    assert!(said.contains("there are 2 recordings") && said.contains("choose one with --hour"), "{said}");
    let said = fails(&record(&recordings, &component, &tape, &["--binding", "nobody"]));
    assert!(said.contains("no tick of a binding `nobody`; it has those of "), "{said}");
    let said = fails(&record(&recordings, &rust_component("scanned-bytes"), &tape, &[]));
    assert!(said.contains("was run by the plugin sha256:") && said.contains("--plugin"), "{said}");
}
