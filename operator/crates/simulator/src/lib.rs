//! AWS, simulated: MeterUsage with its true rules, CloudTrail's event history, STS web identity, faults on purpose, and a watch for double bills.
//!
//! [`Simulator`] is pure and synchronous; the moment is always handed in. [`SimulatedMetering`] is the same AWS behind the
//! seam of the core, for runs on a virtual clock.

mod books;
mod caller;
mod error;
mod faults;
mod in_process;
mod request;
mod rules;
mod server;
mod settings;
mod simulator;
mod throttle;
mod trail;
mod view;
mod virtual_clock;

pub use books::{AcceptedRecord, RejectedRequest};
pub use caller::{Caller, Pod};
pub use error::ApiError;
pub use faults::{
    Burst, Effect, FaultRule, FaultScript, InjectedFault, Nth, Operation, ScriptError, ScriptedError, When,
};
pub use in_process::SimulatedMetering;
pub use request::{Amount, MeterUsageRequest, RecordedAllocation, RequestedAllocation};
pub use rules::{MAX_ALLOCATIONS, MAX_TAGS, WINDOW};
pub use server::{ManualClock, ServerClock, SystemClock, serve};
pub use settings::{
    CALLS_A_SECOND, EXAMPLE_ACCOUNT, LOOKUPS_A_SECOND, Settings, TRAIL_DELAY_SECONDS, TokenScope,
};
pub use simulator::{Answer, Exchange, MeteringRecordId, SharedSimulator, Simulator};
pub use trail::{LookupAttribute, LookupEventsRequest};
pub use view::{BilledBy, BooksView, DoubleBill, Total};
pub use virtual_clock::{VirtualClock, poll_once};

#[cfg(test)]
mod tests;
