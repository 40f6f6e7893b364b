//! What the host says that calls have cost.

#![allow(clippy::unwrap_used, reason = "the whole file is tests")]

use std::{sync::Arc, time::Duration};

use tollkeeper_core::{
    identity::Digest,
    plugin::{PluginHost, PluginLimits, Tick},
};
use tollkeeper_plugin_host::{Evaluation, WasmHost};

const HOSTILE: &[u8] = include_bytes!("../../../../plugins/fixtures/hostile/hostile.wasm");

#[tokio::test]
async fn every_call_is_on_the_books_however_it_ended() {
    let host = WasmHost::new(Evaluation::Inline).unwrap();
    let plugin = host.load(HOSTILE, &Digest::of(HOSTILE), PluginLimits::default()).await.unwrap();
    let before = host.plugins().remove(0).usage;
    let mut fuel = 0;
    for config in ["gauge 1", "log 9999", "panic on purpose", "gauge -1", "allocate"] {
        let tick = Tick {
            at: "2026-11-21T14:58:00Z".parse().unwrap(),
            seconds: 60,
            product: "vecdb".into(),
            config: config.into(),
            state: Arc::from([]),
        };
        fuel += plugin.measure(tick, vec![]).await.map_or(0, |measured| measured.fuel);
    }
    let usage = host.plugins().remove(0).usage;
    assert_eq!(usage.calls - before.calls, 5);
    let failures: Vec<_> = usage.failures.into_iter().collect();
    assert_eq!(failures, [("InvalidOutput", 1), ("PluginOutOfMemory", 1), ("PluginTrapped", 1)]);
    assert!(usage.fuel > before.fuel + fuel, "failed calls have burnt fuel, too");
    assert!(usage.log_lines > 9_999, "{}", usage.log_lines);
    assert!(usage.most_memory > 32 << 20, "{}", usage.most_memory);
    assert!(usage.longest > Duration::ZERO && usage.time > usage.longest);
}
