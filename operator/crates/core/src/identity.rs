//! Names that are checked once, where they enter: product codes, dimensions, digests, client tokens.
//!
//! They never change, so that copies of a report share them.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Why a name was refused: what it is, what it says, what it must look like.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{kind} `{text}` is not {rule}")]
pub struct InvalidName {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The checked text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidName { kind: $kind, text: text.chars().take(80).collect(), rule: $rule })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// The code under which AWS Marketplace bills a product (API model: `ProductCode`).
    ProductCode, "the product code", "1 to 255 characters of [-a-zA-Z0-9/=:_.@]",
    |text| (1..=255).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-/=:_.@".contains(&byte))
);

name!(
    /// The API name of a usage dimension (API model: `UsageDimension` is 1 to 255 characters).
    DimensionName, "the dimension", "1 to 255 characters of [a-zA-Z0-9_-] that start with a letter",
    |text| (1..=255).contains(&text.len())
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
);

name!(
    /// A SHA-256 digest, written `sha256:` and 64 lower-case hexadecimal digits.
    Digest, "the digest", "`sha256:` and 64 lower-case hexadecimal digits",
    |text| text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
);

name!(
    /// The idempotency token of one request (API model: `ClientToken` is 1 to 64 characters).
    ClientToken, "the client token", "1 to 64 printable ASCII characters",
    |text| (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_sha256(Sha256::new().chain_update(bytes))
    }

    /// The digest of everything that was fed to a hasher.
    pub fn from_sha256(hasher: Sha256) -> Self {
        Self(format!("sha256:{}", hex::encode(hasher.finalize())).into())
    }
}

impl ClientToken {
    /// The token of what `slot` names: the same in every process, for ever.
    pub fn of(slot: &str) -> Self {
        let name = format!("tollkeeper.dev/slot\n{slot}");
        Self(Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()).to_string().into())
    }
}

/// A namespaced Kubernetes object, named.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ObjectKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name inside the namespace.
    pub name: String,
}

impl ObjectKey {
    /// Of a namespace and a name that the API server has accepted.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_name_says_what_it_must_look_like() {
        let error = "no spaces".parse::<ProductCode>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the product code `no spaces` is not 1 to 255 characters of [-a-zA-Z0-9/=:_.@]"
        );
    }

    #[test]
    fn a_digest_is_that_of_the_bytes() {
        let digest = Digest::of(b"");
        assert_eq!(
            digest.as_str(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert!("sha256:E3B0".parse::<Digest>().is_err());
    }
}
