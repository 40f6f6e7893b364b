//! What a process's environment says about AWS, as plain data: read once by the wiring, decided upon here.

use std::{collections::BTreeMap, path::PathBuf};

/// The standard AWS variables that Tollkeeper heeds. Presence is enough where a value would be a secret.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AwsEnvironment {
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`: where the kubelet keeps the ServiceAccount's projected token.
    pub web_identity_token_file: Option<PathBuf>,
    /// `AWS_ROLE_ARN`: the role that the token is exchanged for.
    pub role_arn: Option<String>,
    /// `AWS_ROLE_SESSION_NAME`: how the session is called in CloudTrail.
    pub role_session_name: Option<String>,
    /// Whether `AWS_ACCESS_KEY_ID` is set.
    pub access_key_present: bool,
    /// Whether `AWS_CONTAINER_CREDENTIALS_FULL_URI` or `…_RELATIVE_URI` is set: EKS Pod Identity, or ECS.
    pub container_credentials_present: bool,
    /// `AWS_REGION`, else `AWS_DEFAULT_REGION`.
    pub region: Option<String>,
    /// `AWS_ENDPOINT_URL`: where every service is, instead of at AWS.
    pub endpoint_url: Option<String>,
    /// `AWS_ENDPOINT_URL_<SERVICE>`, by `<SERVICE>` in capitals, such as `STS` or `MARKETPLACE_METERING`; stronger than `endpoint_url`.
    pub service_endpoint_urls: BTreeMap<String, String>,
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT`: where the instance metadata is, instead of at its usual address.
    pub metadata_endpoint: Option<String>,
    /// `AWS_EC2_METADATA_DISABLED`: nobody is to ask the instance metadata.
    pub metadata_disabled: bool,
}

impl AwsEnvironment {
    /// From names and values of variables, as [`std::env::vars`] gives them. A variable that is set to nothing counts as unset.
    pub fn from_vars(vars: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut env = Self::default();
        let mut default_region = None;
        let mut ignore_endpoints = false;
        for (name, value) in vars.into_iter().filter(|(_, value)| !value.is_empty()) {
            match name.as_str() {
                "AWS_WEB_IDENTITY_TOKEN_FILE" => env.web_identity_token_file = Some(value.into()),
                "AWS_ROLE_ARN" => env.role_arn = Some(value),
                "AWS_ROLE_SESSION_NAME" => env.role_session_name = Some(value),
                "AWS_ACCESS_KEY_ID" => env.access_key_present = true,
                "AWS_CONTAINER_CREDENTIALS_FULL_URI" | "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" => {
                    env.container_credentials_present = true;
                }
                "AWS_REGION" => env.region = Some(value),
                "AWS_DEFAULT_REGION" => default_region = Some(value),
                "AWS_ENDPOINT_URL" => env.endpoint_url = Some(value),
                "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" => {
                    ignore_endpoints = value.eq_ignore_ascii_case("true");
                }
                "AWS_EC2_METADATA_SERVICE_ENDPOINT" => env.metadata_endpoint = Some(value),
                "AWS_EC2_METADATA_DISABLED" => env.metadata_disabled = value.eq_ignore_ascii_case("true"),
                _ => {
                    if let Some(service) = name.strip_prefix("AWS_ENDPOINT_URL_") {
                        env.service_endpoint_urls.insert(service.to_owned(), value);
                    }
                }
            }
        }
        if ignore_endpoints {
            env.endpoint_url = None;
            env.service_endpoint_urls.clear();
        }
        env.region = env.region.or(default_region);
        env
    }

    /// Where a service is, if not at AWS.
    pub fn endpoint_of(&self, service: Service) -> Option<&str> {
        self.service_endpoint_urls.get(service.name()).or(self.endpoint_url.as_ref()).map(String::as_str)
    }
}

/// The AWS services that Tollkeeper calls from a buyer's cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// AWS Marketplace Metering.
    MarketplaceMetering,
    /// AWS CloudTrail.
    CloudTrail,
    /// AWS License Manager.
    LicenseManager,
    /// The Security Token Service.
    Sts,
}

impl Service {
    /// The service's part of `AWS_ENDPOINT_URL_<SERVICE>`: its id in the SDKs, in capitals, with `_` for spaces (AWS SDKs and Tools
    /// reference, service-specific endpoints).
    pub const fn name(self) -> &'static str {
        match self {
            Self::MarketplaceMetering => "MARKETPLACE_METERING",
            Self::CloudTrail => "CLOUDTRAIL",
            Self::LicenseManager => "LICENSE_MANAGER",
            Self::Sts => "STS",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(vars: &[(&str, &str)]) -> AwsEnvironment {
        AwsEnvironment::from_vars(vars.iter().map(|(name, value)| (name.to_string(), value.to_string())))
    }

    #[test]
    fn what_irsa_puts_into_a_pod_is_understood() {
        let env = env(&[
            ("AWS_REGION", "eu-west-1"),
            ("AWS_DEFAULT_REGION", "eu-west-2"),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/meter"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"),
            ("AWS_STS_REGIONAL_ENDPOINTS", "regional"),
        ]);
        assert_eq!(env.region.as_deref(), Some("eu-west-1"));
        assert_eq!(env.role_arn.as_deref(), Some("arn:aws:iam::123456789012:role/meter"));
        assert!(env.web_identity_token_file.is_some_and(|path| path.ends_with("serviceaccount/token")));
        assert!(!env.access_key_present && !env.container_credentials_present);
    }

    #[test]
    fn a_secret_is_noticed_and_not_kept() {
        let env = env(&[("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "hush")]);
        assert!(env.access_key_present);
        let text = format!("{env:?}");
        assert!(!text.contains("AKIAEXAMPLE") && !text.contains("hush"));
    }

    #[test]
    fn an_empty_variable_is_an_unset_one() {
        assert_eq!(
            env(&[("AWS_ROLE_ARN", ""), ("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "us-east-1")]),
            AwsEnvironment { region: Some("us-east-1".into()), ..AwsEnvironment::default() }
        );
    }

    #[test]
    fn a_services_own_endpoint_is_stronger_than_that_of_all() {
        let vars = [("AWS_ENDPOINT_URL", "http://all"), ("AWS_ENDPOINT_URL_STS", "http://sts")];
        assert_eq!(env(&vars).endpoint_of(Service::Sts), Some("http://sts"));
        assert_eq!(env(&vars).endpoint_of(Service::MarketplaceMetering), Some("http://all"));
        let ignored = env(&[vars[0], vars[1], ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")]);
        assert_eq!(ignored.endpoint_of(Service::Sts), None);
    }
}
