//! The AWS adapters of Tollkeeper: metering and the event history by the SDK, and the credentials and the region that it may be done with.
//!
//! An adapter makes one attempt and says what became of it. Retries, pace and policy belong to its callers.

pub mod credentials;
pub mod environment;
pub mod metering;
pub mod region;
pub mod token;
pub mod trail;

mod attempt;
mod connect;
mod describe;
mod reply;
mod web_identity;

pub use connect::{Connection, connect};
