//! What is seen of one attempt from inside the SDK: whether the request went out, and AWS's clock.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_sdk_marketplacemetering::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef},
    },
    error::BoxError,
    primitives::{DateTime, DateTimeFormat},
};
use jiff::SignedDuration;

/// A `Date` header is cut off to whole seconds: on average AWS's clock is half a second further.
const HALF_A_SECOND_MS: i128 = 500;

/// Watches one attempt; clones watch the same one.
#[derive(Clone, Default, Debug)]
pub(crate) struct Attempt(Arc<Mutex<Seen>>);

#[derive(Default, Debug)]
struct Seen {
    handed_over: bool,
    sent_ms: Option<i128>,
    offset: Option<SignedDuration>,
}

impl Attempt {
    /// Whether the signed request was handed to the HTTP client. If not, nothing of it can have reached AWS: credentials, endpoint
    /// and signature come before.
    pub(crate) fn was_handed_over(&self) -> bool {
        self.seen().handed_over
    }

    /// How far the answering server's clock is ahead of the one that signs the requests, if it told. Correct to half a second plus
    /// half the time that the answer took.
    pub(crate) fn clock_offset(&self) -> Option<SignedDuration> {
        self.seen().offset
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for Attempt {
    fn name(&self) -> &'static str {
        "Attempt"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut seen = self.seen();
        seen.handed_over = true;
        seen.sent_ms = now_ms(components);
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.response().headers();
        let date_ms = headers
            .get("date")
            .filter(|_| headers.get("age").is_none())
            .and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok())
            .and_then(|date| date.to_millis().ok());
        let mut seen = self.seen();
        if let (Some(date), Some(sent), Some(answered)) = (date_ms, seen.sent_ms, now_ms(components)) {
            let offset = i128::from(date) + HALF_A_SECOND_MS - sent.midpoint(answered);
            seen.offset = i64::try_from(offset).ok().map(SignedDuration::from_millis);
        }
        Ok(())
    }
}

/// The clock that the SDK signs by; it is the real one even where Tollkeeper's own is a test clock.
fn now_ms(components: &RuntimeComponents) -> Option<i128> {
    let now: SystemTime = components.time_source()?.now();
    let since = now.duration_since(UNIX_EPOCH).ok()?;
    i128::try_from(since.as_millis()).ok()
}
