//! What must be proven of an artifact before its component is taken.

use tollkeeper_core::{
    artifact::{ArtifactRequest, PullFailure},
    signer::{Signer, SignerIdentity},
};

use crate::{
    pull::Found,
    signature::{identity::Roots, key::PublicKey},
};

/// What a request asks for, in a form that can be verified.
pub(crate) enum Proof {
    /// The digest is enough.
    Nothing,
    /// A signature by this key.
    Key(PublicKey),
    /// A signature by this identity, proven by these roots.
    Identity(SignerIdentity, Roots),
}

impl Proof {
    /// Fails, before anything is asked for, if nobody could prove it.
    pub(crate) fn of(request: &ArtifactRequest, roots: Option<&Roots>) -> Result<Self, PullFailure> {
        match (&request.signer, roots) {
            (None, _) => Ok(Self::Nothing),
            (Some(Signer::Key(pem)), _) => PublicKey::from_pem(pem).map(Self::Key).map_err(|error| {
                PullFailure::InvalidKey(format!("spec.meter.plugin.publicKeyPem cannot be used: {error}"))
            }),
            (Some(Signer::Identity(identity)), Some(roots)) => {
                Ok(Self::Identity(identity.clone(), roots.clone()))
            }
            (Some(Signer::Identity(_)), None) => Err(PullFailure::KeylessNotSupported(
                "spec.meter.plugin.identity asks for a keyless signature, and this operator was built without what verifies it; use one that was built with the feature `keyless`, or a key (publicKeyPem)"
                    .to_owned(),
            )),
        }
    }

    /// Fails unless it is proven.
    pub(crate) async fn verify(&self, found: &Found) -> Result<(), PullFailure> {
        match self {
            Self::Nothing => Ok(()),
            Self::Key(key) => found.verify(key).await.map(drop),
            Self::Identity(identity, roots) => found.verify_identity(identity, roots).await.map(drop),
        }
    }

    /// Tells proofs apart. None of the parts holds a line break.
    pub(crate) fn mark(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Key(key) => format!("key\n{}", key.hint()),
            Self::Identity(identity, roots) => {
                format!("identity\n{}\n{}\n{}", identity.issuer(), identity.subject(), roots.digest)
            }
        }
    }
}
