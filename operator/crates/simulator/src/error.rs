//! The errors that AWS answers with: a name, an HTTP status and a sentence.

use std::{borrow::Cow, fmt};

/// A refusal as it goes out on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiError {
    /// The AWS error name, such as `DuplicateRequestException`.
    pub code: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// One sentence.
    pub message: String,
}

impl ApiError {
    /// An error of the AWS JSON protocol that blames the request: these services answer all of them with 400.
    pub fn client(code: &'static str, message: impl Into<String>) -> Self {
        Self { code: Cow::Borrowed(code), status: 400, message: message.into() }
    }

    /// An error of the STS Query protocol whose documented status is not 400.
    pub fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self { code: Cow::Borrowed(code), status: 403, message: message.into() }
    }

    /// The one documented server fault of the metering API; what became of the request is not known.
    pub fn internal() -> Self {
        Self {
            code: Cow::Borrowed("InternalServiceErrorException"),
            status: 500,
            message: "An internal error has occurred. Retry your request.".to_owned(),
        }
    }

    /// The server fault that is common to all services (AWS common errors).
    pub fn failure() -> Self {
        Self {
            code: Cow::Borrowed("InternalFailure"),
            status: 500,
            message: "The request processing has failed because of an unknown error, exception or failure."
                .to_owned(),
        }
    }

    /// A member that breaks a bound of the API model, in the words that AWS front ends use.
    pub fn validation(member: &str, rule: impl fmt::Display) -> Self {
        Self::client(
            "ValidationException",
            format!("1 validation error detected: Value at '{member}' failed to satisfy constraint: {rule}"),
        )
    }

    /// A body that does not have the shape of the operation's input.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::client("SerializationException", message)
    }

    /// More calls than the quota (MeterUsage: 10 a second, account and region).
    pub fn throttled() -> Self {
        Self::client("ThrottlingException", "The calls to the API are throttled: Rate exceeded.")
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.code, self.status, self.message)
    }
}

impl std::error::Error for ApiError {}
