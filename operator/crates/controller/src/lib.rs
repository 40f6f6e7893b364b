//! The reconcilers: observe, plan, act, report.
//!
//! They know Kubernetes; AWS, wasmtime and the stores they know only through the traits of the core.

mod attention;
pub mod backoff;
pub mod binding;
pub mod calls;
pub mod collect;
pub mod conditions;
pub mod decision;
pub mod events;
pub mod evidence;
#[cfg(test)]
mod fake;
pub mod funnel;
pub mod lease;
pub mod meter;
pub mod product;
pub mod report;
mod rollback;
pub mod roster;
pub mod statement;
pub mod watch;
pub mod work;
