//! Log lines on standard error: one a decision, with stable keys.

use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging. `RUST_LOG` narrows or widens it.
pub(crate) fn start(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new("info,kube_client=warn,kube_runtime=warn,aws_config=warn,hyper=warn")
    });
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start (in tests) keeps the first.
    let _ = if json { lines.json().flatten_event(true).try_init() } else { lines.try_init() };
}
