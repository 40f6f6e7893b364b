//! `tollkeeper plugin inspect`: what a component is, imports, exports and says about itself, and who has signed it.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};
use tollkeeper_core::identity::Digest;
use tollkeeper_registry::{Found, Reference};

use super::{
    component, progress,
    registry::{self, Access},
    signer::Signer,
};
use crate::cli::{Failure, Output, print};

/// Show what a component is, imports, exports and says about itself; of an artifact in a registry, its signatures, too.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// File of the component, a `.tar` with an artifact, or where it is in a registry.
    component: String,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    access: Access,
    /// How to print it.
    #[arg(long, default_value = "text")]
    output: Output,
}

impl Inspect {
    pub(crate) fn run(self) -> Result<(), Failure> {
        registry::wait(self.inspect())
    }

    async fn inspect(&self) -> Result<(), Failure> {
        let file = PathBuf::from(&self.component);
        let (bytes, artifact) = match self.component.parse::<Reference>() {
            Ok(reference) if !file.exists() => {
                let (bytes, artifact) = self.pull(&reference).await?;
                (bytes, Some(artifact))
            }
            _ if component::is_archive(&file) => {
                let archive = component::read_archive(&file, self.access.registries()?.largest_archive())?;
                (archive.component().map_err(Failure::new)?.to_vec(), None)
            }
            _ => (component::read(&file)?, None),
        };
        let shown = self.describe(&bytes, artifact).await?;
        if self.output == Output::Json { print::json(&shown) } else { print::text(lines(&shown)) }
    }

    async fn pull(&self, reference: &Reference) -> Result<(Vec<u8>, Value), Failure> {
        let refused = |failure| registry::refused(&failure);
        let registries = self.access.registries()?;
        let keyring = self.access.keyring(reference)?;
        let found = registries.find(reference, &keyring).await.map_err(refused)?;
        let bar = progress::bar("pulling", usize::try_from(found.layer().size).unwrap_or(usize::MAX));
        let bytes = found.component(&|seen| bar.set_position(seen)).await.map_err(refused)?;
        bar.finish_and_clear();
        let artifact = json!({
            "reference": reference.to_string(),
            "manifest": found.digest(),
            "annotations": found.manifest().annotations,
            "signature": self.signature(&found).await?,
        });
        Ok((bytes, artifact))
    }

    /// The state of the signature: how many there are of anybody, and whether there is one of whoever must have signed.
    async fn signature(&self, found: &Found) -> Result<Value, Failure> {
        let counts = found.signatures().await.map_err(Failure::new)?;
        let mut shown: Map<String, Value> =
            counts.iter().map(|(layout, count)| (layout.as_str().to_owned(), json!(count))).collect();
        if let Some(verified) = self.signer.verify(found).await? {
            let verdict = verified.map_or_else(|failure| failure.reason(), |_| "Verified");
            shown.insert("verdict".to_owned(), verdict.into());
        }
        Ok(shown.into())
    }

    async fn describe(&self, bytes: &[u8], artifact: Option<Value>) -> Result<Value, Failure> {
        let interfaces = component::interfaces(bytes)?;
        let manifest = component::manifest(bytes).await?;
        let wit = interfaces.exports.iter().find_map(|export| export.strip_prefix("tollkeeper:meter/meter@"));
        let mut shown = json!({
            "digest": Digest::of(bytes),
            "size": bytes.len(),
            "wit": wit,
            "imports": interfaces.imports,
            "exports": interfaces.exports,
            "manifest": manifest,
        });
        if let (Some(artifact), Some(shown)) = (artifact, shown.as_object_mut()) {
            shown.insert("artifact".to_owned(), artifact);
        }
        Ok(shown)
    }
}

/// One line a fact; a list goes on below its first word.
fn lines(shown: &Value) -> String {
    let text = |pointer: &str| match shown.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(all)) => {
            all.iter().map(|one| one.as_str().unwrap_or_default()).collect::<Vec<_>>().join("\n            ")
        }
        Some(Value::Object(all)) => {
            let pairs = all.iter().map(|(key, value)| match value {
                Value::String(text) => format!("{key}: {text}"),
                other => format!("{key}: {other}"),
            });
            pairs.collect::<Vec<_>>().join("\n            ")
        }
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let facts = [
        ("reference", "/artifact/reference"),
        ("manifest", "/artifact/manifest"),
        ("signatures", "/artifact/signature"),
        ("annotations", "/artifact/annotations"),
        ("digest", "/digest"),
        ("size", "/size"),
        ("interface", "/wit"),
        ("name", "/manifest/name"),
        ("version", "/manifest/version"),
        ("dimensions", "/manifest/dimensions"),
        ("inputs", "/manifest/inputs"),
        ("imports", "/imports"),
        ("exports", "/exports"),
        ("config", "/manifest/configSchema"),
    ];
    let is_there = |pointer: &str| shown.pointer(pointer).is_some_and(|value| !value.is_null());
    facts
        .into_iter()
        .filter(|(_, pointer)| is_there(pointer))
        .map(|(name, pointer)| format!("{}\n", format!("{name:<12}{}", text(pointer)).trim_end()))
        .collect()
}
