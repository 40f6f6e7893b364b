//! Kills real processes while they meter and bill, and checks afterwards that every unit is billed once or accounted for.
//!
//! A [`Site`] is a namespace with a product, a workload, an operator and an AWS of its own. A [`Schedule`], made from a seed, says
//! when its operator dies and who comes after it; [`audit`] compares the ledger with AWS's books and with what was used.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test support: it fails by panicking, and lives in real time"
)]

mod audit;
mod chronicle;
mod schedule;
mod signs;
mod site;
mod weather;

pub use audit::{Account, audit};
pub use chronicle::Chronicle;
pub use schedule::{Blow, Moment, Round, Schedule, Successor};
pub use site::Site;
pub use weather::storm;
