//! Which credentials this process has, and whether it may meter with them.
//!
//! AWS takes container metering from EKS only with IAM roles for service accounts (IRSA); EKS Pod Identity, the node's role and
//! long-term keys are not supported (API reference of `MeterUsage`). The SDK's default chain falls through to all of them in
//! silence, so here the kind is decided first and said aloud.

use std::path::PathBuf;

use crate::{environment::AwsEnvironment, region::EKS_METERING_REGIONS};

/// Which credentials the caller accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AllowCredentials {
    /// Only a web identity (IRSA): all that AWS supports for metering from EKS.
    WebIdentity,
    /// A web identity where there is one, else whatever the SDK's default chain finds: for development and for sellers' accounts.
    Any,
}

/// Where the SDK would get credentials from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CredentialKind {
    /// A projected ServiceAccount token and a role: IRSA.
    WebIdentity,
    /// `AWS_ACCESS_KEY_ID`.
    StaticKeys,
    /// A credentials endpoint beside the container: EKS Pod Identity, or ECS.
    PodIdentity,
    /// Nothing in the environment; at most the node's role through the instance metadata.
    NodeRoleOrNone,
}

impl CredentialKind {
    /// Decided by what is set. A complete web identity wins over everything else; half of one counts for nothing.
    pub fn of(env: &AwsEnvironment) -> Self {
        match env {
            AwsEnvironment { web_identity_token_file: Some(_), role_arn: Some(_), .. } => Self::WebIdentity,
            AwsEnvironment { access_key_present: true, .. } => Self::StaticKeys,
            AwsEnvironment { container_credentials_present: true, .. } => Self::PodIdentity,
            _ => Self::NodeRoleOrNone,
        }
    }

    /// As it is called in AWS's documentation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebIdentity => "IAM role for the service account (IRSA)",
            Self::StaticKeys => "access keys from the environment",
            Self::PodIdentity => "EKS Pod Identity",
            Self::NodeRoleOrNone => "the node's role, or none",
        }
    }
}

/// Why this process cannot meter, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CredentialProblem {
    /// EKS Pod Identity, or an ECS task role.
    #[error(
        "AWS Marketplace takes no metering from EKS Pod Identity; {REMEDY}, and remove its Pod Identity association"
    )]
    PodIdentityNotSupported,
    /// Long-term keys.
    #[error(
        "AWS Marketplace takes no metering with access keys; {REMEDY}, and remove AWS_ACCESS_KEY_ID from it"
    )]
    StaticKeysNotSupported,
    /// The instance metadata offers a role, and nothing else does.
    #[error("AWS Marketplace takes no metering with the role of the node; {REMEDY}")]
    NodeRoleNotSupported,
    /// No web identity, or half of one.
    #[error("the pod has no IAM role of its own: {missing} is not set; {REMEDY}")]
    WebIdentityMissing {
        /// The variables that are not set.
        missing: &'static str,
    },
    /// The token's file cannot be used.
    #[error("the web identity token {} {cause}; check the projected volume of the pod and restart it", path.display())]
    TokenUnreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as the end of a sentence.
        cause: String,
    },
    /// STS would refuse every exchange.
    #[error(
        "AWS_ROLE_SESSION_NAME is not 2 to 64 characters of [A-Za-z0-9_+=,.@-]; correct it or leave it out"
    )]
    SessionNameInvalid,
    /// No region, and none may be guessed: AWS takes metering only in the region of the pod.
    #[error(
        "the AWS region is unknown: AWS_REGION is not set and the instance metadata did not answer; set AWS_REGION to the cluster's region"
    )]
    RegionUnknown,
    /// AWS does not offer custom metering for EKS there.
    #[error(
        "AWS Marketplace is not known to take metering from EKS in {region}, only in {}",
        EKS_METERING_REGIONS.join(", ")
    )]
    RegionNotSupported {
        /// Where this process runs.
        region: String,
    },
}

/// Changing the annotation is not enough: the webhook hands out the role only when a pod is made.
const REMEDY: &str = "annotate its ServiceAccount with eks.amazonaws.com/role-arn and restart the pod";

impl CredentialProblem {
    /// The name of the problem, for conditions and metrics: one of a fixed set, PascalCase.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::PodIdentityNotSupported => "PodIdentityNotSupported",
            Self::StaticKeysNotSupported => "StaticKeysNotSupported",
            Self::NodeRoleNotSupported => "NodeRoleNotSupported",
            Self::WebIdentityMissing { .. } => "WebIdentityMissing",
            Self::TokenUnreadable { .. } => "TokenUnreadable",
            Self::SessionNameInvalid => "SessionNameInvalid",
            Self::RegionUnknown => "RegionUnknown",
            Self::RegionNotSupported { .. } => "RegionNotSupported",
        }
    }
}

/// How the session is called where nobody says: what CloudTrail shows.
const SESSION_NAME: &str = "tollkeeper";

/// A complete web identity. Holds no secret: the token stays in its file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebIdentity {
    /// Where the token is.
    pub token_file: PathBuf,
    /// The role it is exchanged for.
    pub role_arn: String,
    /// 2 to 64 characters of `[\w+=,.@-]` (API model of STS).
    pub session_name: String,
}

impl WebIdentity {
    /// The environment's web identity, or why other credentials will not do.
    pub fn of(env: &AwsEnvironment) -> Result<Self, CredentialProblem> {
        let missing = match (&env.web_identity_token_file, &env.role_arn) {
            (Some(token_file), Some(role_arn)) => {
                return Self::new(env, token_file.clone(), role_arn.clone());
            }
            (None, Some(_)) => "AWS_WEB_IDENTITY_TOKEN_FILE",
            (Some(_), None) => "AWS_ROLE_ARN",
            (None, None) => "AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE",
        };
        Err(match CredentialKind::of(env) {
            CredentialKind::StaticKeys => CredentialProblem::StaticKeysNotSupported,
            CredentialKind::PodIdentity => CredentialProblem::PodIdentityNotSupported,
            CredentialKind::WebIdentity | CredentialKind::NodeRoleOrNone => {
                CredentialProblem::WebIdentityMissing { missing }
            }
        })
    }

    fn new(env: &AwsEnvironment, token_file: PathBuf, role_arn: String) -> Result<Self, CredentialProblem> {
        let session_name = env.role_session_name.clone().unwrap_or_else(|| SESSION_NAME.to_owned());
        if !is_session_name(&session_name) {
            return Err(CredentialProblem::SessionNameInvalid);
        }
        Ok(Self { token_file, role_arn, session_name })
    }
}

fn is_session_name(name: &str) -> bool {
    (2..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
