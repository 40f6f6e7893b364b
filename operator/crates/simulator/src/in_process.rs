//! The simulator behind the core's seam, without a network: what a client would have seen, classified by the core.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use tollkeeper_core::{
    classification::{Reply, classify_meter_usage},
    clock::Clock,
    metering::{MeterUsage, Metering, Outcome},
};

use crate::{
    caller::Caller,
    request::MeterUsageRequest,
    simulator::{Answer, SharedSimulator},
};

/// How long a caller waits for a reply unless told otherwise: the order of an SDK's own time-out for one operation.
const PATIENCE: Duration = Duration::from_secs(30);

/// One pod's connection to the simulated AWS.
pub struct SimulatedMetering {
    simulator: SharedSimulator,
    clock: Arc<dyn Clock>,
    caller: Caller,
    patience: Duration,
}

impl SimulatedMetering {
    /// Calls as `caller`, at the moments of `clock`.
    pub fn new(simulator: SharedSimulator, clock: Arc<dyn Clock>, caller: Caller) -> Self {
        Self { simulator, clock, caller, patience: PATIENCE }
    }

    /// Waits so long for a reply, on the clock; a later one is lost.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    async fn wait(&self, from: Timestamp, delay: Duration) {
        if !delay.is_zero() {
            self.clock.sleep_until(from.checked_add(delay).unwrap_or(Timestamp::MAX)).await;
        }
    }
}

#[async_trait]
impl Metering for SimulatedMetering {
    async fn meter_usage(&self, request: &MeterUsage) -> Outcome {
        let now = self.clock.now();
        let exchange = self.simulator.lock().exchange(now, &self.caller, &MeterUsageRequest::from(request));
        let late = exchange.delay >= self.patience;
        self.wait(now, exchange.delay.min(self.patience)).await;
        let reply = if late {
            Reply::Lost { message: "No reply came in time.".to_owned() }
        } else {
            reply(exchange.answer)
        };
        classify_meter_usage(&reply)
    }
}

fn reply(answer: Answer<String>) -> Reply {
    let lost = |message: &str| Reply::Lost { message: message.to_owned() };
    match answer {
        Answer::Reply(Ok(id)) => Reply::Accepted { id },
        Answer::Reply(Err(error)) => {
            Reply::Error { status: error.status, code: Some(error.code.into_owned()), message: error.message }
        }
        Answer::Truncated(_) => lost("The body of the reply broke off."),
        Answer::Html502 => {
            Reply::Error { status: 502, code: None, message: "A proxy answered 502 Bad Gateway.".to_owned() }
        }
        Answer::Dropped => lost("The connection was closed without a reply."),
        Answer::Reset => lost("The connection was reset."),
    }
}
