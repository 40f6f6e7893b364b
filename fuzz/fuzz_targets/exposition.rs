//! Metrics as any pod may serve them: in any pieces, in both formats, they come to the same samples or to an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollkeeper_core::input::Sample;

/// The parser is private to the controller, and the controller's dependencies are none of its own: its files are built here.
#[path = "../../operator/crates/controller/src/collect"]
mod collect {
    #![allow(dead_code, unused_imports, reason = "the controller uses the rest of these files")]

    pub(crate) mod exposition;
    pub(crate) mod limits;
    mod sample;

    /// An exposition that comes in pieces of so many bytes.
    pub(crate) fn parsed(
        bytes: &[u8],
        piece: usize,
        is_open_metrics: bool,
    ) -> Result<Vec<super::Sample>, String> {
        use exposition::{Exposition, Format, Wanted};
        let format = if is_open_metrics { Format::OpenMetrics } else { Format::Prometheus };
        let wanted = Wanted::new(&[]);
        let budget = limits::Budget::new(1 << 20);
        let mut exposition = Exposition::new(format, &wanted, &[("pod", "vecdb-0")], budget.share());
        bytes.chunks(piece).try_for_each(|chunk| exposition.feed(chunk))?;
        exposition.finish(true)
    }
}

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (is_open_metrics, piece, bytes) = input;
    let whole = collect::parsed(bytes, bytes.len().max(1), is_open_metrics);
    let pieces = collect::parsed(bytes, usize::from(piece).max(1), is_open_metrics);
    // NaN is a value, and equal to nothing.
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
});
