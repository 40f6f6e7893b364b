//! A plugin as an artifact, in the CNCF's layout for Wasm: a manifest, a configuration, one layer.

use std::collections::BTreeMap;

use serde_json::json;
use tollkeeper_core::{artifact::PullFailure, identity::Digest};

use crate::{
    manifest::{
        ARTIFACT_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST, Descriptor, INDEX, Manifest, OLD_WASM_LAYER,
        WASM_CONFIG, WASM_LAYER,
    },
    reference::Reference,
};

/// What is known about a component besides its bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Description {
    /// Interfaces that it imports, as `package:name/interface@version`.
    pub imports: Vec<String>,
    /// Interfaces that it exports.
    pub exports: Vec<String>,
    /// When it was made, in RFC 3339; an artifact without it is the same whenever it is made.
    pub created: Option<String>,
    /// What people and tools read, such as `org.opencontainers.image.version`.
    pub annotations: BTreeMap<String, String>,
}

/// A plugin that is ready to be pushed. The same component and description make the same bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Artifact {
    pub(crate) manifest: Vec<u8>,
    pub(crate) config: Vec<u8>,
    pub(crate) component: Vec<u8>,
}

impl Artifact {
    /// Of a component.
    pub fn new(component: Vec<u8>, description: Description) -> Self {
        let layer = Descriptor::of(WASM_LAYER, &component);
        let mut config = json!({
            "architecture": "wasm",
            // Components are of this system, whether they import anything of it or not.
            "os": "wasip2",
            "layerDigests": [layer.digest],
            "component": {"imports": description.imports, "exports": description.exports},
        });
        if let (Some(created), Some(config)) = (description.created, config.as_object_mut()) {
            config.insert("created".to_owned(), created.into());
        }
        let config = config.to_string().into_bytes();
        let mut manifest = Manifest::new(Descriptor::of(WASM_CONFIG, &config), vec![layer]);
        manifest.annotations = description.annotations;
        // A structure of texts and numbers always becomes JSON.
        let manifest = serde_json::to_vec(&manifest).unwrap_or_default();
        Self { manifest, config, component }
    }

    /// The digest of the manifest, which a reference may pin.
    pub fn manifest_digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    /// The digest of the component, which a product pins.
    pub fn component_digest(&self) -> Digest {
        Digest::of(&self.component)
    }
}

/// Reads a manifest and finds the one layer that is a component.
pub(crate) fn plugin_of(reference: &Reference, bytes: &[u8]) -> Result<(Manifest, Descriptor), PullFailure> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        schema_version: u32,
        media_type: Option<String>,
        manifests: Option<serde_json::Value>,
    }
    let malformed = |error: serde_json::Error| {
        PullFailure::InvalidArtifact(format!("the manifest of {reference} is malformed: {error}"))
    };
    let head: Head = serde_json::from_slice(bytes).map_err(malformed)?;
    let kind = head.media_type.as_deref().unwrap_or(if head.manifests.is_some() {
        INDEX
    } else {
        ARTIFACT_MANIFEST
    });
    if matches!(kind, INDEX | DOCKER_INDEX) {
        return Err(PullFailure::WrongMediaType(format!(
            "{reference} is a list of manifests for several platforms, and a plugin is the same on all of them; push it with `tollkeeper plugin push`"
        )));
    }
    if !matches!(kind, ARTIFACT_MANIFEST | DOCKER_MANIFEST) {
        return Err(PullFailure::WrongMediaType(format!(
            "{reference} is `{}`, not an artifact",
            shortened(kind)
        )));
    }
    if head.schema_version != 2 {
        return Err(PullFailure::InvalidArtifact(format!(
            "the manifest of {reference} has the schema version {}; expected 2",
            head.schema_version
        )));
    }
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(malformed)?;
    let layer = match manifest.layers.as_slice() {
        [layer] => layer.clone(),
        layers => {
            return Err(PullFailure::WrongMediaType(format!(
                "{reference} has {} layers, and a plugin has one; push it with `tollkeeper plugin push`",
                layers.len()
            )));
        }
    };
    if !matches!(layer.media_type.as_str(), WASM_LAYER | OLD_WASM_LAYER) {
        return Err(PullFailure::WrongMediaType(format!(
            "the layer of {reference} is `{}`, not {WASM_LAYER}; push it with `tollkeeper plugin push`",
            shortened(&layer.media_type)
        )));
    }
    Ok((manifest, layer))
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(manifest: &serde_json::Value) -> &'static str {
        let reference = "registry.example.com/meter:1".parse().unwrap();
        plugin_of(&reference, manifest.to_string().as_bytes()).map_or_else(|failure| failure.reason(), |_| "")
    }

    fn manifest(layers: serde_json::Value) -> serde_json::Value {
        let config = Descriptor::of(WASM_CONFIG, b"{}");
        json!({"schemaVersion": 2, "mediaType": ARTIFACT_MANIFEST, "config": config, "layers": layers})
    }

    #[test]
    fn an_artifact_has_one_layer_that_is_a_component() {
        let layer = |kind: &str| json!(Descriptor::of(kind, b"x"));
        for kind in ["application/wasm", "application/vnd.wasm.content.layer.v1+wasm"] {
            assert_eq!(reason(&manifest(json!([layer(kind)]))), "");
        }
        let gzipped = layer("application/vnd.oci.image.layer.v1.tar+gzip");
        assert_eq!(reason(&manifest(json!([gzipped]))), "WrongMediaType");
        assert_eq!(reason(&manifest(json!([]))), "WrongMediaType");
        assert_eq!(reason(&manifest(json!([layer(WASM_LAYER), layer(WASM_LAYER)]))), "WrongMediaType");
        assert_eq!(
            reason(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []})),
            "WrongMediaType"
        );
        assert_eq!(reason(&json!({"schemaVersion": 2, "manifests": []})), "WrongMediaType");
        assert_eq!(reason(&json!({"schemaVersion": 1, "mediaType": ARTIFACT_MANIFEST})), "InvalidArtifact");
        assert_eq!(reason(&json!("text")), "InvalidArtifact");
    }

    #[test]
    fn the_same_component_makes_the_same_artifact() {
        let description = || Description { imports: vec!["a:b/c@1.0.0".into()], ..Description::default() };
        let artifact = Artifact::new(b"component".to_vec(), description());
        assert_eq!(artifact, Artifact::new(b"component".to_vec(), description()));
        let reference = "registry.example.com/meter:1".parse().unwrap();
        let (manifest, layer) = plugin_of(&reference, &artifact.manifest).unwrap();
        assert_eq!(layer.digest, artifact.component_digest().to_string());
        assert_eq!(manifest.config.media_type, WASM_CONFIG);
    }
}
