//! `tollkeeper plugin push`: a component to a registry, as an artifact that other tools know, too.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use tollkeeper_core::plugin::Manifest;
use tollkeeper_registry::{Artifact, Description, Reference};

use super::{
    component, progress,
    registry::{self, Access},
};
use crate::cli::{Failure, Output, print};

/// Push a component to a registry, and print the digests to pin. An archive of `tollkeeper plugin pull` is pushed as it is,
/// with its annotations and signatures.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// File of the component, or a `.tar` with an artifact.
    component: PathBuf,
    /// Where to push it, such as registry.example.com/vecdb/meter:1.4.0.
    reference: Reference,
    /// Version, for the annotation org.opencontainers.image.version; by default what the plugin says.
    #[arg(long)]
    version: Option<String>,
    /// Title, for the annotation org.opencontainers.image.title; by default the plugin's name.
    #[arg(long)]
    title: Option<String>,
    /// Address of the source, for org.opencontainers.image.source.
    #[arg(long, value_name = "URL")]
    source: Option<String>,
    /// Licenses as an SPDX expression, for org.opencontainers.image.licenses.
    #[arg(long, value_name = "SPDX")]
    licenses: Option<String>,
    /// What it measures, for org.opencontainers.image.description.
    #[arg(long)]
    description: Option<String>,
    /// A further annotation; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = annotation)]
    annotation: Vec<(String, String)>,
    /// When it was made, in seconds since 1970. Without it, the artifact has no time and is the same whenever it is pushed.
    #[arg(long, env = "SOURCE_DATE_EPOCH", value_name = "SECONDS")]
    source_date_epoch: Option<i64>,
    #[command(flatten)]
    access: Access,
    /// How to print the result.
    #[arg(long, default_value = "text")]
    output: Output,
}

fn annotation(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE"),
    }
}

impl Push {
    pub(crate) fn run(self) -> Result<(), Failure> {
        registry::wait(self.push())
    }

    async fn push(&self) -> Result<(), Failure> {
        let registries = self.access.registries()?;
        let keyring = self.access.keyring(&self.reference)?;
        let pushed = if component::is_archive(&self.component) {
            let archive = component::read_archive(&self.component, registries.largest_archive())?;
            // What the operator would refuse is not published.
            component::manifest(archive.component().map_err(Failure::new)?).await?;
            let spinner = progress::spinner(format!("pushing {}", self.reference));
            let pushed =
                registries.import(&self.reference, &keyring, &archive).await.map_err(Failure::new)?;
            spinner.finish_and_clear();
            pushed
        } else {
            let artifact = self.artifact().await?;
            let spinner = progress::spinner(format!("pushing {}", self.reference));
            let pushed = registries.push(&self.reference, &keyring, &artifact).await.map_err(Failure::new)?;
            spinner.finish_and_clear();
            pushed
        };
        let pinned = format!("{}@{}", self.reference.name(), pushed.manifest);
        if self.output == Output::Json {
            return print::json(&json!({
                "reference": self.reference.to_string(),
                "pinned": pinned,
                "manifest": pushed.manifest,
                "component": pushed.component,
            }));
        }
        print::text(format_args!(
            "pushed     {}\nmanifest   {}\ncomponent  {}\n\nIn the product:\n  source: {{oci: \"{pinned}\"}}\n  digest: {}\n",
            self.reference, pushed.manifest, pushed.component, pushed.component
        ))
    }

    async fn artifact(&self) -> Result<Artifact, Failure> {
        let bytes = component::read(&self.component)?;
        let manifest = component::manifest(&bytes).await?;
        let interfaces = component::interfaces(&bytes)?;
        let created = self.created()?;
        let description = Description {
            imports: interfaces.imports,
            exports: interfaces.exports,
            annotations: self.annotations(&manifest, created.as_ref()),
            created,
        };
        Ok(Artifact::new(bytes, description))
    }

    fn created(&self) -> Result<Option<String>, Failure> {
        let Some(seconds) = self.source_date_epoch else { return Ok(None) };
        let moment = Timestamp::from_second(seconds)
            .map_err(|error| Failure::new(format!("SOURCE_DATE_EPOCH is no moment: {error}")))?;
        Ok(Some(moment.to_string()))
    }

    fn annotations(&self, manifest: &Manifest, created: Option<&String>) -> BTreeMap<String, String> {
        let known = [
            ("title", self.title.as_ref().or(Some(&manifest.name))),
            ("version", self.version.as_ref().or(Some(&manifest.version))),
            ("source", self.source.as_ref()),
            ("licenses", self.licenses.as_ref()),
            ("description", self.description.as_ref()),
            ("created", created),
        ];
        known
            .into_iter()
            .filter_map(|(name, value)| Some((format!("org.opencontainers.image.{name}"), value?.clone())))
            .chain(self.annotation.iter().cloned())
            .collect()
    }
}
