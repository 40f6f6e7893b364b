//! Credentials for a web identity: the token in the file for an hour of a role, asked of STS.
//!
//! Written out instead of left to the SDK's chain, so that nothing else can take its place, so that the file is read anew at every
//! exchange (the kubelet rotates it), and so that no error carries the token. The SDK caches what comes out of it until it expires.

use std::{
    fmt,
    path::Path,
    time::{Duration, SystemTime},
};

use aws_credential_types::{
    Credentials,
    provider::{self, ProvideCredentials, error::CredentialsError, future},
};
use aws_sdk_sts::{
    config::{
        BehaviorVersion, Region, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError,
};

use crate::{
    credentials::{CredentialProblem, WebIdentity},
    describe::{describe, line},
    metering::CONNECT_TIMEOUT,
};

/// To exchange a token: shorter than half an attempt, so that the record that waits for it still has time of its own.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(4);

/// The longest token that STS takes, in characters (API model of `AssumeRoleWithWebIdentity`).
const LONGEST_TOKEN: usize = 20_000;

/// The provider of one web identity's credentials.
pub(crate) struct WebIdentityProvider {
    identity: WebIdentity,
    sts: aws_sdk_sts::Client,
}

impl WebIdentityProvider {
    /// Asks the STS of `region`, or the one at `endpoint`.
    pub(crate) fn new(identity: WebIdentity, region: &str, endpoint: Option<&str>) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_timeout(EXCHANGE_TIMEOUT)
            .build();
        let mut config = aws_sdk_sts::Config::builder();
        config.set_endpoint_url(endpoint.map(str::to_owned));
        let config = config
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self { identity, sts: aws_sdk_sts::Client::from_conf(config) }
    }

    async fn exchange(&self) -> provider::Result {
        let token = read_token(&self.identity.token_file).await.map_err(CredentialsError::provider_error)?;
        let request = self
            .sts
            .assume_role_with_web_identity()
            .role_arn(&self.identity.role_arn)
            .role_session_name(&self.identity.session_name)
            .web_identity_token(&token);
        let given = request.send().await.map_err(|error| {
            CredentialsError::provider_error(ExchangeFailed(explain(&error).replace(&token, "(the token)")))
        })?;
        let none = || CredentialsError::provider_error(ExchangeFailed("AWS STS sent no credentials".into()));
        let given = given.credentials.ok_or_else(none)?;
        let expires = SystemTime::try_from(given.expiration).map_err(|_| none())?;
        Ok(Credentials::builder()
            .access_key_id(given.access_key_id)
            .secret_access_key(given.secret_access_key)
            .session_token(given.session_token)
            .expiry(expires)
            .provider_name("WebIdentity")
            .build())
    }
}

impl ProvideCredentials for WebIdentityProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.exchange())
    }
}

impl fmt::Debug for WebIdentityProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebIdentityProvider").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// STS gave no credentials. Says why, and never the token.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ExchangeFailed(String);

fn explain(error: &SdkError<AssumeRoleWithWebIdentityError>) -> String {
    let said = match error.code() {
        Some(code) => format!("{code}: {}", error.message().unwrap_or("no message")),
        None => describe(error),
    };
    line(&format!("AWS STS gave no credentials for the web identity: {said}"))
}

/// The token as the file has it now, without the line break that a hand-made Secret may end in.
pub(crate) async fn read_token(path: &Path) -> Result<String, CredentialProblem> {
    let unreadable = |cause: String| CredentialProblem::TokenUnreadable { path: path.to_owned(), cause };
    let bytes =
        tokio::fs::read(path).await.map_err(|error| unreadable(format!("cannot be read: {error}")))?;
    let token = String::from_utf8(bytes).map_err(|_| unreadable("is not text".into()))?;
    match token.trim() {
        "" => Err(unreadable("is empty".into())),
        token if token.len() > LONGEST_TOKEN => {
            Err(unreadable(format!("is longer than the {LONGEST_TOKEN} characters that AWS STS takes")))
        }
        token => Ok(token.to_owned()),
    }
}
