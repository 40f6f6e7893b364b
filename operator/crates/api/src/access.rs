//! How the pods of a binding's workload reach AWS.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{schema, shared::KeyRef};

/// How pods reach AWS.
#[derive(KubeSchema, Serialize, Deserialize, Clone, PartialEq, Eq, Default, Debug)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.irsa) != has(self.licenseToken)").message("access needs exactly one of irsa and licenseToken"))]
pub struct AccessSpec {
    /// IAM role of a service account, on EKS: the annotated service account is provisioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irsa: Option<IrsaSpec>,
    /// A license token, on EKS Anywhere and on clusters outside of AWS: the Secret that the product reads is provisioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license_token: Option<LicenseTokenSpec>,
}

/// IAM role of a service account.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct IrsaSpec {
    /// ARN of the IAM role, such as arn:aws:iam::123456789012:role/vecdb. Required.
    #[schemars(regex(pattern = schema::ROLE_ARN), length(max = 640))]
    pub role_arn: String,
    /// Name of the service account, in the binding's namespace. Required.
    #[schemars(regex(pattern = schema::OBJECT_NAME), length(min = 1, max = 253))]
    pub service_account_name: String,
}

/// A license token.
#[derive(KubeSchema, Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.tokenSecretRef) != has(self.createToken)").message("licenseToken needs exactly one of tokenSecretRef and createToken"))]
pub struct LicenseTokenSpec {
    /// ARN of the IAM role that the token is exchanged for. Required.
    #[schemars(regex(pattern = schema::ROLE_ARN), length(max = 640))]
    pub role_arn: String,
    /// Name of the Secret to provision, in the binding's namespace; its keys are license_token and iam_role. Default:
    /// aws-marketplace-license-config.
    #[serde(default = "secret_name")]
    #[schemars(regex(pattern = schema::OBJECT_NAME), length(min = 1, max = 253))]
    pub secret_name: String,
    /// Where the buyer put the token that AWS Marketplace gave them. Exactly one of this and `createToken`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<KeyRef>,
    /// Tollkeeper asks License Manager for a token and renews it before it expires. Exactly one of this and
    /// `tokenSecretRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_token: Option<CreateTokenSpec>,
    /// Name of the service account of the workload, in the binding's namespace, which is provisioned if it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = schema::OBJECT_NAME), length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
}

fn secret_name() -> String {
    "aws-marketplace-license-config".to_owned()
}

/// A token to ask License Manager for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub struct CreateTokenSpec {
    /// ARN of the license that the token is for. Required.
    #[schemars(regex(pattern = schema::LICENSE_ARN), length(max = 255))]
    pub license_arn: String,
}
