//! Guests that mean harm, each a file of `guests` whose first line says what becomes of it: `load`, `config` or `tick`, then
//! `ok` or the reason, then words of the message.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "the whole file is tests, and real time is what is limited"
)]

mod build;
mod guest;
mod soak;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use guest::{Guest, Stage};
use jiff::Timestamp;
use tollkeeper_core::{
    identity::Digest,
    plugin::{ConfiguredPlugin, Plugin, PluginFailure, PluginHost, PluginLimits, Tick},
    product::{Interval, Rules},
    quantity::Quantity,
    reading::{LogLevel, Measurement},
    usage::{Tally, TickOrigin},
};
use tollkeeper_plugin_host::{Apart, Compilation, Evaluation, HostSettings, MAXIMA, WasmHost};

const LIMITS: PluginLimits =
    PluginLimits { memory: 64 << 20, time: Duration::from_secs(1), component: 4 << 20 };

/// A wall clock that the whole of it must beat, on a machine with other things to do.
const AT_ONCE: Duration = Duration::from_secs(20);

fn host(evaluation: Evaluation) -> WasmHost {
    WasmHost::new(evaluation).unwrap()
}

async fn load(host: &WasmHost, bytes: &[u8]) -> Result<Arc<dyn Plugin>, PluginFailure> {
    host.load(bytes, &Digest::of(bytes), LIMITS).await
}

fn tick(at: &str, state: &[u8]) -> Tick {
    Tick {
        at: at.parse().unwrap(),
        seconds: 60,
        product: "vecdb".into(),
        config: "{}".into(),
        state: Arc::from(state),
    }
}

async fn measure(plugin: &Arc<dyn Plugin>) -> Result<Measurement, PluginFailure> {
    plugin.measure(tick("2026-11-21T14:58:00Z", &[]), vec![]).await
}

/// As far as the guest gets, and how it ends.
async fn fate(host: &WasmHost, bytes: &[u8]) -> (Stage, Result<Measurement, PluginFailure>) {
    let plugin = match load(host, bytes).await {
        Ok(plugin) => plugin,
        Err(failure) => return (Stage::Load, Err(failure)),
    };
    if let Err(failure) = plugin.validate_config("{}").await {
        return (Stage::Config, Err(failure));
    }
    (Stage::Tick, measure(&plugin).await)
}

#[tokio::test]
async fn every_guest_comes_to_the_end_that_its_file_says_and_to_the_same_one_again() {
    every_guest_ends_as_its_file_says(&host(Evaluation::Inline)).await;
}

#[tokio::test]
async fn every_guest_comes_to_the_same_end_if_it_is_compiled_in_a_process_of_its_own() {
    let cache = tempfile::tempdir().unwrap();
    let compilation = Compilation::Apart(Apart {
        program: env!("CARGO_BIN_EXE_compile-plugin").into(),
        arguments: Vec::new(),
        memory: 512 << 20,
        cache: cache.path().to_owned(),
        cache_size: 64 << 20,
    });
    let settings = HostSettings { evaluation: Evaluation::Inline, compilation, maxima: MAXIMA };
    every_guest_ends_as_its_file_says(&WasmHost::with(settings).unwrap()).await;
}

async fn every_guest_ends_as_its_file_says(host: &WasmHost) {
    let guests = guest::all();
    assert!(guests.len() > 30, "{} guests", guests.len());
    for Guest { name, component, stage, reason, words } in guests {
        let begun = Instant::now();
        let (reached, outcome) = fate(host, &component).await;
        let found = outcome.as_ref().map_or_else(PluginFailure::reason, |_| "ok");
        assert_eq!((reached, found), (stage, reason.as_str()), "{name}: {outcome:?}");
        if let Err(failure) = &outcome {
            let text = failure.to_string();
            assert!(text.contains(&words), "{name}: {text}");
            assert!(text.len() < 1_200, "{name} says {} bytes", text.len());
        }
        let again = fate(host, &component).await;
        assert_eq!((again.0, comparable(again.1)), (reached, comparable(outcome)), "{name}");
        assert!(begun.elapsed() < AT_ONCE, "{name} took {:?}", begun.elapsed());
    }
}

/// Whether an endless loop is stopped by the clock or for want of fuel first is the machine's affair: both have one reason.
fn comparable(outcome: Result<Measurement, PluginFailure>) -> Result<Measurement, String> {
    outcome.map_err(|failure| match &failure {
        PluginFailure::TimedOut(_) | PluginFailure::OutOfFuel { .. } => failure.reason().to_owned(),
        _ => failure.to_string(),
    })
}

#[tokio::test]
async fn nine_good_plugins_keep_their_ticks_beside_each_bad_one() {
    let host = host(Evaluation::Thread);
    let mut good = Vec::new();
    for number in 0..9 {
        good.push(load(&host, &guest::good(number)).await.unwrap());
    }
    for Guest { name, component, .. } in guest::all() {
        let nine = async {
            let mut measured = Vec::new();
            for plugin in &good {
                measured.push(measure(plugin).await);
            }
            measured
        };
        let (_, nine) = tokio::join!(fate(&host, &component), nine);
        for (number, measured) in nine.into_iter().enumerate() {
            assert_eq!(measured.unwrap().readings.len(), 1, "good plugin {number} beside {name}");
        }
    }
}

#[tokio::test]
async fn a_guest_that_was_built_with_the_next_patch_of_the_interface_measures() {
    let plugin = load(&host(Evaluation::Inline), &guest::good_for("0.1.1")).await.unwrap();
    assert_eq!(measure(&plugin).await.unwrap().readings.len(), 1);
}

#[tokio::test]
async fn a_flood_of_lines_is_kept_in_part_and_counted() {
    let host = host(Evaluation::Inline);
    let plugin = load(&host, &guest::named("log-flood")).await.unwrap();
    let log = measure(&plugin).await.unwrap().log;
    assert!(log.iter().map(|line| line.message.len()).sum::<usize>() < 65 << 10);
    let first = log.first().unwrap();
    assert_eq!(first.level, LogLevel::Warn);
    assert!(first.message.starts_with("lines left out before"), "{}", first.message);
    assert_eq!(host.plugins()[0].usage.log_lines, 100_000);
}

#[tokio::test]
async fn a_counter_that_falls_is_a_reset_and_never_takes_usage_back() {
    let plugin = load(&host(Evaluation::Inline), &guest::named("falling-counter")).await.unwrap();
    let mut tally = Tally::default();
    let rules = Rules { interval: Interval::from_seconds(60).unwrap(), dimensions: &[] };
    let mut state = Vec::new();
    for at in ["2026-11-21T14:57:00Z", "2026-11-21T14:58:00Z", "2026-11-21T14:59:00Z"] {
        let measured = plugin.measure(tick(at, &state), vec![]).await.unwrap();
        state.clone_from(&measured.state);
        let digest = Digest::of(b"");
        let measured_by = ConfiguredPlugin { plugin: digest.clone(), config: digest.clone() };
        let origin = TickOrigin { measured_by, inputs: digest, is_complete: true };
        let at: Timestamp = at.parse().unwrap();
        tally.commit(at, rules, &measured, &origin);
    }
    // 9 is the baseline, 3 a reset and all of it an increase, 3 again none.
    let (_, hour) = tally.hours().last().unwrap();
    let parts = hour.folded(&"d".parse().unwrap(), tollkeeper_core::product::Fold::Sum);
    assert_eq!(parts.iter().map(|part| part.quantity).sum::<Quantity>(), Quantity::from_units(3));
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_refused_or_was_whole_without_the_rest() {
    let host = host(Evaluation::Inline);
    let whole = guest::good(0);
    let healthy = measure(&load(&host, &whole).await.unwrap()).await;
    for length in (0..whole.len()).step_by(3) {
        match fate(&host, &whole[..length]).await {
            (Stage::Load, Err(failure)) => assert!(
                matches!(failure.reason(), "InvalidComponent" | "UnsupportedInterface"),
                "{length} of {} bytes: {failure}",
                whole.len()
            ),
            // Only the names at the end are missing, which are for people.
            (_, outcome) => assert_eq!(outcome, healthy, "{length} of {} bytes", whole.len()),
        }
    }
}

#[tokio::test]
async fn a_thousand_files_with_one_flipped_bit_each_do_no_harm() {
    let host = host(Evaluation::Inline);
    let whole = guest::good(0);
    let witness = load(&host, &whole).await.unwrap();
    let healthy = measure(&witness).await.unwrap();
    let (mut place, mut taken) = (1_usize, 0);
    for _ in 0..1_000 {
        // All places of a file of some hundred bytes are visited, in no order that the format knows.
        place = (place * 7_919 + 104_729) % (whole.len() * 8);
        let mut flipped = whole.clone();
        flipped[place / 8] ^= 1 << (place % 8);
        let wrong = host.load(&flipped, &Digest::of(&whole), LIMITS).await.err().unwrap();
        assert_eq!(wrong.reason(), "DigestMismatch");
        // Whoever publishes such a file gets what the sandbox gives to everybody.
        if let (Stage::Tick, Ok(measured)) = fate(&host, &flipped).await {
            assert!(measured.readings.len() <= 1_000);
            taken += 1;
        }
    }
    assert!((1..1_000).contains(&taken), "{taken} of 1000 still measure");
    assert_eq!(measure(&witness).await.unwrap(), healthy);
}
