//! `LookupEvents` of CloudTrail by the AWS SDK: one attempt a call, nothing retried.

use async_trait::async_trait;
use aws_sdk_cloudtrail::{
    Client,
    config::{Builder, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata as _, SdkError},
    operation::lookup_events::LookupEventsError,
    primitives::DateTime,
    types::{LookupAttribute, LookupAttributeKey},
};
use jiff::Timestamp;
use tollkeeper_core::evidence::{Page, Trail, TrailError};

use crate::{
    describe::{describe, line},
    metering::{ATTEMPT_TIMEOUT, CONNECT_TIMEOUT, OPERATION_TIMEOUT},
};

/// The most events that one call returns (API model: `MaxResults` is 1 to 50).
const PAGE_SIZE: i32 = 50;

/// Names under which AWS says that the role has no right to look.
const FORBIDDEN: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "OptInRequired",
    "UnauthorizedAccess",
    "UnauthorizedOperation",
    "OperationNotPermittedException",
    "CloudTrailAccessNotEnabledException",
];

/// Names under which AWS says that the quota is used up.
const THROTTLED: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
];

/// The event history of the operator's account and region.
#[derive(Debug)]
pub struct SdkTrail {
    client: Client,
    issuer: Option<String>,
}

impl SdkTrail {
    /// With the credentials, region and endpoint of `config`; its retries and time-outs are replaced.
    pub(crate) fn new(config: Builder, issuer: Option<String>) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let config = config
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self { client: Client::from_conf(config), issuer }
    }
}

#[async_trait]
impl Trail for SdkTrail {
    async fn look_up(&self, from: Timestamp, page: Option<&str>) -> Result<Page, TrailError> {
        let name = LookupAttribute::builder()
            .attribute_key(LookupAttributeKey::EventName)
            .attribute_value("MeterUsage")
            .build()
            .map_err(|error| TrailError::Unavailable(error.to_string()))?;
        let found = self
            .client
            .lookup_events()
            .lookup_attributes(name)
            .start_time(DateTime::from_secs(from.as_second()))
            .max_results(PAGE_SIZE)
            .set_next_token(page.map(str::to_owned))
            .send()
            .await
            .map_err(|error| refusal(&error))?;
        let events = found.events.unwrap_or_default();
        Ok(Page {
            events: events.into_iter().filter_map(|event| event.cloud_trail_event).collect(),
            next: found.next_token.filter(|token| !token.is_empty()),
        })
    }

    fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }
}

fn refusal(error: &SdkError<LookupEventsError>) -> TrailError {
    let Some(code) = error.code() else { return TrailError::Unavailable(describe(error)) };
    let said = line(&format!("{code}: {}", error.message().unwrap_or("no message")));
    if FORBIDDEN.contains(&code) {
        TrailError::Forbidden(said)
    } else if THROTTLED.contains(&code) {
        TrailError::Throttled(said)
    } else {
        TrailError::Unavailable(said)
    }
}
