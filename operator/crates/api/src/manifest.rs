//! Manifest files: products, bindings and the ConfigMaps that hold plugins, as one would apply them.
//!
//! No API server has seen them, so every field is checked here, and an object is given once. Whatever is wrong is said with
//! file, line and reason, on one line.

mod lines;
mod tags;
mod weight;

use std::{collections::BTreeMap, fmt};

use k8s_openapi::api::core::v1::ConfigMap;
use serde::{Deserialize, de::DeserializeOwned};
use tollkeeper_core::{identity::ObjectKey, quote::clip};

use self::lines::lines;
use crate::{
    LicenseBinding, MarketplaceProduct,
    convert::{CheckedBinding, CheckedProduct, key_of},
};

/// What a document begins with.
const MARKER: &str = "---";

/// Bytes that an error quotes of a file.
const MAX_REASON: usize = 1_000;

/// The objects of manifest files.
#[derive(Debug, Default, PartialEq)]
pub struct Objects {
    /// The products, checked, and as they are written.
    pub products: BTreeMap<ObjectKey, (CheckedProduct, MarketplaceProduct)>,
    /// The bindings, checked.
    pub bindings: BTreeMap<ObjectKey, CheckedBinding>,
    /// The ConfigMaps.
    pub config_maps: BTreeMap<ObjectKey, ConfigMap>,
}

/// What is wrong with a manifest file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct InvalidManifest {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    api_version: Option<String>,
    kind: Option<String>,
}

impl Objects {
    /// Adds the objects of one file. `file` is what errors name.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), InvalidManifest> {
        documents(file, text).iter().try_for_each(|document| self.add_document(document))
    }

    fn add_document(&mut self, document: &Document<'_>) -> Result<(), InvalidManifest> {
        if weight::is_too_much(document.text) {
            return Err(document.refused(
                "kind:",
                &"the aliases of this document make it larger than any object may be; use fewer",
            ));
        }
        if let Some(tag) = tags::unknown(document.text) {
            let tag = clip(&tag, 80);
            return Err(document.refused(
                "kind:",
                &format_args!("the tag `{tag}` means nothing to an API server; leave it out"),
            ));
        }
        let head: Option<Head> = document.parse()?;
        let Some(head) = head else { return Ok(()) };
        let kind =
            (head.api_version.as_deref().unwrap_or_default(), head.kind.as_deref().unwrap_or_default());
        match kind {
            ("tollkeeper.dev/v1alpha1", "MarketplaceProduct") => {
                let object: MarketplaceProduct = document.parse()?;
                let checked =
                    CheckedProduct::try_from(&object).map_err(|error| document.refused("kind:", &error))?;
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
                let key = key_of(&object.metadata).map_err(|error| document.refused("metadata:", &error))?;
                document.unique(&key, self.config_maps.insert(key.clone(), object).is_none())
            }
            (version, kind) => Err(document.refused(
                "kind:",
                &format_args!(
                    "this is a `{}` of `{}`; expected a MarketplaceProduct or LicenseBinding of tollkeeper.dev/v1alpha1, or a ConfigMap of v1",
                    clip(kind, 80),
                    clip(version, 80),
                ),
            )),
        }
    }
}

/// One document of a YAML file.
struct Document<'a> {
    file: &'a str,
    /// Lines of the file before it.
    before: usize,
    text: &'a str,
}

impl Document<'_> {
    /// Reads it as YAML, whose reader knows the lines, and then as the JSON that an API server is handed: where a text belongs,
    /// YAML's reader makes one of a number, and of nothing at all.
    fn parse<T: DeserializeOwned>(&self) -> Result<T, InvalidManifest> {
        let _: T = self.read()?;
        serde_path_to_error::deserialize(self.read::<serde_json::Value>()?).map_err(|error| {
            let top = error.path().iter().next().map(|first| format!("{first}:")).unwrap_or_default();
            self.refused(
                &top,
                &format_args!(
                    "{error}, and nothing else is taken; put a text in quotes, or leave out what has none"
                ),
            )
        })
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, InvalidManifest> {
        serde_yaml::from_str(self.text).map_err(|error| {
            let line = error.location().map_or(1, |location| location.line());
            let reason = error.to_string();
            self.wrong(line, reason.split(" at line ").next().unwrap_or(&reason))
        })
    }

    /// An error at the first line that starts so; without one, at the first that says anything.
    fn refused(&self, line_start: &str, reason: &dyn fmt::Display) -> InvalidManifest {
        let line = |wanted: &dyn Fn(&str) -> bool| lines(self.text).position(wanted);
        let line = line(&|line| line.starts_with(line_start)).or_else(|| line(&says_something)).unwrap_or(0);
        self.wrong(line + 1, &reason.to_string())
    }

    /// An error at a line of the document.
    fn wrong(&self, line: usize, reason: &str) -> InvalidManifest {
        InvalidManifest {
            file: self.file.to_owned(),
            line: self.before + line,
            reason: clip(reason, MAX_REASON),
        }
    }

    fn unique(&self, key: &ObjectKey, is_new: bool) -> Result<(), InvalidManifest> {
        if is_new {
            Ok(())
        } else {
            Err(self.refused("metadata:", &format_args!("{key} is given twice; name each object once")))
        }
    }
}

fn documents<'a>(file: &'a str, text: &'a str) -> Vec<Document<'a>> {
    let mut documents = Vec::new();
    let (mut start, mut before, mut offset) = (0, 0, 0);
    for (index, line) in lines(text).enumerate() {
        if after_marker(line).is_some() {
            documents.push(Document { file, before, text: text.get(start..offset).unwrap_or_default() });
            // The marker stays: what follows on its line belongs to the document.
            (start, before) = (offset, index);
        }
        offset += line.len();
    }
    documents.push(Document { file, before, text: text.get(start..).unwrap_or_default() });
    documents.retain(|document| lines(document.text).any(says_something));
    documents
}

/// What follows on the line of a marker.
fn after_marker(line: &str) -> Option<&str> {
    line.strip_prefix(MARKER).filter(|rest| rest.trim_end().is_empty() || rest.starts_with([' ', '\t']))
}

/// Whether a line is more than a marker or a comment.
fn says_something(line: &str) -> bool {
    let line = after_marker(line).unwrap_or(line).trim();
    !line.is_empty() && !line.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

    fn read(text: &str) -> Result<Objects, InvalidManifest> {
        let mut objects = Objects::default();
        objects.add("file.yaml", text).map(|()| objects)
    }

    fn refused(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn an_error_names_file_line_and_reason() {
        let no_yaml = refused("# a comment\n---\napiVersion: v1\nkind: ConfigMap\ndata: [\n");
        assert!(no_yaml.starts_with("file.yaml:6: "), "{no_yaml}");
        let pod = refused("---\napiVersion: v1\nkind: Pod\n");
        assert!(pod.starts_with("file.yaml:3: this is a `Pod` of `v1`"), "{pod}");
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named_with_its_line() {
        let binding = "---\napiVersion: tollkeeper.dev/v1alpha1\nkind: LicenseBinding\nmetadata: {name: b}\nspec:\n  productRef: 5\n";
        let error = refused(&format!("{MAP}{binding}"));
        assert!(error.starts_with("file.yaml:9: spec.productRef: "), "{error}");
    }

    #[test]
    fn what_an_api_server_takes_for_no_text_is_not_made_one() {
        let binding = "apiVersion: tollkeeper.dev/v1alpha1\nkind: LicenseBinding\nmetadata: {name: b}\nspec:\n  productRef: {name: p}\n  workload: {namespaces: [a], selector: {matchLabels: {cdb: VALUE}}}\n";
        for (value, kind) in [
            ("", "null"),
            ("null", "null"),
            ("~", "null"),
            ("1", "integer `1`"),
            ("-0x10", "integer `-16`"),
            ("1.5", "floating point `1.5`"),
            ("true", "boolean `true`"),
        ] {
            let wrong = format!(
                "invalid type: {kind}, expected a string, and nothing else is taken; put a text in quotes, or leave out what has none"
            );
            let error = refused(&binding.replace("VALUE", value));
            assert_eq!(error, format!("file.yaml:4: spec.workload.selector.matchLabels.cdb: {wrong}"));
            let error = refused(&format!("{MAP}data:\n  a: {value}\n"));
            assert_eq!(error, format!("file.yaml:4: data.a: {wrong}"));
        }
        // `kubectl` makes texts of keys, whatever they look like.
        let objects = read(&format!("{MAP}data: {{1: \"1\", true: 'null'}}\n")).unwrap();
        let data = objects.config_maps.into_values().next().and_then(|map| map.data).unwrap();
        assert_eq!(data, [("1", "1"), ("true", "null")].map(|(key, text)| (key.into(), text.into())).into());
    }

    #[test]
    fn a_comment_hides_nothing_that_comes_after_a_break_of_any_kind() {
        for end in ["\n", "\r\n", "\r", "\u{85}", "\u{2028}"] {
            let objects = read(&format!("# A comment.\n{MAP}").replace('\n', end)).unwrap();
            assert_eq!(objects.config_maps.len(), 1, "{end:?}");
            let error = refused(&format!("# A comment.{end}what{end}"));
            assert!(error.starts_with("file.yaml:2: "), "{error}");
        }
    }

    #[test]
    fn a_tag_is_refused() {
        let error = refused(&format!("{MAP}data: {{a: !secret b}}\n"));
        assert_eq!(error, "file.yaml:2: the tag `!secret` means nothing to an API server; leave it out");
    }

    #[test]
    fn an_object_is_given_once() {
        let error = refused(&format!("{MAP}---\n{MAP}"));
        assert_eq!(error, "file.yaml:7: default/a is given twice; name each object once");
    }

    #[test]
    fn what_stands_on_the_line_of_a_marker_is_read() {
        let flow = "{apiVersion: v1, kind: ConfigMap, metadata: {name: b}}";
        for marker in ["--- ", "---\t"] {
            let objects = read(&format!("{MAP}{marker}{flow}\n--- # the rest is empty\n")).unwrap();
            assert_eq!(objects.config_maps.len(), 2);
        }
        let error = refused(&format!("{MAP}--- {}", flow.replace("ConfigMap", "Pod")));
        assert!(error.starts_with("file.yaml:4: this is a `Pod`"), "{error}");
    }

    #[test]
    fn aliases_that_mean_gigabytes_are_refused() {
        let (zeros, aliases) = ("0,".repeat(10_000), "*a,".repeat(14_000));
        let error = refused(&format!("{MAP}data: {{a: &a [{zeros}], b: [{aliases}]}}\n"));
        assert!(error.starts_with("file.yaml:2: the aliases of this document"), "{error}");
    }

    #[test]
    fn a_name_that_no_api_server_takes_is_refused() {
        for (metadata, wrong) in [
            ("{}", "metadata.name is missing; name the object"),
            ("{name: ../a}", "metadata.name: `../a` is not the name of an object"),
            ("{name: a, namespace: a/b}", "metadata.namespace: `a/b` is not the name of a namespace"),
        ] {
            let error = refused(&MAP.replace("{name: a}", metadata));
            assert!(error.starts_with(&format!("file.yaml:3: {wrong}")), "{error}");
        }
    }

    #[test]
    fn a_refusal_is_one_short_line_whatever_the_file_says() {
        let forged = format!("\"forged\\ntollkeeper: all is well{}\"", "!".repeat(100_000));
        for text in [
            MAP.replace("ConfigMap", &forged),
            MAP.replace("{name: a}", &format!("{{name: {forged}}}")),
            MAP.replace("{name: a}", &format!("{{labels: {forged}}}")),
        ] {
            let error = refused(&text);
            assert!(error.len() < 1_100 && !error.contains(char::is_control), "{error}");
        }
    }
}
