//! What a guest finds when it looks for a world outside, by `plugins/fixtures/worldly`.

#![allow(clippy::unwrap_used, reason = "the whole file is tests")]

use std::sync::Arc;

use tokio::sync::OnceCell;
use tollkeeper_core::{
    identity::Digest,
    plugin::{Plugin, PluginFailure, PluginHost, PluginLimits, Tick},
    reading::{LogLevel, Measurement},
};
use tollkeeper_plugin_host::{Evaluation, WasmHost};

const WORLDLY: &[u8] = include_bytes!("../../../../plugins/fixtures/worldly/worldly.wasm");

async fn worldly() -> Arc<dyn Plugin> {
    static PLUGIN: OnceCell<Arc<dyn Plugin>> = OnceCell::const_new();
    let load = || async {
        let host = WasmHost::new(Evaluation::Inline).unwrap();
        host.load(WORLDLY, &Digest::of(WORLDLY), PluginLimits::default()).await.unwrap()
    };
    Arc::clone(PLUGIN.get_or_init(load).await)
}

fn tick(at: &str, product: &str, config: &str) -> Tick {
    Tick {
        at: at.parse().unwrap(),
        seconds: 60,
        product: product.into(),
        config: config.into(),
        state: Arc::from([]),
    }
}

async fn outcome(config: &str) -> Result<Measurement, PluginFailure> {
    let tick = || tick("2026-11-21T14:58:00.25Z", "vecdb", config);
    let outcome = worldly().await.measure(tick(), vec![]).await;
    assert_eq!(worldly().await.measure(tick(), vec![]).await, outcome, "{config}");
    outcome
}

async fn found(config: &str) -> String {
    String::from_utf8(outcome(config).await.unwrap().state).unwrap()
}

#[tokio::test]
async fn the_clock_stands_at_the_tick() {
    assert_eq!(found("clocks").await, "1795273080250000000 1795273080.250000000");
    // Outside a tick there is no time at all.
    let without = worldly().await.validate_config("").await;
    assert_eq!(without, Err(PluginFailure::InvalidConfig("1 0.000000000".into())));
}

#[tokio::test]
async fn waiting_takes_no_time() {
    assert_eq!(found("sleep").await, "[0, 1, 2] true");
}

#[tokio::test]
async fn randomness_is_the_same_at_the_same_tick_and_another_at_another() {
    let draw = async |at, product| {
        let measured = worldly().await.measure(tick(at, product, "random"), vec![]).await.unwrap();
        String::from_utf8(measured.state).unwrap()
    };
    let one = draw("2026-11-21T14:58:00Z", "vecdb").await;
    assert!(one.starts_with("5 "), "{one}");
    assert_eq!(draw("2026-11-21T14:58:00Z", "vecdb").await, one);
    assert_ne!(draw("2026-11-21T14:59:00Z", "vecdb").await, one);
    assert_ne!(draw("2026-11-21T14:58:00Z", "other").await, one);

    let host = WasmHost::new(Evaluation::Inline).unwrap();
    let by_chance = async |chance| {
        let host = host.with_chance(chance);
        let plugin = host.load(WORLDLY, &Digest::of(WORLDLY), PluginLimits::default()).await.unwrap();
        let measured = plugin.measure(tick("2026-11-21T14:58:00Z", "vecdb", "random"), vec![]).await.unwrap();
        String::from_utf8(measured.state).unwrap()
    };
    assert_eq!(by_chance(0).await, one);
    assert_ne!(by_chance(1).await, one);
}

#[tokio::test]
async fn there_is_nothing_around() {
    assert_eq!(found("surroundings").await, "[] [] None 0 files, input: Err(StreamError::Closed)");
}

#[tokio::test]
async fn what_is_printed_becomes_the_log() {
    let measured = outcome("print").await.unwrap();
    assert_eq!(measured.state, b"Ok(4096)");
    let lines: Vec<_> = measured.log.iter().map(|line| (line.level, line.message.as_str())).collect();
    assert_eq!(
        lines,
        [(LogLevel::Info, "hello"), (LogLevel::Warn, "careful"), (LogLevel::Info, "unfinished")]
    );
}

#[tokio::test]
async fn leaving_is_a_trap_that_says_what_was_printed() {
    let failure = outcome("exit").await.unwrap_err();
    assert_eq!(failure, PluginFailure::Trapped("it ended its process; it logged: giving up".into()));
}

#[tokio::test]
async fn a_function_with_something_behind_it_stops_the_call_and_is_named() {
    for (config, named) in [
        ("socket", "wasi:sockets/tcp-create-socket@0.2.3#create-socket"),
        ("splice", "wasi:io/streams@0.2.3#[method]output-stream.splice"),
    ] {
        assert_eq!(outcome(config).await.unwrap_err(), PluginFailure::ForbiddenImport(named.into()));
    }
}
