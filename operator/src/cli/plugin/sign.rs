//! `tollkeeper plugin sign`: a signature beside an artifact, as cosign makes it.

use std::{fs, path::PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use tollkeeper_registry::{Layout, Reference, SigningKey};

use super::{
    progress,
    registry::{self, Access},
};
use crate::cli::{Failure, Output, print};

/// Sign an artifact in a registry with a key, offline, as `cosign sign --key` does.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// What to sign; pin it by its manifest's digest, so that nobody swaps it before it is signed.
    reference: Reference,
    /// File with the private key (PEM).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where to put the signature: `tag` as cosign before version 3, `referrer` as cosign 3, or both.
    #[arg(long, default_value = "both")]
    layout: Layouts,
    #[command(flatten)]
    access: Access,
    /// How to print the result.
    #[arg(long, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Layouts {
    Tag,
    Referrer,
    Both,
}

impl Layouts {
    const fn all(self) -> &'static [Layout] {
        match self {
            Self::Tag => &[Layout::Tag],
            Self::Referrer => &[Layout::Referrer],
            Self::Both => &[Layout::Tag, Layout::Referrer],
        }
    }
}

impl Sign {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let text = fs::read_to_string(&self.key)
            .map_err(|error| Failure::new(format!("{} cannot be read: {error}", self.key.display())))?;
        let key = SigningKey::from_pem(&text)
            .map_err(|error| Failure::new(format!("{}: {error}", self.key.display())))?;
        registry::wait(self.sign(&key))
    }

    async fn sign(&self, key: &SigningKey) -> Result<(), Failure> {
        let registries = self.access.registries()?;
        let keyring = self.access.keyring(&self.reference)?;
        let spinner = progress::spinner(format!("signing {}", self.reference));
        let signed = registries
            .sign(&self.reference, &keyring, key, self.layout.all())
            .await
            .map_err(|failure| registry::refused(&failure))?;
        spinner.finish_and_clear();
        let layouts: Vec<&str> = self.layout.all().iter().map(|layout| layout.as_str()).collect();
        if self.output == Output::Json {
            return print::json(&json!({
                "reference": self.reference.to_string(),
                "manifest": signed,
                "layouts": layouts,
            }));
        }
        print::text(format_args!(
            "signed     {}@{signed}\nlayouts    {}\n",
            self.reference.name(),
            layouts.join(", ")
        ))
    }
}
