//! Signatures by an identity ("keyless"): a certificate of sigstore says who signed, a transparency log when.
//!
//! The proof is in the bundle and the roots of trust are in the crate, so nothing is asked for over the network. Without the
//! feature `keyless` an identity cannot be made, and says so.

use std::fmt;

#[cfg(feature = "keyless")]
use sigstore_verify::{
    VerificationPolicy, Verifier,
    trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot},
    types::{Bundle, SignatureContent},
};

use super::{Subject, Verdict};

/// Why an identity cannot be looked for.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum InvalidIdentity {
    /// The feature is off.
    #[error(
        "this binary was built without signatures by identity; build it with `--features keyless`, or sign with a key"
    )]
    NotBuilt,
    /// The roots of trust are none.
    #[error("the roots of trust cannot be used: {0}")]
    Roots(String),
}

/// Who must have signed: what the certificate names, and who has vouched for it.
pub struct Identity {
    issuer: String,
    subject: String,
    #[cfg(feature = "keyless")]
    verifier: Verifier,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.subject, self.issuer)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self})")
    }
}

#[cfg(feature = "keyless")]
impl Identity {
    /// An e-mail address or the address of a workflow, and the OpenID Connect issuer. `roots` is a `trusted_root.json`;
    /// without it, sigstore's public instance is trusted.
    pub fn new(issuer: String, subject: String, roots: Option<&str>) -> Result<Self, InvalidIdentity> {
        let invalid = |error: &dyn fmt::Display| InvalidIdentity::Roots(error.to_string());
        let roots = TrustedRoot::from_json(roots.unwrap_or(SIGSTORE_PRODUCTION_TRUSTED_ROOT))
            .map_err(|error| invalid(&error))?;
        let verifier = Verifier::new(&roots).map_err(|error| invalid(&error))?;
        Ok(Self { issuer, subject, verifier })
    }

    /// What a bundle proves that the identity has signed.
    pub(super) fn judge(&self, bundle: &[u8], subject: Subject<'_>) -> Verdict {
        let Some(bundle) = std::str::from_utf8(bundle).ok().and_then(|text| Bundle::from_json(text).ok())
        else {
            return Verdict::Foreign;
        };
        let policy = VerificationPolicy::new(self.subject.as_str(), self.issuer.as_str());
        if let Err(error) = self.verifier.verify(subject.manifest, &bundle, &policy) {
            tracing::debug!(%error, identity = %self, "a bundle does not count");
            return Verdict::Foreign;
        }
        match &bundle.content {
            SignatureContent::DsseEnvelope(envelope) => {
                let is_about = super::bundle::is_about(
                    &envelope.payload_type,
                    envelope.payload.as_bytes(),
                    subject.digest,
                );
                if is_about { Verdict::Good } else { Verdict::Elsewhere }
            }
            // The signature is over the manifest itself.
            _ => Verdict::Good,
        }
    }
}

#[cfg(not(feature = "keyless"))]
impl Identity {
    /// Always fails: the feature is off.
    pub fn new(_issuer: String, _subject: String, _roots: Option<&str>) -> Result<Self, InvalidIdentity> {
        Err(InvalidIdentity::NotBuilt)
    }

    /// Never asked: there is no identity.
    pub(super) fn judge(&self, _bundle: &[u8], _subject: Subject<'_>) -> Verdict {
        Verdict::Foreign
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf, process::Command};

    use tollkeeper_core::identity::Digest;

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
        let roots = TrustedRoot::from_json(SIGSTORE_PRODUCTION_TRUSTED_ROOT).unwrap();
        let policy = VerificationPolicy::any_identity();
        let verified = Verifier::new(&roots).unwrap().verify(signed, &bundle, &policy).unwrap();
        (verified.issuer().unwrap().to_owned(), verified.identity().unwrap().to_string())
    }

    fn verdict(issuer: &str, subject: &str, signed: &[u8], bundle: &[u8]) -> Verdict {
        let identity = Identity::new(issuer.to_owned(), subject.to_owned(), None).unwrap();
        identity.judge(bundle, Subject { digest: &Digest::of(signed), manifest: signed })
    }

    #[test]
    fn what_cosign_signed_with_an_identity_is_verified_and_nothing_else() {
        let (signed, bundle) =
            (made_by_others("cosign-v3-blob.txt"), made_by_others("cosign-v3-blob.sigstore.json"));
        let (issuer, subject) = signer(&signed, &bundle);
        let (issuer, subject) = (issuer.as_str(), subject.as_str());
        assert_eq!(verdict(issuer, subject, &signed, &bundle), Verdict::Good);
        assert_eq!(verdict("https://issuer.example.com", subject, &signed, &bundle), Verdict::Foreign);
        assert_eq!(verdict(issuer, "somebody@example.com", &signed, &bundle), Verdict::Foreign);
        assert_eq!(verdict(issuer, subject, b"something else", &bundle), Verdict::Foreign);
    }

    #[test]
    fn roots_of_trust_that_are_none_are_refused() {
        let refused = Identity::new(String::new(), String::new(), Some("{}"));
        assert!(matches!(refused, Err(InvalidIdentity::Roots(_))), "{refused:?}");
    }
}
