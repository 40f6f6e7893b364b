//! Signatures by an identity ("keyless"): a certificate of sigstore says who signed, a transparency log when.
//!
//! The proof is in the bundle and the roots of trust come from the caller or from the crate, so nothing is asked for over the
//! network. Without the feature `keyless` there are no roots, and so nothing that could be verified.

use tollkeeper_core::identity::Digest;
#[cfg(feature = "keyless")]
use {
    sigstore_verify::{
        VerificationPolicy, Verifier,
        trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot},
        types::{Bundle, SignatureContent},
    },
    std::sync::Arc,
    tollkeeper_core::signer::SignerIdentity,
};

#[cfg(feature = "keyless")]
use super::{Subject, Verdict};

/// A stranger's name is shown as far as a person reads it: whoever may push to a registry has chosen it.
#[cfg(feature = "keyless")]
const MAX_STRANGER: usize = 300;

/// Why there are no roots of trust.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum InvalidRoots {
    /// The feature is off.
    #[error(
        "this binary was built without signatures by identity; build it with `--features keyless`, or sign with a key"
    )]
    NotBuilt,
    /// They are none.
    #[error("the roots of trust cannot be used: {0}")]
    Malformed(String),
}

/// Roots of trust: the authorities whose certificates name signers, and the logs that have seen them sign.
#[derive(Clone)]
pub struct Roots {
    /// Tells roots apart: who was trusted under one is to be looked at again under another.
    pub(crate) digest: Digest,
    #[cfg(feature = "keyless")]
    verifier: Arc<Verifier>,
    #[cfg(not(feature = "keyless"))]
    never: std::convert::Infallible,
}

impl std::fmt::Debug for Roots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Roots({})", self.digest)
    }
}

#[cfg(feature = "keyless")]
impl Roots {
    /// Those of sigstore's public instance, as of this version of the crate.
    ///
    /// # Errors
    /// Without the feature `keyless`.
    pub fn public() -> Result<Self, InvalidRoots> {
        Self::parse(SIGSTORE_PRODUCTION_TRUSTED_ROOT)
    }

    /// Of a `trusted_root.json`. They replace those of the public instance.
    ///
    /// # Errors
    /// If it is none, and without the feature `keyless`.
    pub fn parse(json: &str) -> Result<Self, InvalidRoots> {
        let malformed = |error: &dyn std::fmt::Display| InvalidRoots::Malformed(error.to_string());
        let roots = TrustedRoot::from_json(json).map_err(|error| malformed(&error))?;
        let verifier = Verifier::new(&roots).map_err(|error| malformed(&error))?;
        Ok(Self { digest: Digest::of(json.as_bytes()), verifier: Arc::new(verifier) })
    }

    /// What a bundle proves that an identity has signed. On a thread of its own: a hostile one is work for a while, and
    /// may find a bug in what parses it.
    pub(super) async fn judge(
        &self,
        identity: &SignerIdentity,
        bundle: Vec<u8>,
        subject: Subject<'_>,
    ) -> Verdict {
        let (verifier, identity) = (Arc::clone(&self.verifier), identity.clone());
        let (digest, manifest) = (subject.digest.clone(), subject.manifest.to_vec());
        let judged = tokio::task::spawn_blocking(move || {
            verdict(&verifier, &identity, &bundle, Subject { digest: &digest, manifest: &manifest })
        });
        judged.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a bundle does not count: it cannot be looked at");
            Verdict::Foreign
        })
    }
}

#[cfg(feature = "keyless")]
fn verdict(verifier: &Verifier, identity: &SignerIdentity, bundle: &[u8], subject: Subject<'_>) -> Verdict {
    let Some(bundle) = std::str::from_utf8(bundle).ok().and_then(|text| Bundle::from_json(text).ok()) else {
        return Verdict::Foreign;
    };
    let policy = VerificationPolicy::new(identity.subject(), identity.issuer());
    if let Err(error) = verifier.verify(subject.manifest, &bundle, &policy) {
        tracing::debug!(%error, %identity, "a bundle does not count");
        return stranger(verifier, &bundle, subject).map_or(Verdict::Foreign, Verdict::Stranger);
    }
    if is_about(&bundle, subject) { Verdict::Good } else { Verdict::Elsewhere }
}

/// Who else has signed it, if that is proven.
#[cfg(feature = "keyless")]
fn stranger(verifier: &Verifier, bundle: &Bundle, subject: Subject<'_>) -> Option<String> {
    let signed = verifier.verify(subject.manifest, bundle, &VerificationPolicy::any_identity()).ok()?;
    let (named, issuer) = (signed.identity()?.as_str(), signed.issuer()?);
    let name = format!("{named} of {issuer}");
    is_about(bundle, subject).then(|| name.escape_debug().take(MAX_STRANGER).collect())
}

#[cfg(feature = "keyless")]
fn is_about(bundle: &Bundle, subject: Subject<'_>) -> bool {
    match &bundle.content {
        SignatureContent::DsseEnvelope(envelope) => {
            super::bundle::is_about(&envelope.payload_type, envelope.payload.as_bytes(), subject.digest)
        }
        // The signature is over the manifest itself.
        _ => true,
    }
}

#[cfg(not(feature = "keyless"))]
impl Roots {
    /// Always fails: the feature is off.
    pub fn public() -> Result<Self, InvalidRoots> {
        Err(InvalidRoots::NotBuilt)
    }

    /// Always fails: the feature is off.
    pub fn parse(_json: &str) -> Result<Self, InvalidRoots> {
        Err(InvalidRoots::NotBuilt)
    }

    /// Never asked: there are no roots.
    pub(super) async fn judge(
        &self,
        _identity: &tollkeeper_core::signer::SignerIdentity,
        _bundle: Vec<u8>,
        _subject: super::Subject<'_>,
    ) -> super::Verdict {
        match self.never {}
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf, process::Command};

    use super::*;

    /// Signatures that people have made with cosign and others lie in the package of the crate that verifies them.
    fn made_by_others(name: &str) -> Vec<u8> {
        let metadata = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--offline"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
        let package = metadata["packages"]
            .as_array()
            .unwrap()
            .iter()
            .find(|package| package["name"] == "sigstore-verify")
            .unwrap();
        let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
        fs::read(manifest.with_file_name("test_data/bundles").join(name)).unwrap()
    }

    /// Whoever it was.
    fn signer(signed: &[u8], bundle: &[u8]) -> (String, String) {
        let bundle = Bundle::from_json(std::str::from_utf8(bundle).unwrap()).unwrap();
        let policy = VerificationPolicy::any_identity();
        let verified = Roots::public().unwrap().verifier.verify(signed, &bundle, &policy).unwrap();
        (verified.issuer().unwrap().to_owned(), verified.identity().unwrap().to_string())
    }

    async fn verdict(issuer: &str, subject: &str, signed: &[u8], bundle: &[u8]) -> Verdict {
        let identity = SignerIdentity::new(issuer, subject).unwrap();
        let manifest = Subject { digest: &Digest::of(signed), manifest: signed };
        Roots::public().unwrap().judge(&identity, bundle.to_vec(), manifest).await
    }

    #[tokio::test]
    async fn what_cosign_signed_with_an_identity_is_verified_and_nothing_else() {
        let (signed, bundle) =
            (made_by_others("cosign-v3-blob.txt"), made_by_others("cosign-v3-blob.sigstore.json"));
        let (issuer, subject) = signer(&signed, &bundle);
        let (issuer, subject) = (issuer.as_str(), subject.as_str());
        assert_eq!(verdict(issuer, subject, &signed, &bundle).await, Verdict::Good);
        let stranger = Verdict::Stranger(format!("{subject} of {issuer}"));
        assert_eq!(verdict("https://issuer.example.com", subject, &signed, &bundle).await, stranger);
        assert_eq!(verdict(issuer, "somebody@example.com", &signed, &bundle).await, stranger);
        assert_eq!(verdict(issuer, subject, b"something else", &bundle).await, Verdict::Foreign);
        assert_eq!(verdict(issuer, subject, &signed, b"nonsense").await, Verdict::Foreign);
    }

    #[test]
    fn roots_of_trust_that_are_none_are_refused() {
        let refused = Roots::parse("{}");
        assert!(matches!(refused, Err(InvalidRoots::Malformed(_))), "{refused:?}");
    }
}
