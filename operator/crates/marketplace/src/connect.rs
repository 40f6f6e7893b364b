//! From the environment to a client that may meter, or to the reason why not.

use aws_config::{BehaviorVersion, Region, retry::RetryConfig};
use aws_sdk_marketplacemetering::{Config, config::Builder};

use crate::{
    credentials::{AllowCredentials, CredentialKind, CredentialProblem, WebIdentity},
    environment::{AwsEnvironment, Service},
    metering::SdkMetering,
    region,
    web_identity::{WebIdentityProvider, read_token},
};

/// A client for `MeterUsage` with the credentials of `env`, in the region where this process runs. Calls no AWS service; asks the
/// instance metadata for at most two seconds, and only where the environment says nothing.
///
/// # Errors
/// Why this process cannot meter: other credentials than `allow` admits, an unreadable token, an unknown region. A region in which
/// AWS is not known to take metering from EKS is no error but [`SdkMetering::warning`].
pub async fn connect(
    env: &AwsEnvironment,
    allow: AllowCredentials,
) -> Result<SdkMetering, CredentialProblem> {
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
    if let Some(identity) = &identity {
        read_token(&identity.token_file).await?;
    }
    let region = region::discover(env).await?;
    let mut config = match identity {
        Some(identity) => {
            let endpoint = env.endpoint_of(Service::Sts);
            Config::builder().credentials_provider(WebIdentityProvider::new(identity, &region, endpoint))
        }
        None => default_chain(&region).await,
    };
    config.set_endpoint_url(env.endpoint_of(Service::MarketplaceMetering).map(str::to_owned));
    let config = config.behavior_version(BehaviorVersion::latest()).region(Region::new(region.clone()));
    // The list is about EKS; elsewhere it says nothing.
    let on_eks = allow == AllowCredentials::WebIdentity;
    let warning = on_eks.then(|| region::check(&region).err()).flatten();
    Ok(SdkMetering::new(config, region, warning))
}

/// Whatever the SDK finds: environment, profile, container, instance metadata. It reads the process's environment by itself.
async fn default_chain(region: &str) -> Builder {
    let chain = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .retry_config(RetryConfig::disabled())
        .load()
        .await;
    Builder::from(&chain)
}
