//! From AWS's reply to what became of the record. The one place that decides it: the AWS adapter and the simulator both ask here.
//!
//! Total, and honest about doubt: what is not known to be taken or refused is [`Outcome::Unknown`].

use crate::metering::{Outcome, Refusal};

/// What a client of `MeterUsage` saw of one attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// HTTP 200 with a readable body.
    Accepted {
        /// `MeteringRecordId`, or the empty text where the body had none.
        id: String,
    },
    /// A readable reply of any other status.
    Error {
        /// The HTTP status.
        status: u16,
        /// The AWS error name, where the body or a header gave one; a `namespace#` before it is ignored.
        code: Option<String>,
        /// What AWS said.
        message: String,
    },
    /// The request never left: no credentials, no connection.
    NotSent {
        /// What was in the way.
        message: String,
    },
    /// The request may have arrived and no readable reply came: a time-out, a reset, a body that breaks off.
    Lost {
        /// What happened to the reply.
        message: String,
    },
}

/// AWS will refuse the record for ever: the errors of the `MeterUsage` API model that speak of the record or the subscription.
const REJECTED: &[&str] = &[
    "CustomerNotEntitledException",
    "DuplicateRequestException",
    "IdempotencyConflictException",
    "InvalidEndpointRegionException",
    "InvalidProductCodeException",
    "InvalidTagException",
    "InvalidUsageAllocationsException",
    "InvalidUsageDimensionException",
];

/// One of AWS's names for a record that it refuses for ever; `None` for any other text.
pub fn refusal_named(name: &str) -> Option<&'static str> {
    REJECTED.iter().copied().find(|known| *known == name)
}

/// The API model's name for a timestamp outside the last six hours, or ahead of AWS's clock.
const OUT_OF_WINDOW: &str = "TimestampOutOfBoundsException";

/// Names under which AWS services throttle. `MeterUsage` documents the first; gateways in front of it use the others.
const THROTTLED: &[&str] = &[
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "RateLimitExceededException",
    "TooManyRequestsException",
    "SlowDown",
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
];

/// Refusals of the caller, not of the record: they are decided before the record is looked at, so another caller (or this one,
/// with better credentials) may send it again. AWS's common errors, and those of `MeterUsage` that the API model leaves out.
const CALLER_REFUSED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "DisabledApiException",
    "DryRunOperation",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignature",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "PlatformNotSupportedException",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnauthorizedAccess",
    "UnauthorizedException",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
];

/// Longer than any AWS error name. What is longer, or is not a name at all, came from something else on the way.
const LONGEST_NAME: usize = 80;

/// What became of the record, as far as this reply tells.
pub fn classify_meter_usage(reply: &Reply) -> Outcome {
    match reply {
        Reply::Accepted { id } if id.trim().is_empty() => Outcome::Unknown(refusal(
            "MissingRecordId",
            "AWS answered 200 without a metering record id, so nothing proves that it took the record.",
        )),
        Reply::Accepted { id } => Outcome::Accepted { metering_record_id: id.clone() },
        Reply::NotSent { message } => Outcome::NotAccepted(refusal("NotSent", message)),
        Reply::Lost { message } => Outcome::Unknown(refusal("ReplyLost", message)),
        Reply::Error { status, code, message } => classify_error(*status, code.as_deref(), message),
    }
}

/// A name counts only with a 4xx status: a server that failed (5xx) may have failed after the record was taken, whatever it says.
fn classify_error(status: u16, code: Option<&str>, message: &str) -> Outcome {
    let name = code.and_then(error_name);
    let refusal = match name {
        Some(name) => refusal(name, message),
        None => refusal(&format!("Http{status}"), message),
    };
    let is = |names: &[&str]| name.is_some_and(|name| names.contains(&name));
    match status {
        400..=499 if is(REJECTED) => Outcome::Rejected(refusal),
        400..=499 if name == Some(OUT_OF_WINDOW) => Outcome::OutOfWindow(refusal),
        400..=499 if is(THROTTLED) || is(CALLER_REFUSED) => Outcome::NotAccepted(refusal),
        429 => Outcome::NotAccepted(refusal),
        _ => Outcome::Unknown(refusal),
    }
}

/// The bare name: AWS JSON errors may read `com.amazonaws.service#Name` or `Name:http://…`.
fn error_name(code: &str) -> Option<&str> {
    let name = code.rsplit('#').next().unwrap_or(code);
    let name = name.split(':').next().unwrap_or(name).trim();
    let fits = (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_'));
    fits.then_some(name)
}

fn refusal(reason: &str, message: &str) -> Refusal {
    Refusal { reason: reason.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
#[path = "classification_tests.rs"]
mod tests;
