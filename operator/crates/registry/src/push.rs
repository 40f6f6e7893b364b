//! To a registry: artifacts, and signatures of what is there.

use std::sync::Arc;

use tollkeeper_core::{artifact::PullFailure, identity::Digest};

use crate::{
    artifact::Artifact,
    credentials::{Credentials, Keyring},
    manifest::ARTIFACT_MANIFEST,
    pull::Registries,
    reference::Reference,
    repository::{Access, Repository},
    signature::{self, Layout, key::SigningKey},
    transport::TransportError,
};

/// What a push came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pushed {
    /// The digest of the manifest.
    pub manifest: Digest,
    /// The digest of the component.
    pub component: Digest,
}

impl Registries {
    /// Uploads an artifact: the layers first, the manifest last, so that nobody sees half of it.
    pub async fn push(
        &self,
        reference: &Reference,
        keyring: &Keyring,
        artifact: &Artifact,
    ) -> Result<Pushed, TransportError> {
        let repository = self.open_to_push(reference, keyring).await?;
        repository.push_blob(&artifact.component).await?;
        repository.push_blob(&artifact.config).await?;
        let manifest = artifact.manifest_digest();
        let wanted = reference.tag().unwrap_or(manifest.as_str());
        repository.push_manifest(wanted, ARTIFACT_MANIFEST, artifact.manifest.clone()).await?;
        Ok(Pushed { manifest, component: artifact.component_digest() })
    }

    /// Signs what is at a reference, in each of the layouts; returns the digest of what was signed.
    pub async fn sign(
        &self,
        reference: &Reference,
        keyring: &Keyring,
        key: &SigningKey,
        layouts: &[Layout],
    ) -> Result<Digest, PullFailure> {
        let found = self.find(reference, keyring).await?;
        let repository = self.open_to_push(reference, keyring).await?;
        for layout in layouts {
            signature::sign(&repository, found.subject(), key, *layout).await?;
        }
        Ok(found.digest().clone())
    }

    pub(crate) async fn open_to_push(
        &self,
        reference: &Reference,
        keyring: &Keyring,
    ) -> Result<Repository, TransportError> {
        let credentials: Option<Credentials> =
            keyring.of(reference.host(), reference.repository()).into_iter().next();
        Repository::open(Arc::clone(&self.transport), reference, Access::Push, credentials).await
    }
}
