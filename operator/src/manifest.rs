//! Manifest files and the components that their products name.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::ConfigMap;
use tollkeeper_api::{
    MarketplaceProduct,
    convert::{CheckedBinding, CheckedProduct, PluginSource},
    manifest::{InvalidManifest, Objects},
};
use tollkeeper_core::identity::{Digest, ObjectKey};
use tollkeeper_registry::{InvalidReference, Reference};

/// A plugin is at most this large; the same limit as in the plugin host, checked before the file is read.
const MAX_COMPONENT: u64 = 32 << 20;

/// What the files say.
#[derive(Debug, Default)]
pub(crate) struct Manifests {
    /// The products, checked.
    pub(crate) products: BTreeMap<ObjectKey, (CheckedProduct, MarketplaceProduct)>,
    /// The bindings, checked.
    pub(crate) bindings: BTreeMap<ObjectKey, CheckedBinding>,
    config_maps: BTreeMap<ObjectKey, ConfigMap>,
    /// Components that are used whatever their product names.
    components: BTreeMap<ObjectKey, Vec<u8>>,
}

/// Why manifest files or what they name cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("{file}: the file cannot be read: {cause}")]
    Unreadable { file: String, cause: std::io::Error },
    #[error(transparent)]
    Invalid(#[from] InvalidManifest),
    #[error("the component of the product {product} cannot be read: {reason}")]
    Component { product: ObjectKey, reason: String },
}

impl Manifests {
    /// Reads all files.
    pub(crate) fn read(files: &[PathBuf]) -> Result<Self, ManifestError> {
        let mut objects = Objects::default();
        for path in files {
            let file = path.display().to_string();
            let text = fs::read_to_string(path)
                .map_err(|cause| ManifestError::Unreadable { file: file.clone(), cause })?;
            objects.add(&file, &text)?;
        }
        let Objects { products, bindings, config_maps } = objects;
        Ok(Self { products, bindings, config_maps, components: BTreeMap::new() })
    }

    /// Lets a product use this component, whatever source and digest it names.
    pub(crate) fn provide(&mut self, product: &ObjectKey, component: Vec<u8>) {
        let metered = self.products.get_mut(product).and_then(|(product, _)| product.metered.as_mut());
        if let Some(metered) = metered {
            metered.product.meter.plugin = Digest::of(&component);
        }
        self.components.insert(product.clone(), component);
    }

    /// The bytes of a product's plugin. A file of the operator's image is looked for in `plugins` first, by its name; one of a
    /// registry there only, by the name that `tollkeeper plugin pull` gives it.
    pub(crate) fn component(
        &self,
        product: &ObjectKey,
        source: &PluginSource,
        plugins: Option<&Path>,
    ) -> Result<Vec<u8>, ManifestError> {
        if let Some(component) = self.components.get(product) {
            return Ok(component.clone());
        }
        let refused = |reason: String| ManifestError::Component { product: product.clone(), reason };
        match source {
            PluginSource::File(path) => {
                let beside = plugins.zip(path.file_name()).map(|(plugins, name)| plugins.join(name));
                read(&beside.filter(|path| path.exists()).unwrap_or_else(|| path.clone())).map_err(refused)
            }
            PluginSource::ConfigMap { name, key } => {
                let map = ObjectKey::new(product.namespace.clone(), name.as_str());
                let object = self.config_maps.get(&map).ok_or_else(|| {
                    refused(format!("none of the files holds the ConfigMap {map}; add it to the files"))
                })?;
                object
                    .binary_data
                    .as_ref()
                    .and_then(|data| data.get(key))
                    .map(|bytes| bytes.0.clone())
                    .ok_or_else(|| {
                        refused(format!("the ConfigMap {map} has no key `{key}` in its binaryData"))
                    })
            }
            PluginSource::Oci(reference) => {
                let known: Reference =
                    reference.parse().map_err(|error: InvalidReference| refused(error.to_string()))?;
                let path = plugins.map(|plugins| plugins.join(known.file_name()));
                match path.filter(|path| path.exists()) {
                    Some(path) => read(&path).map_err(refused),
                    None => Err(refused(format!(
                        "{reference} is in a registry, which is not asked here; run `tollkeeper plugin pull {reference} FOLDER/{}` and add `--plugins FOLDER`",
                        known.file_name()
                    ))),
                }
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > MAX_COMPONENT {
        return Err(format!("{} has {length} bytes; at most {MAX_COMPONENT}", path.display()));
    }
    fs::read(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_of_a_registry_is_taken_from_the_folder_of_plugins() {
        let (folder, product) = (tempfile::tempdir().unwrap(), ObjectKey::new("vecdb", "vecdb"));
        let source = PluginSource::Oci("registry.example.com/vecdb/meter:1.4.0".to_owned());
        let read = || Manifests::default().component(&product, &source, Some(folder.path()));
        let error = read().unwrap_err().to_string();
        assert!(
            error.contains("tollkeeper plugin pull registry.example.com/vecdb/meter:1.4.0 FOLDER/meter.wasm"),
            "{error}"
        );
        fs::write(folder.path().join("meter.wasm"), "bytes").unwrap();
        assert_eq!(read().unwrap(), b"bytes");
    }
}
