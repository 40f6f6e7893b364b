//! Components of released interfaces, which nobody builds again: every host loads them and measures what it always did.

#![allow(clippy::unwrap_used, reason = "the whole file is tests")]

use std::sync::Arc;

use tollkeeper_core::{
    identity::Digest,
    input::{Input, InputData},
    plugin::{PluginHost, PluginLimits, Tick},
    reading::Value,
};
use tollkeeper_plugin_host::{Evaluation, WasmHost};

const COMPONENT: &[u8] = include_bytes!("../../../../plugins/fixtures/frozen/0.1.0/active-users.wasm");

const SUMS: &str = include_str!("../../../../plugins/fixtures/frozen/0.1.0/SHA256SUMS");

#[tokio::test]
async fn a_component_of_interface_0_1_0_is_loaded_for_ever() {
    let digest: Digest = format!("sha256:{}", SUMS.split_whitespace().next().unwrap()).parse().unwrap();
    let host = WasmHost::new(Evaluation::Inline).unwrap();
    let plugin = host.load(COMPONENT, &digest, PluginLimits::default()).await.unwrap();
    assert_eq!(plugin.manifest().dimensions, ["active_users"]);
    let mut state = Vec::new();
    for (users, count) in [(r#"["ann","bob"]"#, "2.000000"), (r#"["bob","eve"]"#, "3.000000")] {
        let tick = Tick {
            at: "2026-11-21T14:58:00Z".parse().unwrap(),
            seconds: 60,
            product: "vecdb".into(),
            config: r#"{"period":"day"}"#.into(),
            state: Arc::from(state),
        };
        let data = InputData::Json(format!(r#"{{"users":{users}}}"#).into());
        let done = plugin.measure(tick, vec![Input { name: "activity".into(), data }]).await.unwrap();
        let values: Vec<Value> = done.readings.into_iter().map(|reading| reading.value).collect();
        assert_eq!(values, [Value::Gauge(count.parse().unwrap())]);
        state = done.state;
    }
}
