//! The objects that are provisioned for a binding: how they should be, how they are, and whose they are.
//!
//! Only an object that belongs to the binding, or to nobody and is labelled as Tollkeeper's, is ever written.

use std::{collections::BTreeMap, fmt, str::FromStr};

use k8s_openapi::{
    api::core::v1::{Secret, ServiceAccount},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use tollkeeper_api::{FIELD_MANAGER, MANAGED_BY_LABEL};

/// Annotation of a service account by which EKS gives its pods a role.
pub const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";

/// Keys of the Secret that products read, as AWS Marketplace documents them.
pub const TOKEN_KEY: &str = "license_token";
/// The role that the token is exchanged for.
pub const ROLE_KEY: &str = "iam_role";

/// Kinds that are provisioned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[allow(missing_docs)] // The names are those of Kubernetes.
pub enum Kind {
    ServiceAccount,
    Secret,
}

/// A provisioned object in the binding's namespace.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ObjectId {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// Bytes that nobody gets to see.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub Vec<u8>);

/// What of an object is ours to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// Of a service account.
    ServiceAccount {
        /// The role of its pods.
        role_arn: Option<String>,
    },
    /// Of a Secret.
    Secret {
        /// Whether its type is Opaque.
        is_opaque: bool,
        /// All of its data.
        data: BTreeMap<String, Hidden>,
    },
}

/// An object as it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    /// Tells it from one of the same name before or after it.
    pub uid: String,
    /// What a write must name to be sure that nobody wrote in between.
    pub version: String,
    /// Whether it is being deleted.
    pub is_terminating: bool,
    /// Whether it is labelled as Tollkeeper's.
    pub is_labelled: bool,
    /// Who owns it.
    pub owners: Vec<OwnerReference>,
    /// The rest.
    pub content: Content,
}

/// What became of looking for an object.
#[derive(Clone, PartialEq, Debug)]
pub enum Reading {
    /// There is none.
    Absent,
    /// There it is.
    Found(Found),
    /// The operator has no right to look.
    Forbidden,
}

/// Whose an object is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Title {
    /// The binding's.
    Ours,
    /// Tollkeeper's, and no owner's.
    Free,
    /// Somebody else's.
    Taken,
}

impl Found {
    /// Whose it is, seen from the binding of this UID.
    pub fn title(&self, binding: &str) -> Title {
        let is_ours = self.owners.iter().any(|owner| owner.uid == binding);
        match self.owners.iter().find(|owner| owner.controller == Some(true)) {
            Some(controller) if controller.uid == binding => Title::Ours,
            Some(_) => Title::Taken,
            None if is_ours => Title::Ours,
            None if self.is_labelled => Title::Free,
            None => Title::Taken,
        }
    }

    /// Whether there is nothing to write.
    pub fn is_as_wanted(&self, content: &Content, owner: &OwnerReference) -> bool {
        self.is_labelled && self.owners.contains(owner) && self.content == *content
    }

    fn new(metadata: ObjectMeta, content: Content) -> Self {
        let label = metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY_LABEL));
        Self {
            is_labelled: label.is_some_and(|label| label == FIELD_MANAGER),
            uid: metadata.uid.unwrap_or_default(),
            version: metadata.resource_version.unwrap_or_default(),
            is_terminating: metadata.deletion_timestamp.is_some(),
            owners: metadata.owner_references.unwrap_or_default(),
            content,
        }
    }
}

impl From<ServiceAccount> for Found {
    fn from(object: ServiceAccount) -> Self {
        let annotations = object.metadata.annotations.as_ref();
        let role_arn = annotations.and_then(|annotations| annotations.get(ROLE_ANNOTATION)).cloned();
        Self::new(object.metadata, Content::ServiceAccount { role_arn })
    }
}

impl From<Secret> for Found {
    fn from(object: Secret) -> Self {
        let data = object.data.unwrap_or_default().into_iter().map(|(key, value)| (key, Hidden(value.0)));
        let content =
            Content::Secret { is_opaque: object.type_.as_deref() == Some("Opaque"), data: data.collect() };
        Self::new(object.metadata, content)
    }
}

impl Content {
    /// A Secret with this token.
    pub fn license_token(token: &Hidden, role_arn: &str) -> Self {
        let role = Hidden(role_arn.as_bytes().to_vec());
        let data = [(TOKEN_KEY.to_owned(), token.clone()), (ROLE_KEY.to_owned(), role)];
        Self::Secret { is_opaque: true, data: data.into() }
    }
}

impl ObjectId {
    /// A service account.
    pub fn service_account(name: impl Into<String>) -> Self {
        Self { kind: Kind::ServiceAccount, name: name.into() }
    }

    /// A Secret.
    pub fn secret(name: impl Into<String>) -> Self {
        Self { kind: Kind::Secret, name: name.into() }
    }
}

impl Kind {
    /// As Kubernetes writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::Secret => "Secret",
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}

/// A text that names no object which is provisioned.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not ServiceAccount/<name> or Secret/<name>")]
pub struct NoObjectId;

impl FromStr for ObjectId {
    type Err = NoObjectId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((_, "")) | None => Err(NoObjectId),
            Some(("ServiceAccount", name)) => Ok(Self::service_account(name)),
            Some(("Secret", name)) => Ok(Self::secret(name)),
            Some(_) => Err(NoObjectId),
        }
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_objects_are_read_as_they_are_written() {
        for id in [ObjectId::service_account("a.b-c"), ObjectId::secret("d")] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in ["", "Secret", "Secret/", "Pod/a"] {
            assert!(text.parse::<ObjectId>().is_err(), "{text}");
        }
    }
}
