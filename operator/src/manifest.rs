//! Manifest files: products, bindings and the ConfigMaps that hold plugins, as one would apply them.
//!
//! Whatever is wrong is said with file, line and reason.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::ConfigMap;
use serde::{Deserialize, de::DeserializeOwned};
use tollkeeper_api::{
    LicenseBinding, MarketplaceProduct,
    convert::{CheckedBinding, CheckedProduct, PluginSource},
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
    /// Where relative paths of a product start.
    folders: BTreeMap<ObjectKey, PathBuf>,
}

/// What is wrong with a manifest file: file, line, reason.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    #[error("{file}: the file cannot be read: {cause}")]
    Unreadable { file: String, cause: std::io::Error },
    #[error("{file}:{line}: {reason}")]
    Document { file: String, line: usize, reason: String },
    #[error("the component of the product {product} cannot be read: {reason}")]
    Component { product: ObjectKey, reason: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: Option<String>,
    kind: Option<String>,
}

/// One document of a YAML file.
struct Document<'a> {
    file: &'a str,
    /// Lines of the file before it.
    before: usize,
    text: &'a str,
}

impl Manifests {
    /// Reads all files.
    pub(crate) fn read(files: &[PathBuf]) -> Result<Self, ManifestError> {
        let mut manifests = Self::default();
        for path in files {
            let file = path.display().to_string();
            let text = fs::read_to_string(path)
                .map_err(|cause| ManifestError::Unreadable { file: file.clone(), cause })?;
            let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
            for document in documents(&file, &text) {
                manifests.add(&document, &folder)?;
            }
        }
        Ok(manifests)
    }

    /// Lets a product use this component, whatever source and digest it names.
    pub(crate) fn provide(&mut self, product: &ObjectKey, component: Vec<u8>) {
        let metered = self.products.get_mut(product).and_then(|(product, _)| product.metered.as_mut());
        if let Some(metered) = metered {
            metered.product.meter.plugin = Digest::of(&component);
        }
        self.components.insert(product.clone(), component);
    }

    fn add(&mut self, document: &Document<'_>, folder: &Path) -> Result<(), ManifestError> {
        let head: Option<Head> = document.parse()?;
        let Some(head) = head else { return Ok(()) };
        let kind =
            (head.api_version.as_deref().unwrap_or_default(), head.kind.as_deref().unwrap_or_default());
        match kind {
            ("tollkeeper.dev/v1alpha1", "MarketplaceProduct") => {
                let object: MarketplaceProduct = document.parse()?;
                let checked =
                    CheckedProduct::try_from(&object).map_err(|error| document.refused("kind:", &error))?;
                self.folders.insert(checked.key.clone(), folder.to_owned());
                let key = checked.key.clone();
                document.unique(&key, self.products.insert(key.clone(), (checked, object)).is_none())
            }
            ("tollkeeper.dev/v1alpha1", "LicenseBinding") => {
                let object: LicenseBinding = document.parse()?;
                let checked =
                    CheckedBinding::try_from(&object).map_err(|error| document.refused("kind:", &error))?;
                let key = checked.binding.key.clone();
                document.unique(&key, self.bindings.insert(key.clone(), checked).is_none())
            }
            ("v1", "ConfigMap") => {
                let object: ConfigMap = document.parse()?;
                let key = ObjectKey::new(
                    object.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned()),
                    object.metadata.name.clone().unwrap_or_default(),
                );
                document.unique(&key, self.config_maps.insert(key.clone(), object).is_none())
            }
            (version, kind) => Err(document.refused(
                "kind:",
                &format!(
                    "this is a `{kind}` of `{version}`; expected a MarketplaceProduct or LicenseBinding of tollkeeper.dev/v1alpha1, or a ConfigMap of v1"
                ),
            )),
        }
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
                let folder = self.folders.get(product).cloned().unwrap_or_default();
                let beside = plugins.zip(path.file_name()).map(|(plugins, name)| plugins.join(name));
                read(&beside.filter(|path| path.exists()).unwrap_or_else(|| folder.join(path)))
                    .map_err(refused)
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

impl Document<'_> {
    fn parse<T: DeserializeOwned>(&self) -> Result<T, ManifestError> {
        serde_yaml::from_str(self.text).map_err(|error| {
            let line = error.location().map_or(1, |location| location.line());
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or(&reason).to_owned();
            ManifestError::Document { file: self.file.to_owned(), line: self.before + line, reason }
        })
    }

    /// An error at the first line that starts so.
    fn refused(&self, line_start: &str, reason: &dyn std::fmt::Display) -> ManifestError {
        let line = self.text.lines().position(|line| line.starts_with(line_start)).unwrap_or(0);
        ManifestError::Document {
            file: self.file.to_owned(),
            line: self.before + line + 1,
            reason: reason.to_string(),
        }
    }

    fn unique(&self, key: &ObjectKey, is_new: bool) -> Result<(), ManifestError> {
        if is_new {
            Ok(())
        } else {
            Err(self.refused("metadata:", &format!("{key} is given twice; name each object once")))
        }
    }
}

fn documents<'a>(file: &'a str, text: &'a str) -> Vec<Document<'a>> {
    let mut documents = Vec::new();
    let (mut start, mut before, mut offset) = (0, 0, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents.push(Document { file, before, text: text.get(start..offset).unwrap_or_default() });
            start = offset + line.len();
            before = index + 1;
        }
        offset += line.len();
    }
    documents.push(Document { file, before, text: text.get(start..).unwrap_or_default() });
    documents.retain(|document| {
        document.text.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
    });
    documents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Manifests, ManifestError> {
        let mut manifests = Manifests::default();
        for document in documents("file.yaml", text) {
            manifests.add(&document, Path::new("."))?;
        }
        Ok(manifests)
    }

    #[test]
    fn an_error_names_file_line_and_reason() {
        let error = read("# a comment\n---\napiVersion: v1\nkind: ConfigMap\ndata: [\n").unwrap_err();
        assert!(error.to_string().starts_with("file.yaml:"), "{error}");
        let error = read("---\napiVersion: v1\nkind: Pod\n").unwrap_err();
        assert!(error.to_string().starts_with("file.yaml:3: this is a `Pod` of `v1`"), "{error}");
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named_with_its_line() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: tollkeeper.dev/v1alpha1\nkind: LicenseBinding\nmetadata: {name: b}\nspec:\n  productRef: 5\n";
        let error = read(text).unwrap_err().to_string();
        assert!(error.starts_with("file.yaml:9: "), "{error}");
    }

    #[test]
    fn an_object_is_given_once() {
        let one = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
        let error = read(&format!("{one}---\n{one}")).unwrap_err().to_string();
        assert_eq!(error, "file.yaml:7: default/a is given twice; name each object once");
    }

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
