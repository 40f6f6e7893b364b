//! Calls of the API server: each one ends, and a failure says what it means to the caller.

use std::time::Duration;

use kube::api::{PatchParams, PostParams};
use tokio::time::timeout;
use tollkeeper_api::FIELD_MANAGER;

/// kube has no read time-out of its own. A healthy API server answers in milliseconds; after ten seconds the
/// connection is as good as lost.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a call did not do what it should.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CallError {
    /// Somebody else has changed or created the object.
    #[error("the object has changed in between")]
    Conflict,
    /// There is no such object.
    #[error("the object does not exist")]
    Absent,
    /// The operator has no right to it.
    #[error("the API server forbids it: {0}")]
    Forbidden(String),
    /// The API server took the request and will not do it.
    #[error("the API server refuses it: {0}")]
    Refused(String),
    /// No answer, or none that says anything: whether it happened is not known.
    #[error("the API server is unavailable: {0}")]
    Unavailable(String),
}

impl CallError {
    /// The reason that conditions, events, metrics and log lines share.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Conflict => "Conflict",
            Self::Absent => "ObjectGone",
            Self::Forbidden(_) => "AccessForbidden",
            Self::Refused(_) => "RequestRefused",
            Self::Unavailable(_) => "ApiServerUnavailable",
        }
    }

    /// Whether the same again may help without anybody doing something about it.
    pub const fn passes_by_itself(&self) -> bool {
        matches!(self, Self::Conflict | Self::Absent | Self::Unavailable(_))
    }
}

/// Waits for an answer, though not for ever.
pub async fn call<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
    match timeout(CALL_TIMEOUT, request).await {
        Ok(answer) => answer.map_err(|error| CallError::from(&error)),
        Err(_) => Err(CallError::Unavailable(format!("no answer in {CALL_TIMEOUT:?}"))),
    }
}

impl From<&kube::Error> for CallError {
    fn from(error: &kube::Error) -> Self {
        let kube::Error::Api(status) = error else { return Self::Unavailable(error.to_string()) };
        match status.code {
            404 => Self::Absent,
            409 => Self::Conflict,
            403 => Self::Forbidden(status.message.clone()),
            // Overload and restarts; 500 stays a refusal because a broken admission webhook answers so for days.
            408 | 429 | 502..=504 => Self::Unavailable(status.message.clone()),
            _ => Self::Refused(status.message.clone()),
        }
    }
}

/// How Tollkeeper creates and replaces.
pub fn post_params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

/// How Tollkeeper patches.
pub fn patch_params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}
