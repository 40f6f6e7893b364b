//! `tollkeeper plugin inspect`: what a component is, imports, exports and says about itself.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tollkeeper_core::identity::Digest;

use super::component;
use crate::cli::{Failure, Output, print};

/// Show what a component is, imports, exports and says about itself.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// File of the component.
    component: PathBuf,
    /// How to print it.
    #[arg(long, default_value = "text")]
    output: Output,
}

impl Inspect {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format!("the runtime cannot start: {error}")))?;
        let bytes = component::read(&self.component)?;
        let interfaces = component::interfaces(&bytes)?;
        let manifest = runtime.block_on(component::manifest(&bytes))?;
        let digest = Digest::of(&bytes);
        if self.output == Output::Json {
            return print::json(&json!({
                "digest": digest,
                "size": bytes.len(),
                "imports": interfaces.imports,
                "exports": interfaces.exports,
                "manifest": manifest,
            }));
        }
        let lines = [
            ("digest", digest.to_string()),
            ("size", format!("{} bytes", bytes.len())),
            ("name", manifest.name),
            ("version", manifest.version),
            ("dimensions", manifest.dimensions.join(", ")),
            ("inputs", manifest.inputs.join(", ")),
            ("imports", interfaces.imports.join("\n            ")),
            ("exports", interfaces.exports.join("\n            ")),
            ("config", manifest.config_schema),
        ];
        let text: String = lines.iter().map(|(name, value)| format!("{name:<12}{value}\n")).collect();
        print::text(text)
    }
}
