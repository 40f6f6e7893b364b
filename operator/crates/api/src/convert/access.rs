//! How a binding's pods reach AWS, checked.

use super::names::{LicenseArn, NameRefused, ObjectName, RoleArn};
use crate::access::{AccessSpec, LicenseTokenSpec};

/// How pods reach AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// By the IAM role of their service account.
    Irsa {
        /// The role.
        role_arn: RoleArn,
        /// The service account, in the binding's namespace.
        service_account: ObjectName,
    },
    /// By a license token.
    LicenseToken(LicenseToken),
}

/// Access by a license token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenseToken {
    /// The role that the token is exchanged for.
    pub role_arn: RoleArn,
    /// The Secret to provision, in the binding's namespace.
    pub secret: ObjectName,
    /// Where the token comes from.
    pub origin: TokenOrigin,
    /// The service account to provision, in the binding's namespace.
    pub service_account: Option<ObjectName>,
}

/// Where a license token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenOrigin {
    /// The buyer put it into a Secret.
    Secret {
        /// The Secret, in the binding's namespace.
        name: ObjectName,
        /// The key of its data.
        key: String,
    },
    /// It is asked for at License Manager.
    Created {
        /// The license that it is for.
        license_arn: LicenseArn,
    },
}

/// Why an access was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidAccess {
    /// Not exactly one way.
    #[error("spec.access names {0} ways; name exactly one of irsa and licenseToken")]
    Ways(usize),
    /// Not exactly one origin of the token.
    #[error(
        "spec.access.licenseToken names {0} origins of the token; name exactly one of tokenSecretRef and createToken"
    )]
    Origins(usize),
    /// A field is not usable.
    #[error("spec.access.{field}: {problem}; correct it")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: NameRefused,
    },
    /// A key is empty.
    #[error("spec.access.licenseToken.tokenSecretRef.key is empty; name the key that holds the token")]
    Key,
}

impl InvalidAccess {
    /// The reason that conditions, events and metrics show.
    pub const fn reason(&self) -> &'static str {
        "InvalidAccess"
    }
}

impl TryFrom<&AccessSpec> for Access {
    type Error = InvalidAccess;

    fn try_from(spec: &AccessSpec) -> Result<Self, Self::Error> {
        match (&spec.irsa, &spec.license_token) {
            (Some(irsa), None) => Ok(Self::Irsa {
                role_arn: checked("irsa.roleArn", &irsa.role_arn)?,
                service_account: checked("irsa.serviceAccountName", &irsa.service_account_name)?,
            }),
            (None, Some(token)) => license_token(token).map(Self::LicenseToken),
            (None, None) => Err(InvalidAccess::Ways(0)),
            (Some(_), Some(_)) => Err(InvalidAccess::Ways(2)),
        }
    }
}

fn license_token(spec: &LicenseTokenSpec) -> Result<LicenseToken, InvalidAccess> {
    let origin = match (&spec.token_secret_ref, &spec.create_token) {
        (Some(reference), None) if reference.key.is_empty() => return Err(InvalidAccess::Key),
        (Some(reference), None) => TokenOrigin::Secret {
            name: checked("licenseToken.tokenSecretRef.name", &reference.name)?,
            key: reference.key.clone(),
        },
        (None, Some(create)) => TokenOrigin::Created {
            license_arn: checked("licenseToken.createToken.licenseArn", &create.license_arn)?,
        },
        (None, None) => return Err(InvalidAccess::Origins(0)),
        (Some(_), Some(_)) => return Err(InvalidAccess::Origins(2)),
    };
    Ok(LicenseToken {
        role_arn: checked("licenseToken.roleArn", &spec.role_arn)?,
        secret: checked("licenseToken.secretName", &spec.secret_name)?,
        origin,
        service_account: spec
            .service_account_name
            .as_deref()
            .map(|name| checked("licenseToken.serviceAccountName", name))
            .transpose()?,
    })
}

fn checked<T: std::str::FromStr<Err = NameRefused>>(
    field: &'static str,
    text: &str,
) -> Result<T, InvalidAccess> {
    text.parse().map_err(|problem| InvalidAccess::Field { field, problem })
}
