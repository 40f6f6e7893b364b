//! Names of AWS and Kubernetes that are checked where they enter.

use std::{fmt, str::FromStr};

use crate::dimension::UNITS;

/// Why a name was refused: what it says, what it must look like.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not {rule}")]
pub struct NameRefused {
    text: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(String);

        impl $name {
            /// The checked text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameRefused;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameRefused { text: text.chars().take(80).collect(), rule: $rule })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The product ID at AWS Marketplace, which is the product SKU in License Manager.
    ProductId, "1 to 255 characters of [-a-zA-Z0-9/=:_.@]",
    |text| (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-/=:_.@".contains(&byte))
);

name!(
    /// An AWS account.
    AccountId, "an AWS account: 12 digits",
    |text| is_account(text)
);

name!(
    /// The ARN of a license in License Manager.
    LicenseArn, "the ARN of a license, such as arn:aws:license-manager::294406891311:license:l-0123456789abcdef",
    |text| match parts(text) {
        Some(["license-manager", _, account, rest]) => is_account(account)
            && rest.strip_prefix("license:").is_some_and(|id| (1..=128).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')),
        _ => false,
    }
);

name!(
    /// The ARN of an IAM role.
    RoleArn, "the ARN of an IAM role, such as arn:aws:iam::123456789012:role/vecdb",
    |text| match parts(text) {
        Some(["iam", "", account, rest]) => is_account(account)
            && rest.strip_prefix("role/").is_some_and(|path| (1..=576).contains(&path.len())
                && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@_/-".contains(&byte))),
        _ => false,
    }
);

name!(
    /// The identifier of a buyer from ResolveCustomer, for older products.
    CustomerIdentifier, "1 to 255 characters of [a-zA-Z0-9_-]",
    |text| (1..=255).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
);

name!(
    /// The name of a Kubernetes object.
    ObjectName, "the name of an object: 1 to 253 characters of [a-z0-9.-] that start and end with a letter or digit",
    |text| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        text.len() <= 253
            && text.bytes().next().is_some_and(plain)
            && text.bytes().last().is_some_and(plain)
            && text.bytes().all(|byte| plain(byte) || b".-".contains(&byte))
    }
);

name!(
    /// The name of a namespace.
    Namespace, "the name of a namespace: 1 to 63 characters of [a-z0-9-] that start and end with a letter or digit",
    |text| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        text.len() <= 63
            && text.bytes().next().is_some_and(plain)
            && text.bytes().last().is_some_and(plain)
            && text.bytes().all(|byte| plain(byte) || byte == b'-')
    }
);

name!(
    /// A unit of License Manager.
    LicenseUnit, "a unit of License Manager, such as Count, None or Gigabytes",
    |text| UNITS.contains(&text)
);

impl LicenseUnit {
    /// The unit of a tier.
    pub fn none() -> Self {
        Self("None".to_owned())
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Service, region, account and resource of an ARN of AWS.
fn parts(arn: &str) -> Option<[&str; 4]> {
    let mut parts = arn.splitn(6, ':');
    let (scheme, partition) = (parts.next()?, parts.next()?);
    let partition_fits = partition
        .strip_prefix("aws")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
    (scheme == "arn" && partition_fits).then_some([
        parts.next()?,
        parts.next()?,
        parts.next()?,
        parts.next()?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_arn_of_a_role_is_one() {
        assert!("arn:aws:iam::123456789012:role/vecdb".parse::<RoleArn>().is_ok());
        assert!("arn:aws-us-gov:iam::123456789012:role/path/to/vecdb".parse::<RoleArn>().is_ok());
        for text in [
            "",
            "vecdb",
            "arn:aws:iam::12345678901:role/vecdb",
            "arn:aws:iam::123456789012:user/vecdb",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a b",
            "arn:other:iam::123456789012:role/vecdb",
        ] {
            let error = text.parse::<RoleArn>().unwrap_err().to_string();
            assert!(error.contains("the ARN of an IAM role"), "{text}");
        }
    }

    #[test]
    fn only_the_arn_of_a_license_is_one() {
        assert!("arn:aws:license-manager::294406891311:license:l-0123abcd".parse::<LicenseArn>().is_ok());
        assert!("arn:aws:license-manager:us-east-1:294406891311:license:l-1".parse::<LicenseArn>().is_ok());
        assert!("arn:aws:license-manager::294406891311:grant:g-1".parse::<LicenseArn>().is_err());
        assert!("l-0123abcd".parse::<LicenseArn>().is_err());
    }

    #[test]
    fn names_of_objects_and_namespaces_are_those_of_kubernetes() {
        assert!("vecdb.prod-1".parse::<ObjectName>().is_ok());
        assert!("vecdb.prod-1".parse::<Namespace>().is_err());
        assert!("vecdb-prod-1".parse::<Namespace>().is_ok());
        for text in ["", "-a", "a-", "A", "a_b"] {
            assert!(text.parse::<ObjectName>().is_err(), "{text}");
            assert!(text.parse::<Namespace>().is_err(), "{text}");
        }
    }
}
