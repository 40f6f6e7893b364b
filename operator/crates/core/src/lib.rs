//! The domain of Tollkeeper: what an hour of usage is, how it is folded, sealed and settled.
//!
//! Pure: no Kubernetes, no AWS, no Wasm, no runtime. Effects come in through the traits of the seams:
//! [`clock::Clock`], [`input::Inputs`], [`plugin::PluginHost`], [`metering::Metering`].

pub mod classification;
pub mod clock;
pub mod hour;
pub mod identity;
pub mod input;
pub mod metering;
pub mod pace;
pub mod plugin;
pub mod product;
pub mod quantity;
pub mod reading;
pub mod tags;
pub mod workload;
