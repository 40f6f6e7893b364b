//! Faults on purpose: a script that says which calls go wrong and how.
//!
//! A script is YAML or JSON. Rules are tried in order; delays add up, and the first other effect that applies decides. Faults
//! touch calls that arrived and were understood: who is not let in, or sends no readable request, is refused as ever.

mod effect;
mod engine;
mod script;

pub use effect::{Burst, Effect, ScriptedError};
pub use engine::InjectedFault;
pub(crate) use engine::{Call, Engine};
pub use script::{FaultRule, FaultScript, Nth, Operation, ScriptError, When};
