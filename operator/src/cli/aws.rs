//! `tollkeeper aws`: the AWS simulator as a server, for any SDK.

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use clap::{Args, ValueEnum};
use tokio::net::TcpListener;
use tollkeeper_simulator::{FaultScript, ServerClock, Settings, SharedSimulator, Simulator, serve};

use super::{Failure, print};
use crate::{clock, settings};

/// Serve a simulated AWS Marketplace Metering and STS: point any SDK at it with AWS_ENDPOINT_URL.
#[derive(Debug, Args)]
pub(crate) struct Aws {
    /// Address to listen on.
    #[arg(long, env = "TOLLKEEPER_LISTEN", default_value = "127.0.0.1:4566")]
    listen: SocketAddr,
    /// Script of faults to inject (YAML or JSON).
    #[arg(long, env = "TOLLKEEPER_FAULTS")]
    faults: Option<PathBuf>,
    /// `real` follows the machine (or TOLLKEEPER_TEST_CLOCK); `manual` moves only by POST /_tollkeeper/clock.
    #[arg(long, env = "TOLLKEEPER_CLOCK", default_value = "real")]
    clock: ClockKind,
    /// Let in access keys that were not issued by this server's STS: each is a pod of its own.
    #[arg(long, env = "TOLLKEEPER_ALLOW_ANY_CREDENTIALS")]
    allow_any_credentials: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ClockKind {
    Real,
    Manual,
}

impl Aws {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format!("the runtime cannot start: {error}")))?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> Result<(), Failure> {
        let test_clock = settings::test_clock().map_err(Failure::new)?;
        let process_clock = clock::of_process(test_clock);
        let settings = Settings { allow_any_credentials: self.allow_any_credentials, ..Settings::default() };
        let mut simulator = Simulator::new(settings);
        if let Some(path) = &self.faults {
            let text = fs::read_to_string(path)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            simulator.set_faults(
                FaultScript::parse(&text)
                    .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?,
            );
        }
        let clock = match (self.clock, test_clock) {
            (ClockKind::Manual, _) => ServerClock::manual(process_clock.now()),
            (ClockKind::Real, Some(test)) => ServerClock::following(Arc::new(test)),
            (ClockKind::Real, None) => ServerClock::real(),
        };
        let listener = TcpListener::bind(self.listen)
            .await
            .map_err(|error| Failure::new(format!("{} cannot be listened on: {error}", self.listen)))?;
        let address = listener.local_addr().map_err(Failure::new)?;
        print::text(format_args!("simulated AWS: AWS_ENDPOINT_URL=http://{address}\n"))?;
        serve(listener, SharedSimulator::new(simulator), clock, super::stop_signal())
            .await
            .map_err(|error| Failure::new(format!("the server failed: {error}")))
    }
}
