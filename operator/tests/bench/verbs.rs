//! What `tollkeeper plugin run --input`, `bench` and `simulate` print.

use std::{collections::BTreeSet, fs};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{golden_folder, json as json_of, rust_component, scratch, succeeds, text};

#[test]
fn a_tick_is_run_with_the_state_that_it_is_given() {
    let (folder, component) = (scratch("state"), rust_component("active-users"));
    let input = folder.join("tick.json");
    let users = |state: &str| -> Value {
        let activity = json!({"input": "activity", "json": {"users": ["ann"]}});
        let tick =
            json!({"at": "2026-11-01T00:05:00Z", "state": STANDARD.encode(state), "inputs": [activity]});
        fs::write(&input, tick.to_string()).unwrap();
        let played =
            json_of(&["plugin", "run", text(&component), "--input", text(&input), "--output", "json"]);
        assert_eq!(played["ticks"].as_array().unwrap().len(), 1, "{played:#}");
        played["ticks"][0]["readings"][0]["gauge"].clone()
    };
    assert_eq!(users(""), "1.000000");
    assert_eq!(users(r#"{"period":"2026-11-01T00","users":["bob","eve"]}"#), "3.000000");
    assert_eq!(users(r#"{"period":"2026-10-31T23","users":["bob","eve"]}"#), "1.000000", "another hour's");
}

#[test]
fn a_bench_says_what_each_tick_costs_of_what_it_may() {
    let trace = golden_folder("active-users").join("trace.jsonl");
    let component = rust_component("active-users");
    let costs = json_of(&[
        "plugin",
        "bench",
        text(&component),
        "--trace",
        text(&trace),
        "--ticks",
        "50",
        "--output",
        "json",
    ]);
    let whole = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value} in {costs:#}"));
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let once = ["componentBytes", "compileMicros", "loadMicros", "ticks"];
    let all = once.into_iter().chain(["tickNanos", "fuel", "memoryBytes", "stateBytes", "readings"]);
    assert_eq!(keys(&costs), all.map(str::to_owned).collect());
    assert_eq!(costs["ticks"], 50);
    assert!(whole(&costs["compileMicros"]) > whole(&costs["loadMicros"]) && costs["loadMicros"] != 0);
    // Without a product, a call has what it has by default.
    for (cost, limit) in [("tickNanos", 500_000_000), ("fuel", 1_000_000_000), ("memoryBytes", 64 << 20)] {
        let spread = &costs[cost];
        assert_eq!(keys(spread), ["median", "p99", "max", "limit"].map(str::to_owned).into());
        let [median, p99, max] = ["median", "p99", "max"].map(|of| whole(&spread[of]));
        assert!(0 < median && median <= p99 && p99 <= max, "{cost}: {spread}");
        assert_eq!(spread["limit"], limit, "{cost}");
    }
    let size = fs::metadata(&component).unwrap().len();
    assert_eq!(costs["componentBytes"], json!({"max": size, "limit": 4 << 20}));
    assert_eq!(costs["readings"], json!({"max": 1, "limit": 1000}));
    assert_eq!(costs["stateBytes"]["limit"], 64 << 10);
    assert!(whole(&costs["stateBytes"]["max"]) > 0);
}

#[test]
fn a_month_is_billed_by_the_price_sheet() {
    let (folder, golden) = (scratch("prices"), golden_folder("node-hours"));
    let node =
        |name: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": name}});
    let nodes =
        json!({"at": "2026-05-01T00:00:00Z", "input": "nodes", "objects": [node("a"), node("b"), node("c")]});
    let (trace, prices) = (folder.join("trace.jsonl"), folder.join("prices.yaml"));
    fs::write(&trace, format!("{nodes}\n")).unwrap();
    fs::write(&prices, "node_hours: \"0.07\"\n").unwrap();
    let (component, product, binding) =
        (rust_component("node-hours"), golden.join("product.yaml"), golden.join("binding.yaml"));
    let simulate = ["plugin", "simulate", text(&component), "--product", text(&product), text(&binding)];
    let further = ["--trace", text(&trace), "--month", "2026-11", "--prices", text(&prices)];
    let said = succeeds(&[&simulate[..], &further].concat());
    // Three nodes for the 720 hours of November; the product's own price is 0.05.
    let row = said.lines().find(|line| line.contains("node_hours")).unwrap();
    assert!(row.contains(" 2160 ") && row.contains(" 151.20 "), "{said}");
    assert!(said.contains("Total: 151.20 USD"), "{said}");
}
