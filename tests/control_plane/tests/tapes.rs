//! From a buyer's cluster to the vendor's desk: an hour is recorded, cut and redacted, and played again to the byte.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tollkeeper_control_plane::{Stage, Workload, repository};
use tollkeeper_kit::Program;
use tollkeeper_ledger::recording::read_tape;

/// Two dimensions of the example's plugin, whose names are equally long.
const DIMENSIONS: [&[u8]; 2] = [b"instances", b"cpu_hours"];

/// What the example's plugin cannot do without.
const NEEDED: [&str; 6] = [
    "engine:labels.namespace",
    "engine:labels.pod",
    "nodes:/status/capacity/cpu",
    "pods:/spec/containers/*/resources/requests/cpu",
    "pods:/status/phase",
    "pods:namespace",
];

/// Runs `tollkeeper plugin` in a folder, on a desk that may be slower than the cluster.
fn plugin(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(Program::Tollkeeper.path().unwrap());
    command.arg("plugin").args(arguments).current_dir(folder);
    command
        .env("TOLLKEEPER_TIME", "10s")
        .env("TOLLKEEPER_CACHE_DIR", folder.join("compiled"))
        .output()
        .unwrap()
}

/// What a verb prints as JSON, which it ends well with.
fn succeeds(folder: &Path, arguments: &[&str]) -> Value {
    let output = plugin(folder, &[arguments, &["--output", "json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The sentence of a verb that fails.
fn fails(folder: &Path, arguments: &[&str]) -> String {
    let output = plugin(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn an_hour_of_a_cluster_is_played_on_the_vendors_desk_without_the_clusters_names() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let component = fs::read(repository().join("plugins/examples/vecdb/vecdb.wasm")).unwrap();
    fs::write(folder.join("meter.wasm"), &component).unwrap();
    let mut stage = Stage::at("tapes", "2026-11-21T13:55:00Z").await;
    stage.set("TOLLKEEPER_RECORD_INPUTS", "48");
    stage.set("TOLLKEEPER_RECORD_DIR", folder.join("recordings").display().to_string());
    let workload = Workload::start(&stage.namespace).await;
    let pods: Api<Pod> = stage.namespace.api();
    let mut names = vec![format!("node-{}", stage.namespace.name()), "of-acme".to_owned()];
    for (name, cpu) in [("orders-0", "1500m"), ("orders-1", "2")] {
        let pod = workload.run_pod(&stage.namespace, name, cpu).await;
        let labels = json!({"metadata": {"labels": {"customer": "of-acme"}}});
        pods.patch(name, &PatchParams::default(), &Patch::Merge(&labels)).await.unwrap();
        names.push(pod.metadata.uid.unwrap());
    }
    stage.create(&stage.product("vecdb", "code", workload.port())).await;
    stage.create(&stage.binding("prod", "vecdb")).await;
    let _operator = stage.start_operator();
    let observed = stage.settled(2).await;
    observed.agrees();
    let hour = observed.reports[1]["spec"]["hour"].as_str().unwrap();

    let record = ["record", "recordings", "--plugin", "meter.wasm", "--hour", hour, "--to", "tape.jsonl.gz"];
    let refusal = fails(folder, &record);
    assert!(!folder.join("tape.jsonl.gz").exists(), "nothing is written that would not be the same");
    let keep = refusal.split("--keep '").nth(1).unwrap().split('\'').next().unwrap();
    assert_eq!(keep.split(',').collect::<Vec<_>>(), NEEDED);
    let recorded = succeeds(folder, &[&record[..], &["--keep", keep]].concat());
    let ticks = recorded["ticks"].as_array().unwrap();
    assert_eq!(
        (ticks.len(), &recorded["kept"]),
        (7, &json!(NEEDED)),
        "those of the hour, and the one that ends it"
    );
    let tape = read_tape(&folder.join("tape.jsonl.gz")).unwrap().text();
    let is_there = |text: &str| tape.contains(text);
    let leaked: Vec<&String> = names.iter().filter(|name| is_there(name)).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    // The source of a counter is what tells it apart: the plugin needs the label, and nobody needs the object's name.
    assert!(is_there(r#""pod":"orders-0""#) && !is_there(r#""name":"orders-0""#), "{recorded:#}");

    for played in [&["replay", "tape.jsonl.gz"][..], &["replay", "tape.jsonl.gz", "--plugin", "meter.wasm"]] {
        let replayed = succeeds(folder, played);
        let same = replayed["ticks"].as_array().unwrap().iter().filter(|tick| tick["same"] == true).count();
        assert_eq!(same, ticks.len(), "{replayed:#}");
    }
    fs::write(folder.join("changed.wasm"), confused(&component, DIMENSIONS)).unwrap();
    let said = fails(folder, &["replay", "tape.jsonl.gz", "--plugin", "changed.wasm"]);
    let difference = r#"readings[0].dimension (of the dimension `instances`) is expected to be "instances", but it is "cpu_hours""#;
    assert!(said.contains("7 of 7 ticks differ") && said.contains(difference), "{said}");
}

/// The component with each of two texts in the other's place.
fn confused(component: &[u8], [one, other]: [&[u8]; 2]) -> Vec<u8> {
    let mut confused = component.to_vec();
    for (at, window) in component.windows(one.len()).enumerate() {
        let place = at..at + one.len();
        if window == one {
            confused[place].copy_from_slice(other);
        } else if window == other {
            confused[place].copy_from_slice(one);
        }
    }
    confused
}
