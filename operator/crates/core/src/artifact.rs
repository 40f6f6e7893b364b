//! The seam to registries: a plugin that lies in one, as a product names it.

use std::fmt;

use async_trait::async_trait;

use crate::{identity::Digest, signer::Signer};

/// A plugin in a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ArtifactRequest {
    /// Where it is: `host[:port]/repository[:tag][@sha256:…]`.
    pub reference: String,
    /// The digest of the component; other bytes are refused, whatever the tag says.
    pub digest: Digest,
    /// The largest component in bytes that the product allows.
    pub max_component: u64,
    /// Who must have signed the artifact; nobody, if the digest alone says that it is the right one.
    pub signer: Option<Signer>,
    /// Credentials, in the order in which they are tried.
    pub pull_secrets: Vec<PullSecret>,
}

/// Credentials of registries, as Docker's configuration file has them.
#[derive(Clone, PartialEq, Eq)]
pub struct PullSecret {
    /// The name of the Secret, for messages.
    pub name: String,
    /// A `config.json`, or the older `.dockercfg`.
    pub docker_config: Vec<u8>,
}

impl fmt::Debug for PullSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullSecret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why a plugin was not taken from a registry. Each text says what was found, where, and what to do.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum PullFailure {
    /// The reference is not one.
    #[error("{0}")]
    InvalidReference(String),
    /// A pull secret does not hold what one should.
    #[error("the pull secret {secret} cannot be used: {problem}")]
    InvalidSecret {
        /// Its name.
        secret: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The registry wants other credentials, or any.
    #[error("{0}")]
    Unauthorized(String),
    /// No such repository, tag or manifest.
    #[error("{0}")]
    NotFound(String),
    /// More bytes than the plugin, its manifest or its signature may have.
    #[error("{0}")]
    TooLarge(String),
    /// Something else than a plugin.
    #[error("{0}")]
    WrongMediaType(String),
    /// A manifest or an answer that makes no sense.
    #[error("{0}")]
    InvalidArtifact(String),
    /// The registry will not answer such a request.
    #[error("{0}")]
    Refused(String),
    /// The tag names another component than the product.
    #[error("{0}")]
    TagMoved(String),
    /// The pinned manifest names another component than the product, or is not what was pinned.
    #[error("{0}")]
    DigestMismatch(String),
    /// The registry serves other bytes for the layer than the manifest names, or more of them.
    #[error("{0}")]
    LayerSwapped(String),
    /// The key that must have signed is no public key.
    #[error("{0}")]
    InvalidKey(String),
    /// Nobody has signed it.
    #[error("{0}")]
    SignatureMissing(String),
    /// There is the shell of a signature and no signature in it.
    #[error("{0}")]
    SignatureStripped(String),
    /// It is signed, but not by this key; or nothing that is trusted proves who has signed it.
    #[error("{0}")]
    SignatureInvalid(String),
    /// The key or the identity has signed something else.
    #[error("{0}")]
    SignatureMismatch(String),
    /// It is provably signed, by another identity: another issuer, or another subject.
    #[error("{0}")]
    SignerMismatch(String),
    /// An identity must have signed it, and this program was built without what verifies that.
    #[error("{0}")]
    KeylessNotSupported(String),
    /// The registry's certificate is not trusted.
    #[error("{0}")]
    Untrusted(String),
    /// No answer, or one that says to come back.
    #[error("{0}")]
    Unavailable(String),
}

impl PullFailure {
    /// The reason that conditions, events, metrics and log lines share.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::InvalidReference(_) => "InvalidReference",
            Self::InvalidSecret { .. } => "PullSecretInvalid",
            Self::Unauthorized(_) => "PullUnauthorized",
            Self::NotFound(_) => "PullNotFound",
            Self::TooLarge(_) => "PullTooLarge",
            Self::WrongMediaType(_) => "WrongMediaType",
            Self::InvalidArtifact(_) => "InvalidArtifact",
            Self::Refused(_) => "PullRefused",
            Self::TagMoved(_) => "TagMoved",
            Self::DigestMismatch(_) => "DigestMismatch",
            Self::LayerSwapped(_) => "LayerSwapped",
            Self::InvalidKey(_) => "InvalidPluginKey",
            Self::SignatureMissing(_) => "SignatureMissing",
            Self::SignatureStripped(_) => "SignatureStripped",
            Self::SignatureInvalid(_) => "SignatureInvalid",
            Self::SignatureMismatch(_) => "SignatureMismatch",
            Self::SignerMismatch(_) => "SignerMismatch",
            Self::KeylessNotSupported(_) => "KeylessNotSupported",
            Self::Untrusted(_) => "RegistryUntrusted",
            Self::Unavailable(_) => "RegistryUnavailable",
        }
    }
}

/// Takes plugins from registries.
#[async_trait]
pub trait Artifacts: Send + Sync {
    /// The bytes of a component: complete, of the digest that was asked for, and signed if that was asked for.
    async fn component(&self, request: &ArtifactRequest) -> Result<Vec<u8>, PullFailure>;
}
