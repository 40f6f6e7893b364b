//! A bar for what takes longer than a second, where a person is watching.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a bar is drawn.
const DRAWN: Duration = Duration::from_millis(100);

/// A bar over so many steps; it is drawn on a terminal only, and goes when it is dropped.
pub(super) fn bar(what: &'static str, steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    // Hidden where standard error is no terminal.
    let bar =
        ProgressBar::with_draw_target(u64::try_from(steps).ok(), ProgressDrawTarget::stderr_with_hz(10));
    bar.with_style(style).with_message(what)
}

/// Something without steps that takes long, such as a compilation.
pub(super) fn spinner(what: String) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(DRAWN);
    spinner
}
