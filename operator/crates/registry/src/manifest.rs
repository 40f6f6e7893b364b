//! Manifests and descriptors, as far as plugins and signatures need them (OCI image specification 1.1).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tollkeeper_core::identity::Digest;

/// The media type of an artifact's manifest.
pub const ARTIFACT_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The same of Docker, which some registries turn it into.
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A list of manifests: for images of many platforms, and for signatures.
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The same of Docker.
pub(crate) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A component, as the CNCF's layout for Wasm artifacts has it.
pub(crate) const WASM_LAYER: &str = "application/wasm";
/// The same in artifacts that were made before that layout.
pub(crate) const OLD_WASM_LAYER: &str = "application/vnd.wasm.content.layer.v1+wasm";
/// The description of a component in the CNCF's layout.
pub(crate) const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The description of an image, which cosign gives to its signatures.
pub(crate) const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The description of what has none.
pub(crate) const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// What a manifest says about some bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What they are.
    #[serde(default)]
    pub media_type: String,
    /// Their digest; another algorithm than SHA-256 is not read.
    pub digest: String,
    /// How many they are.
    pub size: u64,
    /// Which kind of artifact a manifest is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What makes up an artifact.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2, always.
    pub schema_version: u32,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Which kind of artifact it is, if its configuration does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The content.
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    /// The manifest that it says something about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A list of manifests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(default)]
    pub(crate) manifests: Vec<Descriptor>,
}

impl Descriptor {
    /// Of these bytes.
    pub(crate) fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes).to_string(),
            size: bytes.len() as u64,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }
}

impl Index {
    pub(crate) fn of(manifests: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: Some(INDEX.to_owned()), manifests }
    }
}

impl Manifest {
    /// Without content yet.
    pub(crate) fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(ARTIFACT_MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }
}
