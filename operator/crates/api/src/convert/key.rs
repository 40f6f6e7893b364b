//! The key of an object. The API server vouches for the names of its own objects; those of files are checked here.

use kube::core::ObjectMeta;
use tollkeeper_core::identity::ObjectKey;

use super::names::{NameRefused, Namespace, ObjectName};

/// Why an object cannot be told from others.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidKey {
    /// It has no name.
    #[error("metadata.name is missing; name the object")]
    Unnamed,
    /// Its name is not one.
    #[error("metadata.name: {0}; rename the object")]
    Name(NameRefused),
    /// Its namespace is not one.
    #[error("metadata.namespace: {0}; correct it")]
    Namespace(NameRefused),
}

impl InvalidKey {
    /// The reason that conditions, events and metrics show.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unnamed => "NameMissing",
            Self::Name(_) | Self::Namespace(_) => "InvalidName",
        }
    }
}

/// The key of an object. One without a namespace is meant for `default`, as with kubectl.
pub(crate) fn key_of(metadata: &ObjectMeta) -> Result<ObjectKey, InvalidKey> {
    let name = metadata.name.as_deref().filter(|name| !name.is_empty()).ok_or(InvalidKey::Unnamed)?;
    let namespace = metadata.namespace.as_deref().unwrap_or("default");
    let name: ObjectName = name.parse().map_err(InvalidKey::Name)?;
    let namespace: Namespace = namespace.parse().map_err(InvalidKey::Namespace)?;
    Ok(ObjectKey::new(namespace.as_str(), name.as_str()))
}
