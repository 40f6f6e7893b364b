//! What a guest does while it measures, well or badly, by `plugins/fixtures/hostile`.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "the whole file is tests, and real time is what is limited"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;
use tollkeeper_core::{
    identity::Digest,
    input::{Input, InputData, InputObject, Origin, Sample, SampleGroup},
    plugin::{Plugin, PluginFailure, PluginHost, PluginLimits, Tick},
    reading::{LogLevel, Measurement},
    workload::Labels,
};
use tollkeeper_plugin_host::{
    Evaluation, MAX_INPUTS, MAX_LOG, MAX_READINGS, MAX_SOURCE, MAX_STATE, WasmHost,
};

const HOSTILE: &[u8] = include_bytes!("../../../../plugins/fixtures/hostile/hostile.wasm");
const LIMITS: PluginLimits =
    PluginLimits { memory: 32 << 20, time: Duration::from_secs(2), component: 4 << 20 };
const SHORT: PluginLimits = PluginLimits { time: Duration::from_millis(100), ..LIMITS };

/// One plugin for all tests, because compiling it costs most of their time.
async fn hostile() -> Arc<dyn Plugin> {
    static PLUGIN: OnceCell<Arc<dyn Plugin>> = OnceCell::const_new();
    Arc::clone(PLUGIN.get_or_init(|| load(Evaluation::Inline, LIMITS)).await)
}

async fn load(evaluation: Evaluation, limits: PluginLimits) -> Arc<dyn Plugin> {
    let host = WasmHost::new(evaluation).unwrap();
    host.load(HOSTILE, &Digest::of(HOSTILE), limits).await.unwrap()
}

fn tick(config: &str) -> Tick {
    Tick {
        at: "2026-11-21T14:58:00Z".parse().unwrap(),
        seconds: 60,
        product: "vecdb".into(),
        config: config.into(),
        state: Arc::from([1, 2, 3]),
    }
}

async fn outcome(config: &str) -> Result<Measurement, PluginFailure> {
    outcome_of(&hostile().await, config).await
}

async fn outcome_of(plugin: &Arc<dyn Plugin>, config: &str) -> Result<Measurement, PluginFailure> {
    let outcome = plugin.measure(tick(config), vec![]).await;
    // Neither success nor failure leaves anything behind: the next call does the same again, to the last unit of fuel.
    assert_eq!(plugin.measure(tick(config), vec![]).await, outcome, "{config}");
    outcome
}

async fn failure(config: &str) -> PluginFailure {
    outcome(config).await.unwrap_err()
}

#[tokio::test]
async fn the_guest_sees_exactly_what_was_collected() {
    let labels = |pairs: &[(&str, &str)]| -> Labels {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    let sample = |name: &str, value| Sample { name: name.into(), labels: labels(&[("pod", name)]), value };
    let group = |samples| {
        let origin = Origin { namespace: "red".into(), labels: Labels::new() };
        Arc::new(SampleGroup { origin: Some(origin), samples })
    };
    let object = |namespace: Option<&str>, name: &str| {
        Arc::new(InputObject {
            api_version: "v1".into(),
            kind: "Pod".into(),
            namespace: namespace.map(Into::into),
            name: name.into(),
            uid: "u-1".into(),
            labels: labels(&[("app", "db"), ("tier", "ü")]),
            body: r#"{"spec":{}}"#.into(),
        })
    };
    let input = |name: &str, data| Input { name: name.into(), data };
    let inputs = vec![
        input("pods", InputData::Objects(vec![object(Some("red"), "a"), object(None, "b")])),
        input(
            "engine",
            InputData::Samples(vec![
                group(vec![sample("x", 1.5), sample("y", -f64::NAN)]),
                group(vec![sample("z", 0.0)]),
            ]),
        ),
        input("stored", InputData::Scalar(2.0)),
        input("seats", InputData::Json("[1]".into())),
        input("gone", InputData::Unavailable("refused".into())),
        input("empty", InputData::Objects(vec![])),
    ];
    for evaluation in [Evaluation::Inline, Evaluation::Thread] {
        let plugin = load(evaluation, LIMITS).await;
        let measured = plugin.measure(tick("echo"), inputs.clone()).await.unwrap();
        assert_eq!(
            String::from_utf8(measured.state).unwrap(),
            "at=2026-11-21T14:58:00Z seconds=60 product=vecdb state=[1, 2, 3]\n\
             pods: v1 Pod [red] a u-1 {\"spec\":{}} app=db tier=ü\n\
             pods: v1 Pod [] b u-1 {\"spec\":{}} app=db tier=ü\n\
             engine: x 3ff8000000000000 pod=x\n\
             engine: y 7ff8000000000000 pod=y\n\
             engine: z 0 pod=z\n\
             stored: 4000000000000000\n\
             seats: [1]\n\
             gone: unavailable, refused\n"
        );
    }
}

#[tokio::test]
async fn every_call_has_an_instance_of_its_own() {
    assert_eq!(outcome("calls").await.unwrap().state, b"1");
}

#[tokio::test]
async fn a_nan_has_the_same_bits_on_every_machine() {
    assert_eq!(outcome("nan").await.unwrap().state, b"7ff8000000000000");
}

#[tokio::test]
async fn a_reading_that_is_not_one_is_named() {
    for (config, named) in [
        ("gauge -1", "reading 0 (`d`): `-1` is not a decimal"),
        ("gauge NaN", "reading 0 (`d`): `NaN` is not a decimal"),
        ("gauge 1e9", "reading 0 (`d`): `1e9` is not a decimal"),
        ("gauge 0.1234567", "reading 0 (`d`): `0.1234567`"),
        ("gauge 1234567890123", "reading 0 (`d`): `1234567890123`"),
        ("counter ", "reading 0 (`d`): `` is not a decimal"),
        ("dimension two words", "reading 1 (`two words`): the dimension `two words` is not"),
        ("dimension ", "reading 1 (``): the dimension"),
        ("tags 6", "reading 0 (`d`): 6 tags are more than the 5"),
        ("tag a,b", "reading 0 (`d`): the tag `k` is not"),
        ("same-tag", "reading 0 (`d`): the tag `k` is given twice"),
        ("same-source", "reading 2 (`d`): the source `s` is there twice"),
    ] {
        let failure = failure(config).await;
        assert_eq!(failure.reason(), "InvalidOutput");
        assert!(failure.to_string().contains(named), "{config}: {failure}");
    }
    assert_eq!(outcome("dimension e").await.unwrap().readings.len(), 2);
    assert_eq!(outcome("tags 5").await.unwrap().readings.len(), 1);
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_what_just_fits_is_taken() {
    for (verb, most) in [("readings", MAX_READINGS), ("state", MAX_STATE), ("source", MAX_SOURCE)] {
        assert!(outcome(&format!("{verb} {most}")).await.is_ok(), "{verb}");
        let failure = failure(&format!("{verb} {}", most + 1)).await;
        assert!(failure.to_string().contains(&format!("{}", most + 1)), "{failure}");
    }
    // So much that it is not even copied out of the guest.
    assert_eq!(failure("state 5000000").await.reason(), "PluginLimitPassed");
    assert_eq!(failure("long-line 5000000").await.reason(), "PluginLimitPassed");

    let plugin = hostile().await;
    let flood = vec![
        Input { name: "small".into(), data: InputData::Json("x".into()) },
        Input { name: "large".into(), data: InputData::Json("x".repeat(MAX_INPUTS).into()) },
    ];
    let failure = plugin.measure(tick("nothing"), flood).await.unwrap_err();
    assert!(failure.to_string().contains("`large` has the most"), "{failure}");
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_and_does_not_stop_the_metering() {
    let log = outcome("log 10000").await.unwrap().log;
    assert_eq!(log.last().unwrap().message, "line 9999");
    let bytes: usize = log.iter().map(|line| line.message.len()).sum();
    assert!(bytes <= MAX_LOG, "{bytes}");
    let first = log.first().unwrap();
    assert_eq!(first.level, LogLevel::Warn);
    assert!(first.message.starts_with("lines left out before"), "{}", first.message);
}

#[tokio::test]
async fn the_guest_s_own_failures_keep_their_kind_and_fit_a_condition() {
    assert_eq!(failure("fail config").await, PluginFailure::InvalidConfig("because".into()));
    assert_eq!(failure("fail input").await, PluginFailure::MissingInput("because".into()));
    let PluginFailure::Internal(why) = failure("fail otherwise").await else { panic!("not internal") };
    assert!(why.starts_with("be cause be cause") && why.len() < 1_010, "{} bytes", why.len());
}

#[tokio::test]
async fn a_panic_is_a_trap_that_says_what_the_guest_logged() {
    let failure = failure("panic on purpose").await;
    assert_eq!(failure.reason(), "PluginTrapped");
    let text = failure.to_string();
    assert!(text.contains("unreachable") && text.contains("on purpose"), "{text}");
}

#[tokio::test]
async fn a_runaway_is_stopped_by_its_limits() {
    let plugin = load(Evaluation::Thread, SHORT).await;
    // Whether the clock or the fuel is first, the machine decides.
    for (config, expected) in
        [("loop", "PluginTimedOut"), ("fill", "PluginTimedOut"), ("allocate", "PluginOutOfMemory")]
    {
        let start = Instant::now();
        assert_eq!(outcome_of(&plugin, config).await.unwrap_err().reason(), expected);
        assert!(start.elapsed() < Duration::from_secs(5), "{config} took {:?}", start.elapsed());
    }
    assert_eq!(outcome_of(&plugin, "recurse").await.unwrap_err().reason(), "PluginTrapped");
    // The host has survived all of it.
    assert!(outcome_of(&plugin, "nothing").await.is_ok());
    assert_eq!(plugin.validate_config("loop").await.unwrap_err().reason(), "PluginTimedOut");
}

#[tokio::test]
async fn a_configuration_is_asked_about() {
    let plugin = hostile().await;
    assert_eq!(plugin.validate_config("good").await, Ok(()));
    assert_eq!(plugin.validate_config("bad").await, Err(PluginFailure::InvalidConfig("because".into())));
}

#[tokio::test]
async fn one_product_s_runaway_does_not_change_another_s_readings() {
    let host = WasmHost::new(Evaluation::Thread).unwrap();
    let digest = Digest::of(HOSTILE);
    let bad = host.load(HOSTILE, &digest, SHORT).await.unwrap();
    let good = host.load(HOSTILE, &digest, LIMITS).await.unwrap();
    // Plugins outlive their host.
    drop(host);
    let (bad, good) = tokio::join!(bad.measure(tick("loop"), vec![]), good.measure(tick("gauge 1"), vec![]));
    assert_eq!(bad.unwrap_err().reason(), "PluginTimedOut");
    assert_eq!(good.unwrap().readings.len(), 1);
}
