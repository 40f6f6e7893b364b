//! The domain of Tollkeeper: what an hour of usage is, how it is folded, sealed and settled.
//!
//! Pure: no Kubernetes, no AWS, no Wasm, no runtime. Effects come in through the traits of the seams:
//! [`clock::Clock`], [`input::Inputs`], [`plugin::PluginHost`], [`artifact::Artifacts`], [`ledger::Ledger`], [`mark::Marks`],
//! [`metering::Metering`], [`evidence::Trail`].

pub mod allocation;
pub mod artifact;
pub mod audit;
pub mod checkpoint;
pub mod classification;
pub mod clock;
pub mod decision;
pub mod difference;
pub mod evidence;
pub mod funnel;
pub mod guard;
pub mod hour;
pub mod identity;
pub mod input;
pub mod ledger;
pub mod mark;
pub mod metering;
pub mod month;
pub mod pace;
mod pairs;
pub mod plan;
pub mod plugin;
pub mod product;
pub mod proof;
pub mod quantity;
pub mod quote;
pub mod reading;
pub mod recording;
pub mod redaction;
pub mod report;
pub mod settlement;
pub mod signer;
pub mod statement;
pub mod tags;
pub mod trace;
pub mod usage;
pub mod workload;
