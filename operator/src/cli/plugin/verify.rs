//! `tollkeeper plugin verify`: whether a key has signed an artifact, as the operator would find it.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tollkeeper_core::{artifact::PullFailure, identity::Digest};
use tollkeeper_registry::{Keyring, Layout, PublicKey, Reference, Registries};

use super::registry::{self, Access};
use crate::cli::{Failure, Output, print};

/// Verify the signature of an artifact in a registry by a key, offline.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// What to verify.
    reference: Reference,
    /// File with the public key (PEM): what goes into spec.meter.plugin.publicKeyPem.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The digest that the component must have.
    #[arg(long)]
    digest: Option<Digest>,
    #[command(flatten)]
    access: Access,
    /// How to print the result.
    #[arg(long, default_value = "text")]
    output: Output,
}

impl Verify {
    pub(crate) fn run(self) -> Result<(), Failure> {
        registry::wait(self.verify())
    }

    async fn verify(&self) -> Result<(), Failure> {
        let key = registry::public_key(&self.key)?;
        let registries = self.access.registries()?;
        let keyring = self.access.keyring(&self.reference)?;
        match self.judge(&registries, &keyring, &key).await {
            Ok((manifest, component, layout)) if self.output == Output::Json => print::json(&json!({
                "verified": true,
                "reference": self.reference.to_string(),
                "manifest": manifest,
                "component": component,
                "layout": layout.as_str(),
            })),
            Ok((manifest, component, layout)) => print::text(format_args!(
                "verified   {}@{manifest}\ncomponent  {component}\nlayout     {}\n",
                self.reference.name(),
                layout.as_str()
            )),
            Err(failure) => {
                if self.output == Output::Json {
                    print::json(&json!({
                        "verified": false,
                        "reference": self.reference.to_string(),
                        "reason": failure.reason(),
                        "message": failure.to_string(),
                    }))?;
                }
                Err(registry::refused(&failure))
            }
        }
    }

    /// The digests of the manifest and of the component, and where the signature is.
    async fn judge(
        &self,
        registries: &Registries,
        keyring: &Keyring,
        key: &PublicKey,
    ) -> Result<(Digest, String, Layout), PullFailure> {
        let found = registries.find(&self.reference, keyring).await?;
        if let Some(digest) = &self.digest {
            found.holds(digest)?;
        }
        let layout = found.verify(key).await?.layout;
        Ok((found.digest().clone(), found.layer().digest.clone(), layout))
    }
}
