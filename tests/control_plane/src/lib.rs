//! A stage for control-plane tests: a namespace with the chart's RBAC, a workload to meter, a simulated AWS, and the
//! operator as a process of its own, all at one virtual time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test support: it fails by panicking, and lives in real time"
)]

mod observed;
mod rights;
mod stage;
mod workload;

pub use observed::Observed;
pub use stage::{PATIENCE, PodIdentity, Stage, repository};
pub use workload::Workload;
