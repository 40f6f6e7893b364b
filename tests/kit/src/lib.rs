//! Real servers for tests: an API server with its controllers, Prometheus, a registry, and the operator as a process.
//!
//! One control plane serves a whole test run: the first test that asks for it starts it, and it ends with the run.
//! Every test makes a namespace of its own in it. The programs come from `make install-tests`; one that is missing
//! fails the test that needs it with a sentence that says which.

mod audit;
mod control_plane;
mod crds;
mod failure;
mod identity;
mod newest;
mod operator;
mod outage;
mod pki;
mod program;
mod prometheus;
mod registry;
mod run;
mod server;
mod servers;
mod sigstore;
mod wait;

pub use control_plane::{ControlPlane, Namespace};
pub use failure::{Failure, Result};
pub use operator::Operator;
pub use outage::Part;
pub use program::Program;
pub use prometheus::Prometheus;
pub use registry::{Door, Registry};
pub use server::free_port;
pub use sigstore::Sigstore;
pub use wait::{http_get, wait_until};
