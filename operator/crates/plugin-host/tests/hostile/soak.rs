//! A long run: nothing that calls leave behind may add up.

use std::{env, fs};

use tollkeeper_core::plugin::Plugin;
use tollkeeper_plugin_host::Evaluation;

use super::{Arc, Digest, Duration, LIMITS, PluginHost as _, PluginLimits, guest, host, measure};

/// Evaluations, unless this variable says how many: `make soak` says a million.
const EVALUATIONS: &str = "TOLLKEEPER_SOAK_EVALUATIONS";
const BY_DEFAULT: usize = 10_000;

/// One in so many is a bad guest's.
const BAD: usize = 50;

/// What may be added by pages that are touched late and by the counters of the allocator; a leak of 16 bytes an evaluation
/// is more in a million, and so is a page for every bad guest in the default run.
const SLACK: u64 = 1 << 20;

/// Bad guests that fail in different ways.
const KINDS: [&str; 8] = [
    "trap",
    "nan",
    "memory-bomb",
    "stack-bomb",
    "huge-output",
    "million-readings",
    "wild-address",
    "endless-loop",
];

#[tokio::test]
async fn the_memory_of_the_host_is_flat_over_many_evaluations() {
    let evaluations = env::var(EVALUATIONS).map_or(BY_DEFAULT, |text| text.parse().unwrap());
    let host = host(Evaluation::Inline);
    // A runaway is stopped early, or a million evaluations would take hours.
    let limits = PluginLimits { time: Duration::from_millis(1), memory: 1 << 20, ..LIMITS };
    let mut bad: Vec<Arc<dyn Plugin>> = Vec::new();
    for kind in KINDS {
        let bytes = guest::named(kind);
        bad.push(host.load(&bytes, &Digest::of(&bytes), limits).await.unwrap());
    }
    let bytes = guest::good(0);
    let good = host.load(&bytes, &Digest::of(&bytes), LIMITS).await.unwrap();
    let mut start = 0;
    for evaluation in 0..evaluations {
        if evaluation % BAD == 0 {
            assert!(measure(&bad[evaluation / BAD % bad.len()]).await.is_err());
        } else {
            assert!(measure(&good).await.is_ok());
        }
        if evaluation == evaluations / 10 {
            start = resident();
        }
    }
    let end = resident();
    assert!(end <= start + SLACK, "{start} bytes after a tenth, {end} bytes after {evaluations} evaluations");
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
