//! From a reference to the bytes of a component: find the manifest, check the signature, read the layer.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use tokio::time::timeout;
use tollkeeper_core::{
    artifact::{ArtifactRequest, Artifacts, PullFailure},
    identity::Digest,
    signer::SignerIdentity,
};

use crate::{
    artifact::plugin_of,
    cache::Cache,
    credentials::{Credentials, Keyring},
    manifest::{Descriptor, Manifest},
    proof::Proof,
    reference::Reference,
    repository::{Access, Repository},
    signature::{self, Layout, Signed, Subject, identity::Roots, key::PublicKey},
    transport::{Settings, Transport, TransportError},
};

/// The way to registries.
pub struct Registries {
    pub(crate) transport: Arc<Transport>,
    settings: Settings,
    cache: Option<Cache>,
    roots: Option<Roots>,
}

/// An artifact in a registry whose manifest has been read.
pub struct Found {
    repository: Repository,
    max_component: u64,
    bytes: Vec<u8>,
    digest: Digest,
    manifest: Manifest,
    layer: Descriptor,
}

impl Registries {
    /// With these settings.
    ///
    /// # Errors
    /// If the certificates are none.
    pub fn new(settings: Settings) -> Result<Self, TransportError> {
        Ok(Self { transport: Arc::new(Transport::new(&settings)?), settings, cache: None, roots: None })
    }

    /// Keeps what was pulled and verified in a folder, so that a restart does not need the registry.
    #[must_use]
    pub fn with_cache(mut self, folder: PathBuf) -> Self {
        self.cache = Some(Cache::new(folder));
        self
    }

    /// Takes what an identity has signed, if these roots of trust prove it. Without them, a request that asks for an identity
    /// is refused.
    #[must_use]
    pub fn with_roots(mut self, roots: Roots) -> Self {
        self.roots = Some(roots);
        self
    }

    pub(crate) fn max_component(&self) -> u64 {
        self.settings.max_component
    }

    /// Reads the manifest of an artifact, by the first credentials that open its repository.
    pub async fn find(&self, reference: &Reference, keyring: &Keyring) -> Result<Found, PullFailure> {
        let (repository, bytes) = self.open(reference, keyring).await?;
        let digest = Digest::of(&bytes);
        if let Some(pinned) = reference.digest()
            && *pinned != digest
        {
            return Err(PullFailure::DigestMismatch(format!(
                "{} serves another manifest than {reference} pins: {digest}",
                reference.host()
            )));
        }
        let (manifest, layer) = plugin_of(reference, &bytes)?;
        Ok(Found { repository, max_component: self.settings.max_component, bytes, digest, manifest, layer })
    }

    async fn open(
        &self,
        reference: &Reference,
        keyring: &Keyring,
    ) -> Result<(Repository, Vec<u8>), TransportError> {
        let known = keyring.of(reference.host(), reference.repository());
        let (last, others) = match known.split_last() {
            Some((last, others)) => (Some(last.clone()), others),
            None => (None, &[][..]),
        };
        for credentials in others {
            match self.open_with(reference, Some(credentials.clone())).await {
                Err(TransportError::Unauthorized(_)) => {}
                other => return other,
            }
        }
        let is_stranger = last.is_none();
        self.open_with(reference, last).await.map_err(|error| match error {
            TransportError::Unauthorized(what) if is_stranger => {
                TransportError::Unauthorized(format!("{what}; there are none for {}", reference.host()))
            }
            other => other,
        })
    }

    async fn open_with(
        &self,
        reference: &Reference,
        credentials: Option<Credentials>,
    ) -> Result<(Repository, Vec<u8>), TransportError> {
        let repository =
            Repository::open(Arc::clone(&self.transport), reference, Access::Pull, credentials).await?;
        let bytes = repository.manifest(reference.wanted()).await?;
        Ok((repository, bytes))
    }

    async fn pull(&self, request: &ArtifactRequest) -> Result<Vec<u8>, PullFailure> {
        let reference: Reference = request
            .reference
            .parse()
            .map_err(|error: crate::InvalidReference| PullFailure::InvalidReference(error.to_string()))?;
        let proof = Proof::of(request, self.roots.as_ref())?;
        if let Some(cache) = &self.cache
            && let Some(known) = cache.get(request, &proof).await
        {
            return Ok(known);
        }
        let mut keyring = Keyring::default();
        for secret in &request.pull_secrets {
            let parsed = Keyring::parse(&secret.docker_config);
            keyring.extend(
                parsed
                    .map_err(|problem| PullFailure::InvalidSecret { secret: secret.name.clone(), problem })?,
            );
        }
        let found = self.find(&reference, &keyring).await?;
        found.holds(&request.digest)?;
        if found.layer.size > request.max_component {
            return Err(PullFailure::TooLarge(format!(
                "the component of {reference} has {} bytes, more than the {} that the product allows it (limits.component); it is not read",
                found.layer.size, request.max_component
            )));
        }
        proof.verify(&found).await?;
        let component = found.component(&|_| {}).await?;
        if let Some(cache) = &self.cache {
            cache.put(request, &proof, &component).await;
        }
        Ok(component)
    }
}

#[async_trait]
impl Artifacts for Registries {
    async fn component(&self, request: &ArtifactRequest) -> Result<Vec<u8>, PullFailure> {
        timeout(self.settings.total, self.pull(request)).await.unwrap_or_else(|_| {
            Err(PullFailure::Unavailable(format!(
                "{} was not there after {:?}",
                request.reference, self.settings.total
            )))
        })
    }
}

impl Found {
    /// The digest of the manifest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What the manifest says about the component.
    pub fn layer(&self) -> &Descriptor {
        &self.layer
    }

    /// Fails unless the component is the one that is wanted.
    pub fn holds(&self, wanted: &Digest) -> Result<(), PullFailure> {
        if self.layer.digest == wanted.as_str() {
            return Ok(());
        }
        let (reference, found) = (self.repository.reference(), &self.layer.digest);
        Err(match (reference.digest(), reference.tag()) {
            (None, Some(tag)) => PullFailure::TagMoved(format!(
                "the tag {tag} of {} has the component {found}, and not {wanted}; correct the tag, or take the new component by its digest",
                reference.name()
            )),
            _ => PullFailure::DigestMismatch(format!(
                "{reference} has the component {found}, and not {wanted}; correct one of them"
            )),
        })
    }

    /// Fails unless the key has signed the manifest.
    pub async fn verify(&self, key: &PublicKey) -> Result<Signed, PullFailure> {
        signature::verify(&self.repository, self.subject(), key).await
    }

    /// Fails unless the identity has signed the manifest, as these roots of trust prove.
    pub async fn verify_identity(
        &self,
        identity: &SignerIdentity,
        roots: &Roots,
    ) -> Result<Signed, PullFailure> {
        signature::verify_identity(&self.repository, self.subject(), identity, roots).await
    }

    /// How many signatures there are, by layout, whoever made them.
    pub async fn signatures(&self) -> Result<[(Layout, usize); 2], TransportError> {
        signature::count(&self.repository, &self.digest).await
    }

    pub(crate) fn repository(&self) -> &Repository {
        &self.repository
    }

    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject { digest: &self.digest, manifest: &self.bytes }
    }

    /// Reads the component: complete, and as the manifest says. `seen` is told how many bytes there are.
    pub async fn component(&self, seen: &(dyn Fn(u64) + Sync)) -> Result<Vec<u8>, PullFailure> {
        let layer = &self.layer;
        if layer.size > self.max_component {
            return Err(PullFailure::TooLarge(format!(
                "the component of {} has {} bytes, and at most {} are read",
                self.repository.reference(),
                layer.size,
                self.max_component
            )));
        }
        let swapped = |served: String| {
            let host = self.repository.reference().host();
            PullFailure::LayerSwapped(format!(
                "{host} serves other bytes for {} than its manifest names: {served} of {}",
                layer.digest, layer.size
            ))
        };
        let bytes = self.repository.blob(layer, seen).await.map_err(|error| match error {
            TransportError::TooLarge(_) => swapped("more bytes".to_owned()),
            other => other.into(),
        })?;
        let found = Digest::of(&bytes);
        if layer.digest != found.as_str() {
            return Err(swapped(format!("{found}, {} bytes", bytes.len())));
        }
        Ok(bytes)
    }
}

impl From<TransportError> for PullFailure {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Unauthorized(what) => Self::Unauthorized(what),
            TransportError::NotFound(what) => Self::NotFound(what),
            TransportError::TooLarge(what) => Self::TooLarge(what),
            TransportError::Untrusted(what) => Self::Untrusted(what),
            TransportError::Unavailable(what) | TransportError::Unable(what) => Self::Unavailable(what),
            TransportError::Refused(what) => Self::Refused(what),
            TransportError::Invalid(what) => Self::InvalidArtifact(what),
        }
    }
}
