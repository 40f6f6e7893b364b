//! The example product's meter, as committed, from realistic inputs to readings.

#![allow(clippy::unwrap_used, reason = "the whole file is tests")]

use std::sync::Arc;

use tollkeeper_core::{
    identity::Digest,
    input::{Input, InputData, InputObject, Origin, Sample, SampleGroup},
    plugin::{Plugin, PluginFailure, PluginHost, PluginLimits, Tick},
    reading::{LogLevel, Reading, Value},
    workload::Labels,
};
use tollkeeper_plugin_host::{Evaluation, WasmHost};

const VECDB: &[u8] = include_bytes!("../../../../plugins/examples/vecdb/vecdb.wasm");

async fn vecdb() -> Arc<dyn Plugin> {
    let host = WasmHost::new(Evaluation::Inline).unwrap();
    host.load(VECDB, &Digest::of(VECDB), PluginLimits::default()).await.unwrap()
}

fn tick(config: &str) -> Tick {
    Tick {
        at: "2026-11-21T14:58:00Z".parse().unwrap(),
        seconds: 60,
        product: "vecdb".into(),
        config: config.into(),
        state: Arc::from([]),
    }
}

fn object(kind: &str, namespace: Option<&str>, name: &str, body: String) -> Arc<InputObject> {
    Arc::new(InputObject {
        api_version: "v1".into(),
        kind: kind.into(),
        namespace: namespace.map(Into::into),
        name: name.into(),
        uid: format!("uid-of-{name}"),
        labels: Labels::from([("app".into(), "vecdb".into())]),
        body,
    })
}

fn pod(namespace: &str, name: &str, node: &str, cpu: &str) -> Arc<InputObject> {
    let containers = format!(r#"[{{"resources":{{"requests":{{"cpu":"{cpu}"}}}}}},{{"resources":{{}}}}]"#);
    let body = format!(
        r#"{{"spec":{{"nodeName":"{node}","containers":{containers}}},"status":{{"phase":"Running"}}}}"#
    );
    object("Pod", Some(namespace), name, body)
}

fn scraped(namespace: &str, pod: &str, bytes: f64) -> Arc<SampleGroup> {
    let labels = Labels::from([("namespace".into(), namespace.into()), ("pod".into(), pod.into())]);
    let sample = Sample { name: "vecdb_bytes_scanned_total".into(), labels, value: bytes };
    let origin = Origin { namespace: namespace.into(), labels: Labels::new() };
    Arc::new(SampleGroup { origin: Some(origin), samples: vec![sample] })
}

fn inputs() -> Vec<Input> {
    let node =
        |name, cpu| object("Node", None, name, format!(r#"{{"status":{{"capacity":{{"cpu":"{cpu}"}}}}}}"#));
    let input = |name: &str, data| Input { name: name.into(), data };
    vec![
        input("nodes", InputData::Objects(vec![node("n1", "4"), node("n2", "16")])),
        input(
            "pods",
            InputData::Objects(vec![
                pod("red", "vecdb-0", "n1", "1500m"),
                pod("red", "vecdb-1", "n2", "2"),
                pod("blue", "vecdb-0", "n1", "8"),
                pod("blue", "vecdb-1", "gone", "1"),
            ]),
        ),
        input(
            "engine",
            InputData::Samples(vec![
                scraped("red", "vecdb-0", 812_250_000_999.0),
                scraped("red", "vecdb-1", 0.0),
                scraped("blue", "vecdb-0", f64::NAN),
            ]),
        ),
    ]
}

fn shown(reading: &Reading) -> String {
    let value = match &reading.value {
        Value::Gauge(value) => value.to_string(),
        Value::Counter { total, source } => format!("{total} from {source}"),
    };
    format!("{}[{}] {value}", reading.dimension, reading.tags)
}

#[tokio::test]
async fn a_tick_of_two_namespaces_gives_their_readings() {
    let plugin = vecdb().await;
    assert_eq!(plugin.manifest().name, "vecdb");
    assert_eq!(plugin.manifest().dimensions, ["instances", "cpu_hours", "gb_scanned"]);
    assert_eq!(plugin.manifest().inputs, ["nodes", "pods", "engine"]);

    let measured = plugin.measure(tick("{}"), inputs()).await.unwrap();
    assert_eq!(
        measured.readings.iter().map(shown).collect::<Vec<_>>(),
        [
            "instances[Namespace=blue] 1.000000",
            "cpu_hours[Namespace=blue] 4.000000",
            "instances[Namespace=red] 2.000000",
            "cpu_hours[Namespace=red] 3.500000",
            "gb_scanned[Namespace=red] 812.250000 from vecdb-0",
            "gb_scanned[Namespace=red] 0.000000 from vecdb-1",
        ]
    );
    assert_eq!(
        measured.log.iter().map(|line| (line.level, line.message.as_str())).collect::<Vec<_>>(),
        [
            (LogLevel::Warn, "pod blue/vecdb-1 is not counted: its node `gone` does not exist"),
            (LogLevel::Warn, "vecdb_bytes_scanned_total of blue/vecdb-0 is ignored: it says NaN"),
        ]
    );
    assert!(measured.state.is_empty());

    // The same tick again: the same outcome, to the last unit of fuel.
    assert_eq!(plugin.measure(tick("{}"), inputs()).await.unwrap(), measured);
}

#[tokio::test]
async fn a_missing_input_and_a_wrong_configuration_are_told_apart() {
    let plugin = vecdb().await;
    let mut missing = inputs();
    missing[2].data = InputData::Unavailable("connection refused".into());
    assert_eq!(
        plugin.measure(tick("{}"), missing).await,
        Err(PluginFailure::MissingInput("`engine`: connection refused".into()))
    );
    let wrong = plugin.measure(tick(r#"{"seats": 1}"#), inputs()).await.unwrap_err();
    assert_eq!(wrong, plugin.validate_config(r#"{"seats": 1}"#).await.unwrap_err());
    assert!(wrong.to_string().contains("unknown field `seats`"), "{wrong}");
    assert_eq!(plugin.validate_config(r#"{"namespaceTag": "team"}"#).await, Ok(()));
}
