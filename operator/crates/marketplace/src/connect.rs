//! From the environment to clients of AWS, or to the reason why not.

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_credential_types::provider::SharedCredentialsProvider;

use crate::{
    credentials::{AllowCredentials, CredentialKind, CredentialProblem, WebIdentity},
    environment::{AwsEnvironment, Service},
    metering::SdkMetering,
    region,
    token::TokenIdentity,
    trail::SdkTrail,
    web_identity::{WebIdentityProvider, read_token},
};

/// What AWS may be called with from this process.
#[derive(Debug)]
pub struct Connection {
    config: SdkConfig,
    environment: AwsEnvironment,
    region: String,
    warning: Option<CredentialProblem>,
    issuer: Option<String>,
}

/// The credentials and the region of `env`. Calls no AWS service; asks the instance metadata for at most two seconds, and only
/// where the environment says nothing.
///
/// # Errors
/// Why this process cannot meter: other credentials than `allow` admits, an unreadable token, an unknown region. A region in which
/// AWS is not known to take metering from EKS is no error but [`SdkMetering::warning`].
pub async fn connect(env: &AwsEnvironment, allow: AllowCredentials) -> Result<Connection, CredentialProblem> {
    let identity = match WebIdentity::of(env) {
        Ok(identity) => Some(identity),
        // A web identity that is there but wrong is not passed over in silence.
        Err(_)
            if allow == AllowCredentials::Any && CredentialKind::of(env) != CredentialKind::WebIdentity =>
        {
            None
        }
        Err(problem @ CredentialProblem::WebIdentityMissing { .. }) => {
            let node_role = region::node_has_role(env).await;
            return Err(if node_role { CredentialProblem::NodeRoleNotSupported } else { problem });
        }
        Err(problem) => return Err(problem),
    };
    let mut issuer = None;
    if let Some(identity) = &identity {
        let token = read_token(&identity.token_file).await?;
        issuer = TokenIdentity::parse(&token).and_then(|token| token.issuer);
    }
    let region = region::discover(env).await?;
    let config = match identity {
        Some(identity) => {
            let endpoint = env.endpoint_of(Service::Sts);
            let provider = WebIdentityProvider::new(identity, &region, endpoint);
            SdkConfig::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new(region.clone()))
                .credentials_provider(SharedCredentialsProvider::new(provider))
                .build()
        }
        None => default_chain(&region).await,
    };
    // The list is about EKS; elsewhere it says nothing.
    let on_eks = allow == AllowCredentials::WebIdentity;
    let warning = on_eks.then(|| region::check(&region).err()).flatten();
    Ok(Connection { config, environment: env.clone(), region, warning, issuer })
}

impl Connection {
    /// A client for `MeterUsage`.
    pub fn metering(&self) -> SdkMetering {
        let mut config = aws_sdk_marketplacemetering::config::Builder::from(&self.config);
        config.set_endpoint_url(self.endpoint_of(Service::MarketplaceMetering));
        SdkMetering::new(config, self.region.clone(), self.warning.clone())
    }

    /// A client for the event history of CloudTrail.
    pub fn trail(&self) -> SdkTrail {
        let mut config = aws_sdk_cloudtrail::config::Builder::from(&self.config);
        config.set_endpoint_url(self.endpoint_of(Service::CloudTrail));
        SdkTrail::new(config, self.issuer.clone())
    }

    fn endpoint_of(&self, service: Service) -> Option<String> {
        self.environment.endpoint_of(service).map(str::to_owned)
    }
}

/// Whatever the SDK finds: environment, profile, container, instance metadata. It reads the process's environment by itself.
async fn default_chain(region: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .retry_config(RetryConfig::disabled())
        .load()
        .await
}
