//! `tollkeeper plugin verify`: whether somebody has signed an artifact, as the operator would find it.

use clap::{ArgGroup, Args};
use serde_json::json;
use tollkeeper_core::{artifact::PullFailure, identity::Digest};
use tollkeeper_registry::{Keyring, Layout, Reference, Registries};

use super::{
    progress,
    registry::{self, Access},
    signer::Signer,
};
use crate::cli::{Failure, Output, print};

/// Verify the signature of an artifact in a registry, by a key or an identity, offline.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("who").args(["key", "issuer"]).required(true)))]
pub(crate) struct Verify {
    /// What to verify.
    reference: Reference,
    #[command(flatten)]
    signer: Signer,
    /// The digest that the component must have.
    #[arg(long)]
    digest: Option<Digest>,
    #[command(flatten)]
    access: Access,
    /// How to print the result.
    #[arg(long, default_value = "text")]
    output: Output,
}

type Judgement = Result<(Digest, String, Layout), PullFailure>;

impl Verify {
    pub(crate) fn run(self) -> Result<(), Failure> {
        registry::wait(self.verify())
    }

    async fn verify(&self) -> Result<(), Failure> {
        let registries = self.access.registries()?;
        let keyring = self.access.keyring(&self.reference)?;
        match self.judge(&registries, &keyring).await? {
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

    /// The digests of the manifest and of the component, and where the signature is; or why it does not count.
    async fn judge(&self, registries: &Registries, keyring: &Keyring) -> Result<Judgement, Failure> {
        let _spinner = progress::spinner(format!("verifying {}", self.reference));
        let found = match registries.find(&self.reference, keyring).await {
            Ok(found) => found,
            Err(failure) => return Ok(Err(failure)),
        };
        if let Some(Err(failure)) = self.digest.as_ref().map(|digest| found.holds(digest)) {
            return Ok(Err(failure));
        }
        let verified = self.signer.verify(&found).await?;
        let verified =
            verified.ok_or_else(|| Failure::new("name who must have signed it: --key or --issuer"))?;
        Ok(verified.map(|signed| (found.digest().clone(), found.layer().digest.clone(), signed.layout)))
    }
}
