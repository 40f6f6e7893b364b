//! The write-ahead record of every charge, and the checkpoints of what is not sealed yet.
//!
//! One state machine (in the core), one conformance suite, and back ends that only store:
//! [`memory`] for simulations and tests, [`kubernetes`] for clusters. [`recording`] keeps what hours were computed from,
//! [`marks`] what has been sent, where a restore of the ledger does not reach.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod kubernetes;
pub mod marks;
pub mod memory;
pub mod recording;
