//! Artifacts with their signatures out of one registry and into another.

use tollkeeper_core::artifact::PullFailure;

use crate::{
    archive::{Archive, ArchiveError, largest},
    credentials::Keyring,
    manifest::{ARTIFACT_MANIFEST, Descriptor, INDEX, Index, Manifest},
    pull::{Found, Registries},
    push::Pushed,
    reference::Reference,
    repository::{Repository, referrers_tag},
    signature,
    transport::TransportError,
};

/// Configurations and signatures have some kilobytes; what is larger is none.
const MAX_SMALL: u64 = 1 << 20;

/// Why an archive was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The archive cannot be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It does not hold a plugin.
    #[error(transparent)]
    Artifact(#[from] PullFailure),
    /// The registry does not take it.
    #[error(transparent)]
    Registry(#[from] TransportError),
}

impl Found {
    /// The artifact with every signature that lies beside it, whoever made it.
    pub async fn archive(&self, seen: &(dyn Fn(u64) + Sync)) -> Result<Archive, PullFailure> {
        let component = self.component(seen).await?;
        let config = small(self.repository(), &self.manifest().config).await?;
        let mut archive = Archive::default();
        let tag = self.repository().reference().tag().map(str::to_owned);
        archive.add(self.subject().manifest.to_vec(), tag, [config, component]);
        for (place, tag) in signature::carriers(self.repository(), self.digest()).await? {
            let bytes = self.repository().manifest(&place).await?;
            let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| {
                PullFailure::InvalidArtifact(format!("the signature {place} is malformed: {error}"))
            })?;
            let mut blobs = Vec::new();
            for descriptor in manifest.layers.iter().chain([&manifest.config]) {
                blobs.push(small(self.repository(), descriptor).await?);
            }
            archive.add(bytes, tag, blobs);
        }
        Ok(archive)
    }
}

async fn small(repository: &Repository, descriptor: &Descriptor) -> Result<Vec<u8>, TransportError> {
    if descriptor.size > MAX_SMALL {
        return Err(TransportError::TooLarge(format!(
            "{} of {} has {} bytes, more than a configuration or a signature",
            descriptor.digest,
            repository.reference(),
            descriptor.size
        )));
    }
    repository.blob(descriptor, &|_| {}).await
}

impl Registries {
    /// The largest archive that is read.
    pub fn largest_archive(&self) -> u64 {
        largest(self.max_component())
    }

    /// Uploads everything in an archive; the artifact gets the tag of the reference.
    pub async fn import(
        &self,
        reference: &Reference,
        keyring: &Keyring,
        archive: &Archive,
    ) -> Result<Pushed, ImportError> {
        let component = tollkeeper_core::identity::Digest::of(archive.component()?);
        let (plugin, _) = archive.plugin()?;
        let repository = self.open_to_push(reference, keyring).await?;
        let is_manifest = |digest: &str| archive.manifests.iter().any(|one| one.digest == digest);
        for (digest, bytes) in &archive.blobs {
            if !is_manifest(digest.as_str()) {
                repository.push_blob(bytes).await?;
            }
        }
        // What a signature refers to comes before the signature.
        let others = archive.manifests.iter().filter(|one| *one != plugin && one.media_type != INDEX);
        for descriptor in [plugin].into_iter().chain(others) {
            let bytes = archive.blob(&descriptor.digest)?;
            let tag = if descriptor == plugin { reference.tag() } else { Archive::tag_of(descriptor) };
            push(&repository, descriptor, tag, bytes).await?;
        }
        let manifest = plugin.digest.parse().map_err(|_| TransportError::Invalid("no digest".to_owned()))?;
        Ok(Pushed { manifest, component })
    }
}

/// Uploads a manifest, and lists it where the registry does not do so itself.
async fn push(
    repository: &Repository,
    descriptor: &Descriptor,
    tag: Option<&str>,
    bytes: &[u8],
) -> Result<(), TransportError> {
    let manifest: Option<Manifest> = serde_json::from_slice(bytes).ok();
    let is_listed = repository
        .push_manifest(tag.unwrap_or(&descriptor.digest), ARTIFACT_MANIFEST, bytes.to_vec())
        .await?;
    match manifest {
        Some(Manifest { subject: Some(subject), artifact_type, annotations, .. }) if !is_listed => {
            let own = Descriptor { artifact_type, annotations, ..Descriptor::of(ARTIFACT_MANIFEST, bytes) };
            list(repository, &subject, own).await
        }
        _ => Ok(()),
    }
}

/// Adds a manifest to the index that stands in for the registry's list of referrers.
pub(crate) async fn list(
    repository: &Repository,
    subject: &Descriptor,
    own: Descriptor,
) -> Result<(), TransportError> {
    let subject = subject
        .digest
        .parse()
        .map_err(|_| TransportError::Invalid(format!("{} is no SHA-256 digest", subject.digest)))?;
    let mut all = repository.referrers_by_tag(&subject).await?.manifests;
    if all.iter().any(|one| one.digest == own.digest) {
        return Ok(());
    }
    all.push(own);
    let index = serde_json::to_vec(&Index::of(all)).map_err(|error| {
        TransportError::Invalid(format!("the list of signatures cannot be written: {error}"))
    })?;
    repository.push_manifest(&referrers_tag(&subject), INDEX, index).await.map(drop)
}
