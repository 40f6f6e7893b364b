//! Who must have signed an artifact: the flags of the verbs that verify.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use tollkeeper_core::{artifact::PullFailure, signer::SignerIdentity};
use tollkeeper_registry::{Found, InvalidRoots, PublicKey, Signed};

use crate::cli::{Failure, registry};

/// Who must have signed it.
#[derive(Debug, Args)]
pub(super) struct Signer {
    /// File with the public key (PEM) that must have signed it: what goes into spec.meter.plugin.publicKeyPem.
    #[arg(long, value_name = "FILE", conflicts_with = "issuer")]
    key: Option<PathBuf>,
    /// OpenID Connect issuer that must vouch for the signer (keyless signatures), such as
    /// https://token.actions.githubusercontent.com: what goes into spec.meter.plugin.identity.issuer.
    #[arg(long, value_name = "URL", requires = "subject")]
    issuer: Option<String>,
    /// Signer that the issuer must name, an e-mail address or the address of a workflow: what goes into
    /// spec.meter.plugin.identity.subject.
    #[arg(long, requires = "issuer")]
    subject: Option<String>,
    /// File with the roots of trust (trusted_root.json) of a private sigstore; by default the public one is trusted.
    #[arg(long, value_name = "FILE", requires = "issuer")]
    trusted_root: Option<PathBuf>,
}

impl Signer {
    /// Whether they have signed; `None` if nobody must have.
    pub(super) async fn verify(&self, found: &Found) -> Result<Option<Result<Signed, PullFailure>>, Failure> {
        if let Some(path) = &self.key {
            return Ok(Some(found.verify(&public_key(path)?).await));
        }
        let Some((issuer, subject)) = self.issuer.as_deref().zip(self.subject.as_deref()) else {
            return Ok(None);
        };
        let identity = SignerIdentity::new(issuer, subject).map_err(Failure::new)?;
        let roots = registry::roots(self.trusted_root.as_deref())?
            .ok_or_else(|| Failure::new(InvalidRoots::NotBuilt))?;
        Ok(Some(found.verify_identity(&identity, &roots).await))
    }
}

fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    PublicKey::from_pem(&read(path)?).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))
}
