//! Where this process runs. Found, never configured: AWS refuses metering that comes from another region than the pod's.

use std::time::Duration;

use aws_config::imds;

use crate::{credentials::CredentialProblem, environment::AwsEnvironment};

/// Where AWS Marketplace takes custom metering from EKS: the list of 17 in the API reference of the AWS Marketplace Metering
/// Service, as the SDK's documentation of 1.124.0 has it. AWS may add to it, so a region outside is a warning, not a refusal.
pub const EKS_METERING_REGIONS: [&str; 17] = [
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "eu-central-1",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "ap-east-1",
    "ap-southeast-1",
    "ap-northeast-1",
    "ap-southeast-2",
    "ap-northeast-2",
    "ap-south-1",
    "ca-central-1",
    "sa-east-1",
];

/// The instance metadata is one hop away or, with the hop limit that EKS recommends, not there at all: waiting longer only delays
/// the start.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// Whether AWS is known to take metering from EKS in this region.
///
/// # Errors
/// [`CredentialProblem::RegionNotSupported`].
pub fn check(region: &str) -> Result<(), CredentialProblem> {
    if EKS_METERING_REGIONS.contains(&region) {
        Ok(())
    } else {
        Err(CredentialProblem::RegionNotSupported { region: region.to_owned() })
    }
}

/// The region of this process: from its environment (IRSA's webhook puts it there), else from the instance metadata.
///
/// # Errors
/// [`CredentialProblem::RegionUnknown`].
pub async fn discover(env: &AwsEnvironment) -> Result<String, CredentialProblem> {
    if let Some(region) = &env.region {
        return Ok(region.clone());
    }
    metadata(env, "/latest/meta-data/placement/region").await.ok_or(CredentialProblem::RegionUnknown)
}

/// Whether the instance metadata offers the role of the node.
pub(crate) async fn node_has_role(env: &AwsEnvironment) -> bool {
    metadata(env, "/latest/meta-data/iam/security-credentials/").await.is_some()
}

async fn metadata(env: &AwsEnvironment, path: &str) -> Option<String> {
    if env.metadata_disabled {
        return None;
    }
    let mut builder = imds::Client::builder()
        .max_attempts(1)
        .connect_timeout(METADATA_TIMEOUT)
        .read_timeout(METADATA_TIMEOUT)
        .operation_timeout(METADATA_TIMEOUT);
    if let Some(endpoint) = &env.metadata_endpoint {
        builder = builder.endpoint(endpoint).ok()?;
    }
    let text: String = builder.build().get(path).await.ok()?.into();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_outside_the_list_is_named_together_with_the_list() {
        assert_eq!(check("eu-west-3"), Ok(()));
        let problem = check("ap-northeast-3").unwrap_err();
        assert_eq!(problem.reason(), "RegionNotSupported");
        assert!(
            problem.to_string().starts_with(
                "AWS Marketplace is not known to take metering from EKS in ap-northeast-3, only in us-east-1,"
            ),
            "{problem}"
        );
    }

    #[tokio::test]
    async fn without_environment_and_metadata_the_region_is_unknown() {
        let env = AwsEnvironment { metadata_disabled: true, ..AwsEnvironment::default() };
        assert_eq!(discover(&env).await, Err(CredentialProblem::RegionUnknown));
        let env = AwsEnvironment { region: Some("eu-west-1".into()), ..env };
        assert_eq!(discover(&env).await.as_deref(), Ok("eu-west-1"));
    }
}
