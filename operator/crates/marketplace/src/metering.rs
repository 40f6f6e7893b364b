//! `MeterUsage` by the AWS SDK: one attempt a call, nothing chosen, nothing retried.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_marketplacemetering::{
    Client,
    config::{Builder, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig},
    error::BuildError,
    operation::meter_usage::builders::MeterUsageFluentBuilder,
    primitives::DateTime,
    types::{Tag, UsageAllocation},
};
use jiff::SignedDuration;
use tollkeeper_core::{
    classification::{Reply, classify_meter_usage},
    metering::{Allocation, MeterUsage, Metering, Outcome, Refusal},
};

use crate::{attempt::Attempt, credentials::CredentialProblem, reply::reply};

/// To connect: name, TCP, TLS. Much shorter than an attempt, because a connection that never stood is a request that was never sent,
/// while an attempt that runs out of time is one in doubt.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// One attempt with all that belongs to it, the exchange for credentials included. AWS answers in well under a second; what has not
/// come after ten will not come, and a terminating pod has 30 s by default.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// The whole call. As there is one attempt, this only guards what the SDK does around it; half of a terminating pod's 30 s.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(15);

/// Sends usage to AWS Marketplace Metering. Cheap to share behind an `Arc`; credentials and connections are kept between calls.
#[derive(Debug)]
pub struct SdkMetering {
    client: Client,
    region: String,
    warning: Option<CredentialProblem>,
    skew: Mutex<Option<SignedDuration>>,
}

impl SdkMetering {
    /// With the credentials, region and endpoint of `config`; its retries and time-outs are replaced.
    pub(crate) fn new(config: Builder, region: String, warning: Option<CredentialProblem>) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let config = config
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            // Made for streams; a body of a few kilobytes is bounded by the attempt.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self { client: Client::from_conf(config), region, warning, skew: Mutex::new(None) }
    }

    /// The region that is metered in.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// What will probably keep AWS from taking records, though it does not prevent trying.
    pub fn warning(&self) -> Option<&CredentialProblem> {
        self.warning.as_ref()
    }

    /// How far AWS's clock was ahead of this machine's (negative: behind) at AWS's last answer; `None` before the first. Correct to
    /// half a second plus half the time that the answer took. Answers that did not come from AWS's API are not counted.
    pub fn skew(&self) -> Option<SignedDuration> {
        *self.skew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks AWS whether this process may send `request`, without sending it (`DryRun`). Does not check the subscription.
    ///
    /// # Errors
    /// What AWS or the network said instead of the documented `DryRunOperation`, such as `UnauthorizedException`.
    pub async fn dry_run(&self, request: &MeterUsage) -> Result<(), Refusal> {
        match self.attempt(request, true).await? {
            Reply::Error { code: Some(code), .. } if code == "DryRunOperation" => Ok(()),
            other => Err(match classify_meter_usage(&other) {
                Outcome::Accepted { metering_record_id } => Refusal {
                    reason: "DryRunIgnored".into(),
                    message: format!("AWS answered a dry run with the record id {metering_record_id}"),
                },
                Outcome::NotAccepted(refusal)
                | Outcome::Rejected(refusal)
                | Outcome::OutOfWindow(refusal)
                | Outcome::Unknown(refusal) => refusal,
            }),
        }
    }

    /// The reply to one attempt, or why there is no such request.
    async fn attempt(&self, request: &MeterUsage, dry_run: bool) -> Result<Reply, Refusal> {
        let call = self.call(request)?.set_dry_run(dry_run.then_some(true));
        let attempt = Attempt::default();
        let result = call.customize().interceptor(attempt.clone()).send().await;
        let reply = reply(result, attempt.was_handed_over());
        let by_aws = matches!(reply, Reply::Accepted { .. } | Reply::Error { code: Some(_), .. });
        if let Some(offset) = attempt.clock_offset().filter(|_| by_aws) {
            *self.skew.lock().unwrap_or_else(PoisonError::into_inner) = Some(offset);
        }
        Ok(reply)
    }

    fn call(&self, request: &MeterUsage) -> Result<MeterUsageFluentBuilder, Refusal> {
        let allocations = match request.allocations.as_slice() {
            [] => None,
            parts => Some(parts.iter().map(allocation).collect::<Result<Vec<_>, _>>()?),
        };
        Ok(self
            .client
            .meter_usage()
            .product_code(request.product_code.as_str())
            .usage_dimension(request.dimension.as_str())
            .timestamp(timestamp(request.timestamp))
            .usage_quantity(quantity(request.quantity)?)
            .set_usage_allocations(allocations)
            .client_token(request.client_token.as_str()))
    }
}

#[async_trait]
impl Metering for SdkMetering {
    async fn meter_usage(&self, request: &MeterUsage) -> Outcome {
        match self.attempt(request, false).await {
            Ok(reply) => classify_meter_usage(&reply),
            Err(refusal) => Outcome::Rejected(refusal),
        }
    }
}

/// As given, to the nanosecond.
fn timestamp(moment: jiff::Timestamp) -> DateTime {
    DateTime::from_nanos(moment.as_nanosecond()).unwrap_or_else(|_| DateTime::from_secs(moment.as_second()))
}

/// The API takes 0 to 2147483647. Cutting a larger one down would bill something else than was sealed.
fn quantity(units: u32) -> Result<i32, Refusal> {
    i32::try_from(units).map_err(|_| Refusal {
        reason: "QuantityOutOfRange".into(),
        message: format!("{units} is more than the 2147483647 units that one record can carry"),
    })
}

/// Untagged usage has no `Tags` at all: the API takes 1 to 5.
fn allocation(part: &Allocation) -> Result<UsageAllocation, Refusal> {
    let tags = part.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
    let tags = tags.collect::<Result<Vec<_>, _>>().map_err(|error| incomplete(&error))?;
    UsageAllocation::builder()
        .allocated_usage_quantity(quantity(part.quantity)?)
        .set_tags((!tags.is_empty()).then_some(tags))
        .build()
        .map_err(|error| incomplete(&error))
}

fn incomplete(error: &BuildError) -> Refusal {
    Refusal { reason: "RequestIncomplete".into(), message: error.to_string() }
}
